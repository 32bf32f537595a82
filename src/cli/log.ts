/**
 * Events of the flows as lines on standard error: a sentence for people, or one JSON object a line.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import { inEther, weiOf } from "../l1/gas.ts";
import type { Log, LogEvent } from "../ports.ts";
import { speakerName, systemClock, writeStderr } from "../runtime.ts";
import { toHex } from "../wire/hex.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { describeConsensusEvent, isConsensusEvent } from "./consensus_log.ts";
import { describeEngineEvent, isEngineEvent } from "./engine_log.ts";
import { describeEthereumEvent, isEthereumEvent } from "./ethereum_log.ts";
import { parseChoice } from "./options.ts";
import { withoutPassingFailures } from "./passing_failures.ts";
import { type Described, describeProcessorEvent } from "./processor_log.ts";
import { describeProgress } from "./progress.ts";
import { describeProvingEvent, isProvingEvent } from "./proving_log.ts";
import { describeSuperblockEvent, isSuperblockEvent } from "./superblock_log.ts";
import { countOf, formatBytes, formatRatio, withFlagNames } from "./text.ts";

const LEVELS = ["debug", "info", "warn", "none"] as const;
const FORMATS = ["text", "json"] as const;

/** How much is told, and in which form. */
export const LOG_FLAGS: readonly Flag[] = [
  {
    flags: "--log-level <level>",
    help: "debug, info, warn or none",
    value: "info",
    choices: LEVELS,
  },
  {
    flags: "--log-format <format>",
    help: "text or json, on standard error",
    value: "text",
    choices: FORMATS,
  },
];

/** The log that the flags ask for, of the role that asks. */
export function logFrom(flags: FlagValues): Log {
  const least = parseChoice("--log-level", textOf(flags, "logLevel") ?? "info", LEVELS);
  const format = parseChoice("--log-format", textOf(flags, "logFormat") ?? "text", FORMATS);
  // What calls it may come from outside, as a request does.
  const role = speakerName();
  const log: Log = (event) => {
    const { level, text, fields } = describe(event);
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
    const ts = new Date(systemClock.now()).toISOString();
    if (format === "json") {
      const line = { ts, level, ...(role && { role }), event: event.event, ...fields };
      writeStderr(withFlagNames(JSON.stringify(line)), "");
      return;
    }
    const line = `${ts.slice(11, 23)} ${level === "warn" ? "warning: " : ""}${text}`;
    writeStderr(withFlagNames(line), role);
  };
  return least === "debug" ? log : withoutPassingFailures(log, systemClock);
}

/** What happened. */
export function describe(event: LogEvent): Described {
  switch (event.event) {
    case "blocks.taken": {
      const { length: blocks } = event.blocks;
      return { level: "debug", text: `took ${countOf(blocks, "block")}`, fields: { blocks } };
    }
    case "batch.sealed": {
      const {
        batchNumber,
        blocks,
        transactions,
        rawBytes,
        compressedBytes,
        reason,
        passes,
        level,
      } = event;
      return {
        level: "debug",
        text: `sealed batch ${batchNumber} (${reason}): ${countOf(blocks, "block")}`,
        fields: {
          batch: `${batchNumber}`,
          blocks,
          transactions,
          raw_bytes: rawBytes,
          compressed_bytes: compressedBytes,
          reason,
          passes,
          ...(level === undefined ? {} : { compression_level: level }),
        },
      };
    }
    case "batch.resealed": {
      const { batchNumber, blocks, l1Origin, l1OriginBefore, compressedBytes } = event;
      return {
        level: "warn",
        text:
          `sealed batch ${batchNumber} anew, of the same ${countOf(blocks, "block")}: it came ` +
          `too late for L1 origin ${l1OriginBefore}, and names ${l1Origin} now`,
        fields: {
          batch: `${batchNumber}`,
          blocks,
          l1_origin: `${l1Origin}`,
          l1_origin_before: `${l1OriginBefore}`,
          compressed_bytes: compressedBytes,
        },
      };
    }
    case "blocks.dropped": {
      const { number, blocks } = event;
      const text = `L2 was reorganised above block ${number}: ${countOf(blocks, "block")} taken ` +
        `before ${blocks === 1 ? "is" : "are"} replaced`;
      return { level: "warn", text, fields: { block: `${number}`, blocks } };
    }
    case "progress":
      return describeProgress(event);
    case "throttle.changed": {
      const { unpostedBytes, intensity, maxTxBytes, maxBlockBytes } = event;
      const tx = maxTxBytes === 0 ? "any size" : formatBytes(maxTxBytes);
      const text = intensity > 0
        ? `holding sequencers back (${Math.round(100 * intensity)} %): ` +
          `${formatBytes(unpostedBytes)} to be posted; transactions ${tx}, ` +
          `blocks ${formatBytes(maxBlockBytes)} at most`
        : `sequencers are held back no more: ${formatBytes(unpostedBytes)} to be posted`;
      const fields = {
        unposted_bytes: unpostedBytes,
        intensity,
        max_tx_bytes: maxTxBytes,
        max_block_bytes: maxBlockBytes,
      };
      return { level: intensity > 0 ? "warn" : "info", text, fields };
    }
    case "throttle.failed": {
      const { endpoint, error, isUnsupported } = event;
      const text = isUnsupported
        ? `${endpoint} cannot be held back: it has no miner_setMaxDASize; posting goes on`
        : `cannot hold ${endpoint} back: ${describeError(error)}; trying again`;
      return { level: "warn", text, fields: { endpoint } };
    }
    case "worker.lost": {
      const { reason, task } = event;
      const what = { retried: "what it did is done again", failed: "what it did failed", none: "" };
      const text = `lost a worker: ${reason}${task === "none" ? "" : `; ${what[task]}`}`;
      return { level: "warn", text, fields: { reason, task } };
    }
    case "compression.level": {
      const { reason, chainSeconds, seconds } = event;
      const isBehind = reason === "behind";
      const why = isBehind
        ? `${chainSeconds} s of blocks took ${Math.ceil(seconds)} s; allow more --workers`
        : "the workers keep up again";
      return {
        level: isBehind ? "warn" : "info",
        text: `compressing at level ${event.level ?? "?"} from now on: ${why}`,
        fields: { compression_level: event.level ?? 0, reason, chain_s: chainSeconds, s: seconds },
      };
    }
    case "batch.submitted": {
      const { receipt, reason, blocks, rawBytes, compressedBytes, latencyMs } = event;
      const where = receipt.blobHashes.length > 0
        ? countOf(receipt.blobHashes.length, "blob")
        : "calldata";
      const paidWei = receipt.cost && weiOf(receipt.cost);
      const price = paidWei === undefined ? "" : `, ${inEther(paidWei)}`;
      return {
        level: "info",
        text:
          `batch ${receipt.batchNumber}: ${countOf(blocks, "block")}, ${formatBytes(rawBytes)}` +
          ` → ${formatBytes(compressedBytes)} (${formatRatio(rawBytes / compressedBytes)}x), ` +
          `${where} in L1 block ${receipt.l1Block}${price} (${reason})`,
        fields: {
          batch: `${receipt.batchNumber}`,
          reason,
          blocks,
          raw_bytes: rawBytes,
          compressed_bytes: compressedBytes,
          blobs: receipt.blobHashes.length,
          l1_block: `${receipt.l1Block}`,
          tx_hash: toHex(receipt.txHash),
          latency_ms: Math.round(latencyMs),
          ...(paidWei === undefined ? {} : { paid_wei: `${paidWei}` }),
        },
      };
    }
    case "batch.accepted": {
      const { batch, blocks, transactions, rawBytes } = event;
      return {
        level: "info",
        text: `derived batch ${batch.batchNumber}: ${countOf(blocks, "block")} from L1 block ` +
          `${batch.inclusion.blockNumber}`,
        fields: {
          batch: `${batch.batchNumber}`,
          blocks,
          transactions,
          raw_bytes: rawBytes,
          l1_block: `${batch.inclusion.blockNumber}`,
        },
      };
    }
    case "batch.duplicate":
    case "batch.future": {
      const { batch, expected } = event;
      const isDuplicate = event.event === "batch.duplicate";
      return {
        level: isDuplicate ? "info" : "warn",
        text: `batch ${batch.batchNumber} in L1 block ${batch.inclusion.blockNumber} ` +
          (isDuplicate ? "was derived before" : `waits for batch ${expected}`),
        fields: { batch: `${batch.batchNumber}`, expected: `${expected}` },
      };
    }
    case "batch.dropped": {
      const { batch, reason, error } = event;
      const l1Block = batch.inclusion.blockNumber;
      return {
        level: "warn",
        text: `dropped batch ${batch.batchNumber} in L1 block ${l1Block}: ${describeError(error)}`,
        fields: {
          batch: `${batch.batchNumber}`,
          l1_block: `${l1Block}`,
          reason,
          error: describeError(error),
        },
      };
    }
    case "derivation.reset": {
      const { l1Block, nextBatchNumber, blocks } = event;
      return {
        level: "warn",
        text: `L1 was reorganised above block ${l1Block}: took back ${countOf(blocks, "block")}, ` +
          `going on with batch ${nextBatchNumber}`,
        fields: { l1_block: `${l1Block}`, batch: `${nextBatchNumber}`, blocks },
      };
    }
    case "transaction.ignored": {
      const { l1Block, reason, txHash } = event;
      const why = reason === "sender" ? "its sender is no batcher" : "its calldata is no batch";
      return {
        level: "warn",
        text: `ignored a transaction to the inbox in L1 block ${l1Block}: ${why}`,
        fields: { l1_block: `${l1Block}`, reason, tx_hash: toHex(txHash) },
      };
    }
    case "submission.retried": {
      const { batchNumber, attempt, delayMs } = event;
      return failed(event.error, `submitting batch ${batchNumber} again in ${delayMs} ms`, {
        batch: `${batchNumber}`,
        attempt,
        delay_ms: delayMs,
      });
    }
    case "tick.failed":
      return failed(event.error, `trying again in ${event.retryMs} ms`, {
        delay_ms: event.retryMs,
      });
    case "sink.fell_back":
      return failed(event.error, `batch ${event.batchNumber} goes to the second sink`, {
        batch: `${event.batchNumber}`,
      });
    case "batch.failed": {
      const { batchNumber } = event;
      const batch = `${batchNumber}`;
      return { ...failed(event.error, `batch ${batch} is kept`, { batch }), level: "debug" };
    }
    case "log.tail_cut": {
      const { path, offset, bytes, brokenPath, nextSequence, reason } = event;
      return {
        level: "warn",
        text:
          `${path} ended in ${formatBytes(bytes)} that no sync had finished: cut off at offset ` +
          `${offset}, kept in ${brokenPath}; the next record is ${nextSequence}`,
        fields: {
          path,
          offset,
          bytes,
          broken_path: brokenPath,
          next_sequence: `${nextSequence}`,
          reason,
        },
      };
    }
    case "source.failed":
      return { ...failed(event.error, "the source failed", {}), level: "debug" };
    default:
      if (isConsensusEvent(event)) return describeConsensusEvent(event);
      if (isProvingEvent(event)) return describeProvingEvent(event);
      if (isSuperblockEvent(event)) return describeSuperblockEvent(event);
      if (isEngineEvent(event)) return describeEngineEvent(event);
      return isEthereumEvent(event) ? describeEthereumEvent(event) : describeProcessorEvent(event);
  }
}

function failed(error: unknown, what: string, fields: Described["fields"]): Described {
  const text = describeError(error);
  return { level: "warn", text: `${text}; ${what}`, fields: { ...fields, error: text } };
}
