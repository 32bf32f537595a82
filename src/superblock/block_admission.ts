/**
 * Which blocks a batch takes: those of its time and its place, and the reasons for all others.
 *
 * @module
 */
import { BatchError, type ReportedBlock } from "../superblock.ts";
import { toHex } from "../wire/hex.ts";
import type { BatchBook } from "./batch_book.ts";
import type { BatchManagerConfig } from "./batch_config.ts";
import { batchAt, slotAt } from "./clock.ts";

/** @throws {BatchError} `WrongSlot`, `TooEarly` */
export function checkTime(
  { number, slot, timestamp }: ReportedBlock,
  { l1Clock, maxAheadMs }: BatchManagerConfig,
  nowMs: number,
): void {
  const expected = slotAt(l1Clock, timestamp);
  if (slot !== expected || timestamp < l1Clock.genesisTime) {
    throw new BatchError(
      "WrongSlot",
      `Cannot take block ${number}: its slot is ${slot}, but its timestamp ${timestamp} is in slot ` +
        `${expected} from genesis ${l1Clock.genesisTime}. See to the configured clock of L1`,
      { details: { number, slot, expected } },
    );
  }
  const aheadMs = Number(timestamp) * 1000 - nowMs;
  if (aheadMs <= maxAheadMs) return;
  throw new BatchError(
    "TooEarly",
    `Cannot take block ${number}: its timestamp ${timestamp} is ${aheadMs} ms ahead of the clock ` +
      `here, at most ${maxAheadMs} are taken. See to the clocks`,
    { details: { number, timestamp, aheadMs } },
  );
}

/** @throws {BatchError} `TooLate`, `Conflict` */
export function checkPlace(
  block: ReportedBlock,
  { l1Clock, lateBlockGraceMs }: BatchManagerConfig,
  book: BatchBook,
  nowMs: number,
): void {
  const { number, hash, timestamp } = block;
  const batchNumber = batchAt(l1Clock, timestamp);
  // The first block of all must not begin batches of years ago.
  const oldest = BigInt(Math.floor((nowMs - lateBlockGraceMs) / 1000));
  const first = book.batches[0]?.window.batchNumber ?? batchAt(l1Clock, oldest);
  const batch = book.batch(batchNumber);
  const conflict = (why: string) =>
    new BatchError("Conflict", `Cannot take block ${number} ${toHex(hash)}: ${why}`, {
      details: { number, batch: batchNumber },
    });
  const isKnown = book.batchWith(number) !== undefined;
  const closed = isKnown
    ? book.batches.find(({ state, blocks }) =>
      state !== "collecting" && blocks.some((each) => each.number >= number)
    )
    : undefined;
  // Not late: L2 went another way.
  if (closed) {
    const { window: { batchNumber: other }, state } = closed;
    throw conflict(
      `batch ${other} is ${state} already, with another block ${number} or later ones`,
    );
  }
  if (batchNumber < first || (batch && batch.state !== "collecting")) {
    const why = batch
      ? `is ${batch.state}`
      : "was over before this log began, or is long completed";
    throw new BatchError(
      "TooLate",
      `Cannot take block ${number}: its timestamp ${timestamp} is in batch ${batchNumber}, which ` +
        `${why}. Late blocks are taken for ${lateBlockGraceMs} ms after the end`,
      { details: { number, timestamp, batch: batchNumber } },
    );
  }
  const [below, above] = book.neighbours(number);
  if (below && below.timestamp > timestamp) {
    throw conflict(
      `its timestamp ${timestamp} is before ${below.timestamp} of block ${below.number}`,
    );
  }
  if (isKnown || !above || above.timestamp >= timestamp) return;
  throw conflict(
    `its timestamp ${timestamp} is behind ${above.timestamp} of block ${above.number}`,
  );
}
