/**
 * Metrics of what is asked of Ethereum, and sent there: nodes, blobs, transactions and what they cost.
 *
 * @module
 */
import type { TxReceipt } from "../ethereum.ts";
import { counter, gauge, type MetricChapter, type MetricRecorder } from "./metric_chapter.ts";

const ETHER = 1e18;

const SIGNED = ["first", "bump", "cancel", "fallback"] as const;
const KINDS = ["execution", "blob"] as const;
const WAITS = [
  ...["blob fee", "base fee", "spend", "funds", "nonce", "signer", "node", "archive", "window"],
] as const;
const MISSING = ["orphaned", "pruned", "not yet", "columns", "unknown"] as const;

const SPECS = {
  montana_l1_reorganisations_total: counter("Times that L1 went another way below what was read"),
  montana_node_failures_total: counter("Nodes that failed, after which another was asked"),
  montana_node_recoveries_total: counter("Nodes that answered again"),
  montana_blob_sources_quarantined_total: counter("Sources that answered with another blob"),
  montana_blob_misses_total: counter("Blobs that a source did not have", "reason", MISSING),
};

type Name = keyof typeof SPECS;

const NODES: MetricChapter<Name> = {
  specs: SPECS,
  count(event, to) {
    switch (event.event) {
      case "l1.reorganised":
        return to.inc("montana_l1_reorganisations_total");
      case "endpoint.failed":
        return to.inc("montana_node_failures_total");
      case "endpoint.recovered":
        return to.inc("montana_node_recoveries_total");
      case "blobs.quarantined":
        return to.inc("montana_blob_sources_quarantined_total");
      case "blobs.missing":
        return to.inc("montana_blob_misses_total", 1, event.why);
    }
  },
};

/** Of nodes and of blobs, for whoever reads L1. */
export const NODE_METRICS: MetricChapter = NODES;

const SENDING = {
  montana_tx_signed_total: counter("Transactions by why they were signed", "reason", SIGNED),
  montana_tx_sent_total: counter("Transactions that were handed to a node"),
  montana_tx_included_total: counter("Transactions that were seen in a block"),
  montana_tx_final_total: counter("Transactions whose block is final"),
  montana_tx_reorganised_total: counter("Transactions that a reorganisation took"),
  montana_tx_waits_total: counter("Times that a transaction waits, by what for", "reason", WAITS),
  montana_l1_fees_ether_total: counter("What final transactions cost", "kind", KINDS),
  montana_l1_gas_price_wei: gauge("What a gas cost when a batch was last included", "kind"),
  montana_signer_balance_ether: gauge("What the account has"),
  montana_signer_spend_ether_per_second: gauge("What it spends, over 24 hours at most"),
};

type SendingName = keyof typeof SENDING;

const ACCOUNT: MetricChapter<SendingName> = {
  specs: SENDING,
  count(event, to) {
    switch (event.event) {
      case "tx.signed":
        return to.inc("montana_tx_signed_total", 1, event.reason);
      case "tx.sent":
        return to.inc("montana_tx_sent_total");
      case "tx.included":
        tellPrices(event.receipt, to);
        return to.inc("montana_tx_included_total");
      case "tx.final": {
        const { gasUsed, effectiveGasPrice, blobGasUsed, blobGasPrice } = event.receipt;
        const paid = (wei: bigint, kind: string) =>
          to.inc("montana_l1_fees_ether_total", Number(wei) / ETHER, kind);
        paid(gasUsed * effectiveGasPrice, "execution");
        paid(blobGasUsed * blobGasPrice, "blob");
        return to.inc("montana_tx_final_total");
      }
      case "tx.reorganised":
        return to.inc("montana_tx_reorganised_total");
      case "tx.waits":
        return to.inc("montana_tx_waits_total", 1, event.reason);
      case "account.runway": {
        const { balanceWei, spentWei, overMs } = event;
        to.set("montana_signer_balance_ether", Number(balanceWei) / ETHER);
        const rate = overMs > 0 ? Number(spentWei) / ETHER / (overMs / 1000) : 0;
        return to.set("montana_signer_spend_ether_per_second", rate);
      }
    }
  },
};

function tellPrices(receipt: TxReceipt, to: MetricRecorder<SendingName>): void {
  const { effectiveGasPrice, blobGasUsed, blobGasPrice } = receipt;
  to.set("montana_l1_gas_price_wei", Number(effectiveGasPrice), "execution");
  if (blobGasUsed > 0n) to.set("montana_l1_gas_price_wei", Number(blobGasPrice), "blob");
}

/** Of an account, and what it sends. */
export const ACCOUNT_METRICS: MetricChapter = ACCOUNT;
