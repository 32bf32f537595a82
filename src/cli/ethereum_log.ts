/**
 * What the Ethereum edge tells, as a sentence and as fields.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { EthereumEvent, TxAttempt, TxReceipt } from "../ethereum.ts";
import type { LogEvent } from "../ports.ts";
import { toHex } from "../wire/hex.ts";
import type { Described } from "./processor_log.ts";
import { countOf } from "./text.ts";
import { inEther } from "../l1/gas.ts";

const EVENTS: Readonly<Record<EthereumEvent["event"], true>> = {
  "tx.signed": true,
  "tx.sent": true,
  "tx.included": true,
  "tx.final": true,
  "tx.reorganised": true,
  "tx.waits": true,
  "account.runway": true,
  "da.switched": true,
  "batch.audited": true,
  "endpoint.failed": true,
  "endpoint.recovered": true,
  "blobs.quarantined": true,
  "blobs.missing": true,
  "l1.reorganised": true,
  "l2.reorganised": true,
  "l2.stands": true,
  "deposits.left_out": true,
};

/** Whether the Ethereum edge told it. */
export function isEthereumEvent(event: LogEvent): event is EthereumEvent {
  return Object.hasOwn(EVENTS, event.event);
}

/** What happened. */
export function describeEthereumEvent(event: EthereumEvent): Described {
  switch (event.event) {
    case "tx.signed": {
      const { attempt, reason } = event;
      const text = `signed ${what(attempt)} (${reason}), at most ${gwei(attempt)}`;
      return { level: "debug", text, fields: { ...fieldsOf(attempt), reason } };
    }
    case "tx.sent": {
      const { attempt, answer } = event;
      const text = `sent ${what(attempt)}: ${answer}`;
      return { level: "debug", text, fields: { ...fieldsOf(attempt), answer } };
    }
    case "tx.included":
    case "tx.final": {
      const { attempt, receipt } = event;
      const isFinal = event.event === "tx.final";
      const text = `${what(attempt)} is ${isFinal ? "final" : "included"} in L1 block ` +
        `${receipt.blockNumber}`;
      return { level: "debug", text, fields: { ...fieldsOf(attempt), ...paid(receipt) } };
    }
    case "tx.reorganised": {
      const { attempt, l1Block } = event;
      const text = `L1 block ${l1Block} is gone, and ${what(attempt)} with it: it is sent again`;
      return { level: "warn", text, fields: { ...fieldsOf(attempt), l1_block: `${l1Block}` } };
    }
    case "tx.waits": {
      const { batchNumber, reason, error } = event;
      const text = `waits (${reason}): ${describeError(error)}`;
      const batch = batchNumber === undefined ? {} : { batch: `${batchNumber}` };
      return { level: "warn", text, fields: { ...batch, reason, error: describeError(error) } };
    }
    case "account.runway": {
      const { address, balanceWei, spentWei, overMs, lastsMs, isLow } = event;
      const lasts = lastsMs === undefined ? "for ever" : `for ${hours(lastsMs)}`;
      const fields = {
        address: toHex(address),
        balance_wei: `${balanceWei}`,
        spent_wei: `${spentWei}`,
        over_s: Math.round(overMs / 1000),
        ...(lastsMs === undefined ? {} : { lasts_s: Math.round(lastsMs / 1000) }),
      };
      const text =
        `account ${toHex(address)} has ${inEther(balanceWei)}, which lasts ${lasts}: it ` +
        `spent ${inEther(spentWei)} in ${hours(overMs)}${isLow ? ". Fund it soon" : ""}`;
      return { level: isLow ? "warn" : "debug", text, fields };
    }
    case "da.switched": {
      const { from, to, blobsWei, calldataWei } = event;
      return {
        level: "info",
        text: `posts in ${to} from here on, no longer in ${from}: ${blobsWei} wei in blobs, ` +
          `${calldataWei} in calldata`,
        fields: { from, to, blobs_wei: `${blobsWei}`, calldata_wei: `${calldataWei}` },
      };
    }
    case "batch.audited": {
      const { batchNumber, isSame, error } = event;
      const fields = { batch: `${batchNumber}`, same: `${isSame}` };
      if (isSame) {
        return { level: "debug", text: `batch ${batchNumber} reads back as posted`, fields };
      }
      const why = describeError(error);
      return {
        level: "warn",
        text: `ALARM: batch ${batchNumber} does not read back as it was posted: ${why}`,
        fields: { ...fields, error: why },
      };
    }
    case "endpoint.failed": {
      const { endpoint, error, next } = event;
      const why = describeError(error);
      const text = `${endpoint} failed: ${why}${next === undefined ? "" : `; asking ${next}`}`;
      return { level: "warn", text, fields: { endpoint, error: why, ...(next ? { next } : {}) } };
    }
    case "endpoint.recovered": {
      const { endpoint } = event;
      return { level: "info", text: `${endpoint} answers again`, fields: { endpoint } };
    }
    case "blobs.quarantined": {
      const { source, error } = event;
      const why = describeError(error);
      const text = `${source} gave a wrong blob, and is not asked any more: ${why}`;
      return { level: "warn", text, fields: { source, error: why } };
    }
    case "blobs.missing": {
      const { source, l1Block, why } = event;
      const text = `${source} has no blobs of L1 block ${l1Block}: ${why}`;
      return { level: "debug", text, fields: { source, l1_block: `${l1Block}`, why } };
    }
    case "deposits.left_out": {
      const { firstBlock, lastBlock, deposits } = event;
      const text = `left out ${
        countOf(deposits, "deposit")
      } of blocks ${firstBlock} to ${lastBlock}`;
      const fields = { first_block: `${firstBlock}`, last_block: `${lastBlock}`, deposits };
      return { level: "debug", text, fields };
    }
    case "l2.stands": {
      const { endpoint, number, forMs } = event;
      const seconds = Math.floor(forMs / 1000);
      const text =
        `L2 stands still: ${endpoint} has told no block above ${number} for ${seconds} s`;
      return { level: "warn", text, fields: { endpoint, number: `${number}`, for_ms: forMs } };
    }
    case "l1.reorganised":
    case "l2.reorganised": {
      const { ancestor, depth } = event;
      const layer = event.event === "l1.reorganised" ? "L1" : "L2";
      const endpoint = "endpoint" in event ? event.endpoint : undefined;
      const says = endpoint === undefined ? "" : `, says ${endpoint}`;
      const text =
        `${layer} was reorganised${says}: ${countOf(depth, "block")} above ${ancestor} ` +
        (depth === 1n ? "is another one now" : "are others now");
      return {
        level: "warn",
        text,
        fields: {
          ancestor: `${ancestor}`,
          depth: `${depth}`,
          ...(endpoint === undefined ? {} : { endpoint }),
        },
      };
    }
  }
}

function hours(ms: number): string {
  const hours = ms / 3_600_000;
  return hours < 48 ? `${hours.toFixed(1)} hours` : `${Math.floor(hours / 24)} days`;
}

function what({ batchNumber, nonce }: TxAttempt): string {
  return `${batchNumber === undefined ? "nothing" : `batch ${batchNumber}`} with nonce ${nonce}`;
}

function fieldsOf({ batchNumber, nonce, signed, fees, blobHashes }: TxAttempt) {
  return {
    ...(batchNumber === undefined ? {} : { batch: `${batchNumber}` }),
    nonce: `${nonce}`,
    tx: toHex(signed.hash),
    blobs: blobHashes.length,
    max_fee_per_gas: `${fees.maxFeePerGas}`,
    max_priority_fee_per_gas: `${fees.maxPriorityFeePerGas}`,
    max_fee_per_blob_gas: `${fees.maxFeePerBlobGas}`,
  };
}

function paid(receipt: TxReceipt) {
  const { blockNumber, blockHash, gasUsed, effectiveGasPrice, blobGasUsed, blobGasPrice } = receipt;
  return {
    l1_block: `${blockNumber}`,
    l1_block_hash: toHex(blockHash),
    gas_used: `${gasUsed}`,
    gas_price: `${effectiveGasPrice}`,
    blob_gas_used: `${blobGasUsed}`,
    blob_gas_price: `${blobGasPrice}`,
  };
}

function gwei({ fees: { maxFeePerGas, maxFeePerBlobGas } }: TxAttempt): string {
  const told = (wei: bigint) => `${Number(wei) / 1e9}`;
  const blob = maxFeePerBlobGas === 0n ? "" : ` and ${told(maxFeePerBlobGas)} gwei for blob gas`;
  return `${told(maxFeePerGas)} gwei for gas${blob}`;
}
