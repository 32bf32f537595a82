/**
 * What nodes say when they do not take a transaction. JSON-RPC has no codes for it, so the texts are all
 * there is. They stand in the sources of the nodes, as they were in 2024 to 2026:
 *
 * | node       | where                                                                             |
 * | ---------- | --------------------------------------------------------------------------------- |
 * | geth       | `core/error.go`, `core/txpool/errors.go`, `validation.go`, `blobpool.go`          |
 * | Nethermind | `AcceptTxResult`, `TxPoolErrorMessages`, `TxErrorMessages`; the words in one piece |
 * |            | are names, which older ones answer                                                |
 * | Besu       | `RpcErrorType`                                                                    |
 * | Erigon     | `txpoolcfg.DiscardReason`, behind the name of an `ImportResult`                   |
 * | Reth       | `RpcPoolError`, `RpcInvalidTransactionError`, `Eip4844PoolTransactionError`       |
 * | anvil      | `eth/error.rs`, and 1.7.1 as it runs                                              |
 *
 * @module
 */
import { RpcError } from "../errors.ts";

/**
 * | answer                    | what it means                                                            |
 * | ------------------------- | ------------------------------------------------------------------------ |
 * | `already known`           | it is in the pool: sent                                                  |
 * | `nonce too low`           | the nonce is used in the chain, by this transaction or by another        |
 * | `nonce too high`          | there is a gap before it, or was one when the node looked                |
 * | `replacement underpriced` | another of this nonce is in the pool, and this does not pay enough more  |
 * | `fee below floor`         | the fee or the tip is below what the pool takes, or the base fee         |
 * | `insufficient funds`      | the account cannot pay for it, together with what is in the pool         |
 * | `reserved`                | the account has transactions of the other type (blob, or not) in the pool |
 * | `blob fee too low`        | the fee for blob gas is below the blob base fee, or the least there is   |
 * | `sidecar refused`         | the sidecar is of the wrong form, or does not fit; or it cannot be read  |
 * | `pool full`               | the pool, or what an account may have in it, is full, or takes none now   |
 * | `unknown`                 | none of these                                                            |
 */
export type NodeAnswer =
  | "already known"
  | "nonce too low"
  | "nonce too high"
  | "replacement underpriced"
  | "fee below floor"
  | "insufficient funds"
  | "reserved"
  | "blob fee too low"
  | "sidecar refused"
  | "pool full"
  | "unknown";

/** A text, or the part of it that does not change, in lower case. */
export interface NodeText {
  readonly answer: Exclude<NodeAnswer, "unknown">;
  readonly text: string;
  /** Who says so. */
  readonly nodes: string;
}

/** One answer, with its texts and who says them. */
type Rows = readonly [NodeText["answer"], Readonly<Record<string, string>>];

/**
 * The first text that is found counts, so what is part of another stands behind it: a replacement that
 * is underpriced is also `underpriced`, and a blob fee below the minimum is also a fee below it.
 */
const ROWS: readonly Rows[] = [
  ["already known", {
    "already known": "geth, Nethermind, Erigon, Reth",
    "known transaction": "Besu, older geth",
    "already imported": "anvil; Reth's pool",
    "existing tx with same hash": "older Erigon",
    "existing txn with same hash": "Erigon",
    "alreadyknown": "older Nethermind",
  }],
  ["replacement underpriced", {
    "replacement transaction underpriced": "geth, Nethermind, Besu, Erigon, Reth, anvil",
    "insufficient gas price to replace": "anvil's and Reth's pool",
    "could not replace existing tx": "Erigon",
    "replacementnotallowed": "older Nethermind",
    "ownnoncealreadyused": "older Nethermind",
  }],
  ["reserved", {
    "address already reserved": "geth, Reth",
    "conflicts with existing transaction": "Reth's pool",
    "pending transaction type conflict": "Nethermind",
    "pendingtxsofconflictingtype": "older Nethermind",
    "pendingtxsofothertype": "older Nethermind",
    "can't replace blob-txn with a non-blob-txn": "Erigon",
  }],
  ["nonce too low", {
    "nonce too low": "geth, Nethermind, Besu, Erigon, Reth, anvil",
    "oldnonce": "older Nethermind",
    "nonce is too low": "OpenEthereum, and providers in front of it",
  }],
  ["nonce too high", {
    "nonce too high": "geth, Nethermind, Besu, Reth, anvil",
    "future transaction tries to replace pending": "geth",
    "gapped-nonce tx": "geth, of accounts with code (EIP-7702)",
    "noncegap": "older Nethermind",
    "noncetoofarinfuture": "older Nethermind",
    "nonce too far in future": "Nethermind",
    "nonce is too distant from current sender nonce": "Besu",
    "invalid transaction with a lower nonce exists": "Besu",
  }],
  ["insufficient funds", {
    "insufficient funds": "geth, Nethermind, Erigon, Reth, anvil",
    "insufficientfunds": "older Nethermind",
    "upfront cost exceeds account balance": "Besu",
    "overdraws from account": "Reth's pool",
    "transaction would cause overdraft": "older geth",
  }],
  ["pool full", {
    "txpool is full": "geth, Reth",
    "pool size constraints": "Reth's pool",
    "account limit exceeded": "geth's blob pool",
    "in-flight transaction limit": "geth, of accounts with code (EIP-7702)",
    "sub-pool is full": "Erigon",
    "blobs limit in txpool is full": "Erigon",
    "spammer": "Erigon; Reth's pool",
    "feetoolowtocompete": "older Nethermind, when its pool is full",
    "transaction pool not enabled": "Besu, while it is behind",
    "node is syncing": "Nethermind",
  }],
  ["blob fee too low", {
    "less than block blob gas fee": "geth, Reth; Besu's validator",
    "blob fee cap": "geth's blob pool, behind `transaction gas price below minimum`",
    "blob gas price below current blob base fee": "Besu",
    "max fee per blob gas too low": "Erigon",
    "`blob_gas_price` is greater than": "anvil",
    "maxfeeperblobgas": "Nethermind: InsufficientMaxFeePerBlobGas",
  }],
  ["fee below floor", {
    "underpriced": "geth, Nethermind, Erigon, Reth",
    "gas price below minimum": "geth, with the tip",
    "less than block base fee": "geth, Reth, anvil",
    "below chain minimum": "Reth's pool",
    "below minimum required priority fee": "Reth",
    "below configured minimum gas price": "Besu",
    "below current base fee": "Besu",
    "fee too low": "Erigon",
    "fee_too_low": "Erigon, before its own words",
    "feetoolow": "older Nethermind",
  }],
  ["sidecar refused", {
    "sidecar version": "geth: unexpected sidecar version, want: 1, got: 0",
    "sidecar after osaka": "Reth: unexpected eip-4844 sidecar after osaka",
    "sidecar before osaka": "Reth: unexpected eip-7594 sidecar before osaka",
    "missing sidecar": "geth",
    "without sidecar": "anvil",
    "blob sidecar not found": "Reth",
    "blob proof": "geth: invalid number of 6 blob proofs expected 768; invalid blob proof",
    "invalidblobproof": "Nethermind",
    "invalidtxproofversion": "Nethermind: Version of network wrapper is not supported",
    "version of network wrapper": "Nethermind",
    "invalidtxblobdata": "older Nethermind",
    "failed kzg validation": "Besu",
    "blobs, commitments and proofs must": "Erigon",
    "must match the corresponding blobs and proofs": "Erigon",
    "kzg": "geth: kzg verification failed; anvil and Reth: a proof that does not fit",
    // A form that a node does not know is one that it cannot read.
    "rlp": "geth, Erigon, Nethermind",
    "failed to decode": "Reth, anvil",
    "unable to parse": "Besu",
  }],
];

/** All the texts, in the order in which they are looked for. */
export const NODE_TEXTS: readonly NodeText[] = ROWS.flatMap(([answer, texts]) =>
  Object.entries(texts).map(([text, nodes]) => ({ answer, text, nodes }))
);

/**
 * What a node said about a transaction that was sent. An error that is no answer of a node (none came,
 * or the node is busy) is `unknown`: the transaction may have arrived.
 */
export function classify(error: unknown): NodeAnswer {
  if (!(error instanceof RpcError) || error.code !== "Answered") return "unknown";
  const said = error.message.toLowerCase();
  return NODE_TEXTS.find(({ text }) => said.includes(text))?.answer ?? "unknown";
}
