import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
import { classify, NODE_TEXTS, type NodeAnswer } from "../../src/l1/node_errors.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { systemClock } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { ANVIL_ACCOUNTS, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { said } from "./scripted_node.ts";
import { GWEI, type Sending, sending, wrongProof } from "./sending.ts";

/** Whole answers, with the numbers that stand in them. */
const ANSWERS: Readonly<Record<NodeAnswer, Readonly<Record<string, readonly string[]>>>> = {
  "already known": {
    geth: ["already known"],
    Nethermind: ["AlreadyKnown", "already known"],
    Besu: ["Known transaction"],
    Erigon: [
      "ALREADY_EXISTS: already known",
      "ALREADY_EXISTS: existing txn with same hash",
      "INTERNAL_ERROR: existing tx with same hash",
    ],
    Reth: ["already known"],
    anvil: ["transaction already imported"],
  },
  "nonce too low": {
    geth: ["nonce too low: next nonce 12, tx nonce 11"],
    Nethermind: ["OldNonce, Current nonce: 12, nonce of rejected tx: 11", "nonce too low"],
    Besu: ["Nonce too low"],
    Erigon: ["INTERNAL_ERROR: nonce too low"],
    Reth: ["nonce too low: next nonce 12, tx nonce 11"],
    anvil: ["nonce too low"],
    providers: ["Transaction nonce is too low. Try incrementing the nonce."],
  },
  "nonce too high": {
    geth: [
      "nonce too high: tx nonce 9, gapped nonce 7",
      "future transaction tries to replace pending",
      "gapped-nonce tx from delegated accounts",
    ],
    Nethermind: [
      "NonceTooFarInFuture",
      "NonceGap, Future nonce. Expected nonce: 5",
      "nonce too far in future",
    ],
    Besu: [
      "Nonce too high",
      "Transaction nonce is too distant from current sender nonce",
      "An invalid transaction with a lower nonce exists",
    ],
    Reth: ["nonce too high"],
    anvil: ["Nonce too high"],
  },
  "replacement underpriced": {
    geth: [
      "replacement transaction underpriced",
      "replacement transaction underpriced: new tx gas fee cap 100 < 199 queued + 100% replacement penalty",
      "replacement transaction underpriced: new tx blob gas fee cap 1 < 2 queued + 100% replacement penalty",
    ],
    Nethermind: [
      "OwnNonceAlreadyUsed",
      "ReplacementNotAllowed",
      "replacement transaction underpriced",
    ],
    Besu: ["Replacement transaction underpriced"],
    Erigon: [
      "FEE_TOO_LOW: replacement transaction underpriced",
      "INTERNAL_ERROR: could not replace existing tx",
    ],
    Reth: [
      "[0xab]: insufficient gas price to replace existing transaction",
      "replacement transaction underpriced",
    ],
    anvil: ["replacement transaction underpriced"],
  },
  "fee below floor": {
    geth: [
      "transaction underpriced: tip needed 1000000000, tip permitted 1",
      "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
      "max fee per gas less than block base fee: address 0xAb, maxFeePerGas: 1, baseFee: 7",
    ],
    Nethermind: [
      "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7",
      "transaction underpriced",
    ],
    Besu: ["Gas price below configured minimum gas price", "Gas price below current base fee"],
    Erigon: ["FEE_TOO_LOW: underpriced", "FEE_TOO_LOW: fee too low"],
    Reth: [
      "transaction feeCap 1 below chain minimum",
      "transaction underpriced",
      "transaction priority fee below minimum required priority fee 1",
    ],
    anvil: ["max fee per gas less than block base fee"],
  },
  "insufficient funds": {
    geth: [
      "transaction would cause overdraft",
      "insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1",
      "insufficient funds for gas * price + value: balance 5, queued cost 4, tx cost 2, overshot 1",
    ],
    Nethermind: [
      "InsufficientFunds, Balance is 1 less than sending value + gas 2",
      "insufficient funds for gas * price + value",
    ],
    Besu: ["Upfront cost exceeds account balance"],
    Erigon: ["INTERNAL_ERROR: insufficient funds"],
    Reth: [
      "transaction overdraws from account",
      "insufficient funds for gas * price + value: have 1 want 2",
    ],
    anvil: ["Insufficient funds for gas * price + value"],
  },
  "reserved": {
    geth: ["address already reserved"],
    Nethermind: [
      "PendingTxsOfConflictingType",
      "PendingTxsOfOtherType",
      "pending transaction type conflict",
    ],
    Erigon: ["INTERNAL_ERROR: can't replace blob-txn with a non-blob-txn"],
    Reth: [
      "address already reserved",
      "transaction type 2 conflicts with existing transaction for 0xAb",
    ],
  },
  "blob fee too low": {
    geth: ["transaction gas price below minimum: blob fee cap 0, minimum needed 1"],
    Nethermind: ["InsufficientMaxFeePerBlobGas: Not enough to cover blob gas fee."],
    Besu: ["blob gas price below current blob base fee"],
    Erigon: ["max fee per blob gas too low"],
    Reth: ["max fee per blob gas less than block blob gas fee"],
    anvil: ["Block `blob_gas_price` is greater than tx-specified `max_fee_per_blob_gas`"],
  },
  "sidecar refused": {
    geth: [
      "unexpected sidecar version, want: 1, got: 0",
      "invalid number of 6 blob proofs expected 768",
      "missing sidecar in blob transaction",
      "rlp: expected input string or byte for types.BlobSidecar, decoding into (types.blobTxWithBlobs).BlobTx",
    ],
    Nethermind: [
      "InvalidBlobProof: Proofs do not match the blobs.",
      "InvalidTxBlobData: Number of blobs, hashes, commitments and proofs must match.",
      "Invalid, InvalidTxProofVersion: Version of network wrapper is not supported.",
    ],
    Besu: ["blobs failed kzg validation", "Invalid block, unable to parse RLP"],
    Erigon: [
      "INVALID: blob_versioned_hashes, blobs, commitments and proofs must have equal number",
      "INVALID: KZGcommitments must match the corresponding blobs and proofs",
    ],
    Reth: [
      "blob sidecar not found for EIP4844 transaction",
      "unexpected eip-4844 sidecar after osaka",
      "unexpected eip-7594 sidecar before osaka",
      "failed to decode signed transaction",
    ],
    anvil: ["eip4844 tx variant without sidecar being used for verification.", "invalid KZG proof"],
  },
  "pool full": {
    geth: [
      "in-flight transaction limit reached for delegated accounts",
      "txpool is full",
      "account limit exceeded: pooled 16 txs",
    ],
    Nethermind: ["FeeTooLowToCompete", "node is syncing"],
    Besu: [
      "Transaction pool not enabled. (Either txpool explicitly disabled, or node not yet in sync).",
    ],
    Erigon: [
      "INTERNAL_ERROR: pending sub-pool is full",
      "INTERNAL_ERROR: blobs limit in txpool is full",
    ],
    Reth: [
      "transaction discarded outright due to pool size constraints",
      "rejected due to 0xAb being identified as a spammer",
      "txpool is full",
    ],
  },
  "unknown": {
    geth: [
      "tx fee (1.20 ether) exceeds the configured cap (1.00 ether)",
      "exceeds block gas limit",
      "invalid sender",
      "intrinsic gas too low: gas 1, minimum needed 21000",
      "transaction type not supported",
    ],
    Besu: ["Sender account not authorized to send transactions", "Wrong chainId"],
    anvil: ["invalid chain id for signer", "Method not found"],
    nobody: [""],
  },
};

for (const [answer, byNode] of Object.entries(ANSWERS)) {
  test(`what nodes say is told to be: ${answer}`, () => {
    for (const [node, texts] of Object.entries(byNode)) {
      for (const text of texts) equal(classify(said(text)), answer, `${node}: ${text}`);
    }
  });
}

test("each text of the table is one that a node says here", () => {
  const answers = Object.values(ANSWERS).flatMap((byNode) => Object.values(byNode).flat());
  const missing = NODE_TEXTS.filter(({ text }) =>
    !answers.some((each) => each.toLowerCase().includes(text))
  );
  deepEqual(missing, []);
});

test("a table text hides none that stands behind it", () => {
  for (const [index, { text, answer }] of NODE_TEXTS.entries()) {
    const behind = NODE_TEXTS.slice(index + 1).filter((each) => each.answer !== answer);
    const hidden = behind.find((each) => each.text.includes(text));
    equal(hidden, undefined, `${text} is found first`);
  }
});

test("what is no answer of a node is unknown", () => {
  for (const code of ["Unreachable", "Timeout", "Busy", "Invalid", "Refused"] as const) {
    equal(classify(new RpcError(code, "nonce too low")), "unknown");
  }
  equal(classify(new Error("nonce too low")), "unknown");
  equal(classify(undefined), "unknown");
});

const skip = skipWithoutAnvil("what anvil says of transactions");

test("what anvil says of transactions is told apart", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true, args: ["--no-request-size-limit"] });
  const node = new HttpJsonRpc({ url: anvil.url, clock: systemClock, timeoutMs: 60_000 });
  const sendRaw = (raw: Uint8Array) =>
    node.request("eth_sendRawTransaction", [toHex(raw)]).then(() => "taken", classify);
  const send = async (options: Sending) => await sendRaw((await sending(options)).raw);

  for (const blobs of [0, 1]) {
    const from = ANVIL_ACCOUNTS[blobs]!;
    equal(await send({ from, blobs }), "taken");
    equal(await send({ from, blobs }), "already known");
    const input = Uint8Array.of(1);
    equal(await send({ from, blobs, input }), "replacement underpriced");
    await anvil.mine();
    equal(await send({ from, blobs }), "nonce too low");
    equal(await send({ from, blobs, nonce: 1n, fee: 1n, tip: 1n }), "fee below floor");
    equal(await send({ from, blobs, nonce: 1n, fee: 10n ** 20n }), "insufficient funds");
    equal(await send({ from, blobs, nonce: 1n, chainId: 5n }), "unknown");
  }
  equal(await send({ nonce: 1n, blobs: 1, blobFee: 0n }), "blob fee too low");
  equal(await send({ nonce: 1n, blobs: 7 }), "unknown");
  const { signed } = await sending({ nonce: 1n, blobs: 1, blobFee: 2n * GWEI });
  equal(await sendRaw(signed.raw), "sidecar refused");
  for (const form of ["cells", "legacy"] as const) {
    const { raw } = await wrongProof(form, { nonce: 1n, blobFee: 2n * GWEI });
    equal(await sendRaw(raw), "sidecar refused", form);
  }
  equal(await sendRaw(Uint8Array.of(3, 0xc0)), "sidecar refused");
  ok(await anvil.head() > 0n);
});
