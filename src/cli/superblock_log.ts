/**
 * Events of synchronized batch proving in words.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { LogEvent } from "../ports.ts";
import type { BatchInfo, SuperblockEvent } from "../superblock.ts";
import { toHex } from "../wire/hex.ts";
import type { Described } from "./processor_log.ts";
import { countOf } from "./text.ts";

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
      return { level: "debug", text: `L1 epoch ${epoch} has begun, by the ${source}`, fields };
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
        text: `${describeError(error)}; the ${source} is asked for epochs again in ${retryMs} ms`,
        fields: { source, delay_ms: retryMs, error: describeError(error) },
      };
    }
    case "epoch_source_recovered": {
      const { source } = event;
      return { level: "info", text: `the ${source} tells epochs again`, fields: { source } };
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
      return { level: "info", ...ofBatch(event.batch, "is proved, and accepted") };
    case "batch_failed": {
      const { text, fields } = ofBatch(event.batch, "failed");
      const error = describeError(event.error);
      return { level: "warn", text: `${text}: ${error}`, fields: { ...fields, error } };
    }
    case "blocks_replaced": {
      const { number, blocks } = event;
      return {
        level: "warn",
        text: `L2 went another way from block ${number}: ${
          countOf(blocks, "block")
        } no longer count`,
        fields: { number: `${number}`, blocks },
      };
    }
  }
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
