/**
 * What several sequencers cut, proved and handed in, held against each other and against the common clock.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import type { Transition } from "../../src/provers/superblock_json.ts";
import { BatchBook } from "../../src/superblock/batch_book.ts";
import type { BatchInfo, L1ClockConfig } from "../../src/superblock.ts";
import { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import type { MadeBlock } from "./reported_chain.ts";
import { BATCH_S, EPOCH_S, type Member } from "./sequencers.ts";
import { acceptedInOrder, keepsRules, type Settlement } from "./settlement.ts";

/** The window of a batch as the API tells it: by arithmetic of our own, in slots of a second. */
function expectedWindow(number: number, { genesisTime }: L1ClockConfig) {
  const timeOf = (slot: number) =>
    new Date(1000 * (Number(genesisTime) + slot)).toISOString().replace(".000Z", "Z");
  return {
    batch_number: number,
    start_epoch: number * BATCH_S / EPOCH_S,
    end_epoch: (number + 1) * BATCH_S / EPOCH_S - 1,
    start_slot: number * BATCH_S,
    end_slot: (number + 1) * BATCH_S - 1,
    start_time: timeOf(number * BATCH_S),
    end_time: timeOf((number + 1) * BATCH_S),
  };
}

/**
 * Makes sure that a sequencer has told of each batch, in all its lives, one and the same window: the one of
 * the common clock.
 *
 * @returns the numbers of the batches whose windows it told, over HTTP and as they were whole
 */
export function toldWindows({ process, windows }: Member, clock: L1ClockConfig): Set<number> {
  for (const [number, told] of windows) {
    const expected = JSON.stringify(expectedWindow(number, clock));
    deepEqual([...told], [expected], `${process.name}, batch ${number}`);
  }
  const numbers = new Set(windows.keys());
  for (const event of ["batch_started", "batch_finalized", "batch_completed"]) {
    for (const { batch, first_slot, last_slot } of process.told(event)) {
      const { start_slot, end_slot } = expectedWindow(Number(batch), clock);
      const told = [Number(first_slot), Number(last_slot)];
      deepEqual(told, [start_slot, end_slot], `${process.name}, batch ${batch} ${event}`);
      if (event === "batch_finalized") numbers.add(Number(batch));
    }
  }
  return numbers;
}

/** Makes sure that no trigger came twice, and none before one of an earlier batch, over all lives. */
export function triggeredInOrder({ process }: Member): void {
  for (const event of ["batch_trigger", "batch_started", "batch_finalized"]) {
    const numbers = process.told(event).map(({ batch }) => Number(batch));
    const isInOrder = numbers.every((each, at) => at === 0 || each > numbers[at - 1]!);
    ok(isInOrder, `${process.name}: ${event} of ${numbers}`);
  }
}

/** A sequencer, as far as its batches go. */
export interface Proving extends Pick<Member, "chainId" | "isOwn"> {
  readonly process: Pick<Member["process"], "name" | "dataDirectory">;
}

/** What a sequencer has in its log, once it has ended. */
export async function batchesIn(
  { process, chainId }: Proving,
  l1Clock: L1ClockConfig,
): Promise<readonly BatchInfo[]> {
  const owner = { chainId: BigInt(chainId), l1Clock };
  const parts = { storage: new DiskStorage(), directory: `${process.dataDirectory}/batches` };
  const journal = await LogBatchJournal.open(parts, owner);
  const { snapshot, changes } = journal.found;
  await journal.close();
  return new BatchBook(owner.chainId, l1Clock, snapshot, changes).batches;
}

/**
 * Makes sure that each batch up to the last holds just the blocks of its time, in the log and in its
 * superblock, and was proved and accepted once, in order.
 *
 * @returns how many batches and blocks there were
 */
export async function provedInOrder(
  member: Proving,
  { settlement, clock, taken, last }: {
    readonly settlement: Settlement;
    readonly clock: L1ClockConfig;
    readonly taken: readonly MadeBlock[];
    readonly last: number;
  },
): Promise<{ batches: number; blocks: number }> {
  const { process: { name }, chainId } = member;
  const all = await batchesIn(member, clock);
  const batches = all.filter(({ window }) => Number(window.batchNumber) <= last);
  const transitions = settlement.transitionsOf((block) => member.isOwn(block));
  const start = Number(clock.genesisTime);
  let blocks = 0;
  for (const { window, blocks: held, state } of batches) {
    const number = Number(window.batchNumber);
    equal(state, "completed", `${name}, batch ${number}`);
    const expected = taken.filter(({ timestamp }) =>
      Math.floor((timestamp - start) / BATCH_S) === number
    ).map(({ number }) => number);
    deepEqual(held.map(({ number }) => Number(number)), expected, `${name}, batch ${number}`);
    if (expected.length > 0) sealedAlike(transitions.get(number), expected, clock, number);
    blocks += held.length;
  }
  await keepsRules(transitions.values());
  const accepted = settlement.acceptedOf(chainId).filter(({ number }) => number <= last);
  // Of a batch without blocks nothing is handed in.
  const whole = batches.filter(({ blocks }) => blocks.length > 0);
  acceptedInOrder(accepted, whole.map(({ window }) => Number(window.batchNumber)));
  return { batches: batches.length, blocks };
}

/** Makes sure that a superblock ends with its window, and holds just these blocks. */
function sealedAlike(
  transition: Transition | undefined,
  blocks: readonly number[],
  clock: L1ClockConfig,
  number: number,
): void {
  ok(transition, `nobody was asked to prove superblock ${number}`);
  const { next } = transition;
  equal(Number(next.slot), expectedWindow(number, clock).end_slot);
  equal(Number(next.timestamp - clock.genesisTime), (number + 1) * BATCH_S);
  deepEqual(next.blocks.map(({ number }) => Number(number)), blocks);
}
