/**
 * Events of synchronized batch proving in words.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { LogEvent } from "../ports.ts";
import type { BatchInfo, EpochSourceName, SuperblockEvent } from "../superblock.ts";
import { toHex } from "../wire/hex.ts";
import type { Described } from "./processor_log.ts";
import { countOf, timeText } from "./text.ts";

const NAMES: Readonly<Record<SuperblockEvent["event"], true>> = {
  epoch: true,
  batch_trigger: true,
  epoch_reorganised: true,
  epoch_source_failed: true,
  epoch_source_recovered: true,
  batch_started: true,
  batch_finalized: true,
  batch_completed: true,
  batch_failed: true,
  blocks_replaced: true,
  blocks_left_out: true,
  standing: true,
};

/** What a source is called in a sentence. */
const SOURCE: Readonly<Record<EpochSourceName, string>> = {
  beacon: "beacon node",
  execution: "execution client",
  clock: "clock",
};

export function isSuperblockEvent(event: LogEvent): event is SuperblockEvent {
  return Object.hasOwn(NAMES, event.event);
}

/** What happened. */
export function describeSuperblockEvent(event: SuperblockEvent): Described {
  switch (event.event) {
    case "epoch": {
      const { epoch, slot, source } = event.epoch;
      const fields = { epoch: `${epoch}`, slot: `${slot}`, source };
      return {
        level: "debug",
        text: `L1 epoch ${epoch} has begun, by the ${SOURCE[source]}`,
        fields,
      };
    }
    case "batch_trigger": {
      const { batchNumber, triggerEpoch } = event.trigger;
      return {
        level: "info",
        text: `L1 epoch ${triggerEpoch} begins batch ${batchNumber}`,
        fields: { batch: `${batchNumber}`, epoch: `${triggerEpoch}` },
      };
    }
    case "epoch_reorganised": {
      const { epoch: { epoch, block }, before } = event;
      const now = block === undefined ? "no block" : `block ${block.number} ${toHex(block.hash)}`;
      return {
        level: "warn",
        text: `L1 was reorganised: epoch ${epoch} begins with ${now}, no longer with ` +
          `block ${before.number} ${toHex(before.hash)}`,
        fields: { epoch: `${epoch}`, before: toHex(before.hash) },
      };
    }
    case "epoch_source_failed": {
      const { source, error, retryMs } = event;
      return {
        level: "warn",
        text: `${describeError(error)}; the ${
          SOURCE[source]
        } is asked for epochs again in ${retryMs} ms`,
        fields: { source, delay_ms: retryMs, error: describeError(error) },
      };
    }
    case "epoch_source_recovered": {
      const { source } = event;
      return {
        level: "info",
        text: `the ${SOURCE[source]} tells epochs again`,
        fields: { source },
      };
    }
    case "batch_started":
      return { level: "info", ...ofBatch(event.batch, "collects blocks") };
    case "batch_finalized": {
      const { batch, missingBlocks } = event;
      const gap = missingBlocks > 0n ? `, ${missingBlocks} between them were never reported` : "";
      const { text, fields } = ofBatch(batch, "is whole");
      return {
        level: missingBlocks > 0n ? "warn" : "info",
        text: text + gap,
        fields: { ...fields, reason: batch.endedBy!, missing: `${missingBlocks}` },
      };
    }
    case "batch_completed":
      return { level: "info", ...ofBatch(event.batch, "is completed") };
    case "batch_failed": {
      const { text, fields } = ofBatch(event.batch, "failed");
      const error = describeError(event.error);
      return { level: "warn", text: `${text}: ${error}`, fields: { ...fields, error } };
    }
    case "blocks_replaced": {
      const { number, blocks } = event;
      return {
        level: "warn",
        text: `L2 went another way from block ${number}: ${countOf(blocks, "block")} no longer ${
          blocks === 1 ? "counts" : "count"
        }`,
        fields: { number: `${number}`, blocks },
      };
    }
    case "blocks_left_out": {
      const { firstBlock, lastBlock } = event;
      const error = describeError(event.error);
      const which = firstBlock === lastBlock
        ? `block ${firstBlock} is`
        : `blocks ${firstBlock} to ${lastBlock} are`;
      return {
        level: "warn",
        text: `${which} left out of any superblock, and proved with the next: ${error}`,
        fields: { first_block: `${firstBlock}`, last_block: `${lastBlock}`, error },
      };
    }
    case "standing":
      return describeStanding(event);
  }
}

function awaitedText([first, ...others]: readonly bigint[]): string[] {
  if (first === undefined) return [];
  const last = others.at(-1);
  return last === undefined
    ? [`batch ${first} waits for blocks of L2`]
    : [`batches ${first} to ${last} wait for blocks of L2`];
}

/** What matters at three in the morning, in a line. */
function describeStanding(event: Extract<SuperblockEvent, { event: "standing" }>): Described {
  const { batch, endsAt, epoch, source, newestBlock, batchesByState, jobsByStage, atMs } = event;
  const { awaitingBlocks } = event;
  const { proving, failed } = batchesByState;
  const ageMs = newestBlock && Math.max(0, atMs - Number(newestBlock.timestamp) * 1000);
  const jobs = Object.entries(jobsByStage ?? {}).filter(([stage]) => stage !== "completed");
  const isProved = jobsByStage !== undefined;
  const parts = [
    batch
      ? `batch ${batch.window.batchNumber} collects, ${countOf(batch.blocks.length, "block")}, ` +
        `${timeText(Number(endsAt) * 1000 - atMs)} to go`
      : "no batch collects",
    newestBlock
      ? `newest block ${newestBlock.number}, ${timeText(ageMs!)} old`
      : "no block was ever reported",
    source ? `L1 epoch ${epoch} by the ${SOURCE[source]}` : "nobody tells L1 epochs",
    ...awaitedText(awaitingBlocks),
    `${proving} to be proved` +
    (isProved ? jobs.map(([stage, count]) => `, ${stage} ${count}`).join("") : ", by nobody"),
    ...(failed > 0 ? [`${failed} failed: see \`montana proofs ls\``] : []),
  ];
  const isWrong = failed > 0 || awaitingBlocks.length > 0 || !source || !batch;
  return {
    level: isWrong ? "warn" : "info",
    text: parts.join("; "),
    fields: {
      epoch: `${epoch}`,
      ...(source && { source }),
      ...(batch && { batch: `${batch.window.batchNumber}`, blocks: batch.blocks.length }),
      ends_at: `${endsAt}`,
      ...(newestBlock && { newest_block: `${newestBlock.number}`, newest_age_ms: ageMs! }),
      awaiting_blocks: awaitingBlocks.length,
      ...Object.fromEntries(
        Object.entries(batchesByState).map(([state, count]) => [`batches_${state}`, count]),
      ),
      ...Object.fromEntries(jobs.map(([stage, count]) => [`jobs_${stage}`, count])),
    },
  };
}

function ofBatch(batch: BatchInfo, what: string): Pick<Described, "text" | "fields"> {
  const { window: { batchNumber, firstSlot, lastSlot }, blocks } = batch;
  return {
    text: `batch ${batchNumber} ${what}: slots ${firstSlot} to ${lastSlot}, ` +
      countOf(blocks.length, "block"),
    fields: {
      batch: `${batchNumber}`,
      first_slot: `${firstSlot}`,
      last_slot: `${lastSlot}`,
      blocks: blocks.length,
    },
  };
}
