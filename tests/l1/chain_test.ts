import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
import type { BlockTag } from "../../src/ethereum.ts";
import { blobBaseFeeOf, RpcChain } from "../../src/l1/chain.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { systemClock } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { type Anvil, ANVIL_ACCOUNTS, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { said, type ScriptedAnswer, ScriptedNode } from "./scripted_node.ts";
import { GWEI, INBOX, sending, ZERO_BLOB_HASH } from "./sending.ts";

const skip = skipWithoutAnvil("the chain of a node");
const [account] = ANVIL_ACCOUNTS as [(typeof ANVIL_ACCOUNTS)[0]];

function chainOf(anvil: Anvil): RpcChain {
  return new RpcChain(new HttpJsonRpc({ url: anvil.url, clock: systemClock, timeoutMs: 60_000 }));
}

test("RpcChain reads blocks, transactions and receipts of anvil", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true });
  const chain = chainOf(anvil);
  equal(await chain.chainId(), 31337n);
  equal(chain.name, new URL(anvil.url).host);
  const plain = await sending({ input: Uint8Array.of(7, 8), tip: 2n * GWEI });
  const blobs = await sending({ nonce: 1n, blobs: 2 });
  equal(await chain.knows(plain.signed.hash), false);
  deepEqual(await chain.send(plain.raw), plain.signed.hash);
  deepEqual(await chain.send(blobs.raw), blobs.signed.hash);
  equal(await chain.knows(plain.signed.hash), true);
  equal(await chain.receipt(plain.signed.hash), undefined, "it is in the pool");
  equal(await chain.nonce(account.address, "latest"), 0n);
  equal(await chain.nonce(account.address, "pending"), 2n);
  const before = await chain.balance(account.address);
  await anvil.mine();

  const block = (await chain.block(1n))!;
  deepEqual(block.header, await chain.header("latest"));
  deepEqual(block.header, await chain.header(1n));
  deepEqual(block.header.parentHash, (await chain.header(0n))!.hash);
  equal(block.header.blobGasUsed, 2n * 131_072n);
  deepEqual(block.transactions.map(({ hash }) => hash), [plain.signed.hash, blobs.signed.hash]);
  const [first, second] = block.transactions;
  deepEqual(first!.input, Uint8Array.of(7, 8));
  deepEqual(first!.to, INBOX);
  deepEqual(first!.blobHashes, []);
  deepEqual(second!.blobHashes, [ZERO_BLOB_HASH, ZERO_BLOB_HASH]);
  for (const each of block.transactions) deepEqual(await each.sender(), account.address);

  const receipts = [plain, blobs].map(({ signed }) => chain.receipt(signed.hash));
  const [one, two] = await Promise.all(receipts);
  equal(one!.isSuccess, true);
  deepEqual(one!.blockHash, block.header.hash);
  equal(one!.blockNumber, 1n);
  deepEqual([one!.blobGasUsed, one!.blobGasPrice], [0n, 0n]);
  equal(one!.effectiveGasPrice, block.header.baseFeePerGas + 2n * GWEI);
  deepEqual([two!.gasUsed, two!.blobGasUsed, two!.blobGasPrice], [21_000n, 262_144n, 1n]);
  const paid = [one!, two!].map((each) =>
    each.gasUsed * each.effectiveGasPrice + each.blobGasUsed * each.blobGasPrice
  );
  equal(await chain.balance(account.address), before - paid[0]! - paid[1]!);
  equal(await chain.nonce(account.address, "latest"), 2n);
  equal(await chain.tip(), GWEI);
  equal(await chain.blobBaseFee(), 1n);
  equal(await chain.block(2n), undefined);
  equal(await chain.header(2n), undefined);
  await rejects(chain.send(plain.raw), { code: "Answered", message: "nonce too low" });

  await anvil.mine(70);
  const heads = ["latest", "safe", "finalized", "pending"] as const;
  const numbers = await Promise.all(heads.map((tag) => chain.header(tag)));
  deepEqual(numbers.map((header) => header!.number), [71n, 39n, 7n, 72n]);

  await anvil.rpc("anvil_reorg", [71, []]);
  equal(await chain.receipt(blobs.signed.hash), undefined);
  equal(await chain.knows(blobs.signed.hash), false);
  equal((await chain.block(1n))!.transactions.length, 0);
  ok(toHex((await chain.header(1n))!.hash) !== toHex(block.header.hash));
});

test("RpcChain tells how blobs travel, by the fork of the node", { skip }, async () => {
  for (
    const [hardfork, form] of [["osaka", "cells"], ["prague", "legacy"], ["cancun", "legacy"]]
  ) {
    await using anvil = await startAnvil({ hardfork: hardfork! });
    equal(await chainOf(anvil).sidecarForm(), form);
  }
});

test("a full blob transaction, and a block with it, go through to anvil", { skip }, async () => {
  await using anvil = await startAnvil();
  const chain = chainOf(anvil);
  const { raw, signed } = await sending({ blobs: 6 });
  deepEqual(await chain.send(raw), signed.hash);
  while (await chain.receipt(signed.hash) === undefined) await systemClock.sleep(20);
  const { transactions } = (await chain.block(1n))!;
  equal(transactions[0]!.blobHashes.length, 6);
});

test("RpcChain tells of eth_config what it can", async () => {
  const form = async (eth_config: ScriptedAnswer) =>
    await new RpcChain(new ScriptedNode({ eth_config })).sidecarForm();
  const config = (precompiles: unknown) => ({ current: { precompiles } });
  equal(await form(config({ P256VERIFY: "0x0000000000000000000000000000000000000100" })), "cells");
  equal(
    await form(config({ "0x0000000000000000000000000000000000000100": "P256VERIFY" })),
    "cells",
  );
  equal(await form(config({ ECREC: "0x01" })), "legacy");
  for (const answer of [null, "0x", {}, { current: null }, config(null), config("P256VERIFY")]) {
    equal(await form(answer), undefined);
  }
  equal(await form(said("the method eth_config does not exist", -32601)), undefined);
  equal(await new RpcChain(new ScriptedNode({})).sidecarForm(), undefined);
  const down = new RpcError("Timeout", "no answer");
  await rejects(form(down), down);
});

const HASH = "0x" + "ab".repeat(32);
const HEADER = {
  number: "0x7",
  hash: HASH,
  parentHash: "0x" + "cd".repeat(32),
  timestamp: "0x65",
  baseFeePerGas: "0x3b9aca00",
  blobGasUsed: "0x20000",
  excessBlobGas: "0x40000",
  transactions: [] as unknown[],
};
const RECEIPT = {
  transactionHash: HASH,
  blockNumber: "0x7",
  blockHash: "0x" + "cd".repeat(32),
  status: "0x1",
  gasUsed: "0x5208",
  effectiveGasPrice: "0x9",
};
const TRANSACTION = {
  hash: HASH,
  type: "0x2",
  to: null,
  input: "0x",
};
const hashBytes = new Uint8Array(32).fill(0xab);

/** What is asked, and of whom, by a chain whose node gives this answer. */
function answering(method: string, answer: ScriptedAnswer): RpcChain {
  return new RpcChain(new ScriptedNode({ [method]: answer }));
}

test("a header from before Cancun has no blobs, and a pending one need not have a hash", async () => {
  const { blobGasUsed: _, excessBlobGas: __, ...old } = HEADER;
  const header = await answering("eth_getBlockByNumber", old).header(7n);
  deepEqual(header, {
    number: 7n,
    hash: hashBytes,
    parentHash: new Uint8Array(32).fill(0xcd),
    timestamp: 101n,
    baseFeePerGas: GWEI,
    blobGasUsed: 0n,
    excessBlobGas: 0n,
  });
  const pending = answering("eth_getBlockByNumber", { ...HEADER, hash: null });
  deepEqual((await pending.header("pending"))!.hash, new Uint8Array(32));
  await rejects(pending.header("latest"), /hash/);
});

test("a head that a node does not know is undefined", async () => {
  const unknown = [
    null,
    said("finalized block not found"),
    said("safe block not found"),
    said("pending block is not available"),
    said("Unknown block", -39001),
    said("unknown block"),
    said("invalid argument 0: hex string without 0x prefix", -32602),
    said("block not found: finalized", -32001),
  ];
  for (const tag of ["safe", "finalized", "pending"] as const) {
    for (const answer of unknown) {
      equal(await answering("eth_getBlockByNumber", answer).header(tag), undefined, `${answer}`);
    }
  }
  for (const text of ["pruned history unavailable", "missing trie node", "execution timeout"]) {
    const chain = answering("eth_getBlockByNumber", said(text));
    await rejects(chain.header("finalized"), { code: "Answered", message: text });
    await rejects(chain.block(7n), { code: "Answered" });
  }
  const invalid = answering("eth_getBlockByNumber", said("invalid argument", -32602));
  await rejects(invalid.header(7n), { code: "Answered" });
});

test("heads are asked for by name, blocks by number", async () => {
  const node = new ScriptedNode({ eth_getBlockByNumber: null, eth_getTransactionCount: "0x2" });
  const chain = new RpcChain(node);
  const tags: BlockTag[] = ["latest", "safe", "finalized", "pending", 0n, 300n];
  for (const tag of tags) await chain.header(tag);
  await chain.block(300n);
  await chain.nonce(INBOX, 300n);
  deepEqual(
    node.calls.map(({ params }) => params),
    [
      ...["latest", "safe", "finalized", "pending", "0x0", "0x12c"].map((tag) => [tag, false]),
      ["0x12c", true],
      [toHex(INBOX), "0x12c"],
    ],
  );
});

test("an answer of the wrong form names its field, and may be right the next time", async () => {
  const invalid = async (action: Promise<unknown>, pattern: RegExp) => {
    const error: RpcError = await action.then(() => undefined, (error) => error);
    ok(error instanceof RpcError, `${pattern}`);
    equal(error.code, "Invalid");
    equal(error.isRetryable, true);
    match(error.message, /^Cannot use what scripted answered to eth_/);
    match(error.message, pattern);
  };
  const block = (fields: object) =>
    answering("eth_getBlockByNumber", { ...HEADER, ...fields }).block(7n);
  const wrongs = [undefined, null, "", "0x", "7", "0xzz", 7, {}, "0x" + "1".repeat(65)];
  for (const field of ["number", "timestamp"]) {
    for (const value of wrongs) await invalid(block({ [field]: value }), new RegExp(field));
  }
  for (const field of ["hash", "parentHash"]) {
    for (const value of [...wrongs, "0x1234", HASH + "00"]) {
      await invalid(block({ [field]: value }), new RegExp(field));
    }
  }
  for (const field of ["baseFeePerGas", "blobGasUsed", "excessBlobGas"]) {
    for (const value of wrongs.slice(2)) {
      await invalid(block({ [field]: value }), new RegExp(field));
    }
  }
  await invalid(block({ number: "0x8" }), /number: need 7, have "8"/);
  await invalid(block({ transactions: undefined }), /transactions: need a list/);
  await invalid(block({ transactions: [TRANSACTION, HASH] }), /transaction 1: /);
  await invalid(
    block({ transactions: [{ ...TRANSACTION, input: "0x1" }] }),
    /transaction 0: .*input/,
  );
  for (const answer of ["0x", [], 7 as unknown as string]) {
    await invalid(
      answering("eth_getBlockByNumber", answer).block(7n),
      /the answer: need an object/,
    );
  }

  const receipt = (fields: object) =>
    answering("eth_getTransactionReceipt", { ...RECEIPT, ...fields }).receipt(hashBytes);
  equal((await receipt({}))!.isSuccess, true);
  equal((await receipt({ status: "0x0" }))!.isSuccess, false);
  equal(await receipt({ blockHash: null, blockNumber: null }), undefined);
  for (
    const field of ["blockNumber", "status", "gasUsed", "effectiveGasPrice", "transactionHash"]
  ) {
    await invalid(receipt({ [field]: undefined }), new RegExp(field));
  }
  await invalid(receipt({ status: "0x2" }), /status/);
  await invalid(receipt({ blobGasPrice: 1 }), /blobGasPrice/);
  await invalid(receipt({ blockHash: "0x12" }), /blockHash/);
  await invalid(receipt({ transactionHash: RECEIPT.blockHash }), /transactionHash: need 0xabab/);

  const knows = (answer: ScriptedAnswer) =>
    answering("eth_getTransactionByHash", answer).knows(hashBytes);
  equal(await knows({ hash: HASH }), true);
  equal(await knows(null), false);
  await invalid(knows({ hash: RECEIPT.blockHash }), /hash: need 0xabab/);

  for (const answer of [null, "", "0x", "12", {}, 12 as unknown as string]) {
    await invalid(answering("eth_getBalance", answer).balance(INBOX), /the answer: need a number/);
    await invalid(answering("eth_chainId", answer).chainId(), /the answer/);
    await invalid(answering("eth_maxPriorityFeePerGas", answer).tip(), /the answer/);
    await invalid(answering("eth_blobBaseFee", answer).blobBaseFee(), /the answer/);
    await invalid(answering("eth_sendRawTransaction", answer).send(INBOX), /the hash/);
  }
});

test("while geth indexes, a receipt cannot be told", async () => {
  const chain = answering("eth_getTransactionReceipt", said("transaction indexing is in progress"));
  await rejects(chain.receipt(hashBytes), { code: "Busy", isRetryable: true });
});

test("the blob base fee is reckoned from the head where a node cannot tell it", async () => {
  const excessBlobGas = `0x${(60n * 131_072n).toString(16)}`;
  const fee = async (fields: object) => {
    const node = new ScriptedNode({
      eth_getBlockByNumber: { ...HEADER, excessBlobGas, ...fields },
    });
    const chain = new RpcChain(node);
    const reckoned = await chain.blobBaseFee();
    await chain.blobBaseFee();
    equal(node.methods.filter((each) => each === "eth_blobBaseFee").length, 1, "asked once");
    return reckoned;
  };
  const blobs = (count: bigint) => ({ blobGasUsed: `0x${(count * 131_072n).toString(16)}` });
  const prague = { requestsHash: HASH };
  equal(await fee({ ...blobs(3n) }), blobBaseFeeOf(60n * 131_072n, 3_338_477n));
  equal(await fee({ ...blobs(6n) }), blobBaseFeeOf(63n * 131_072n, 3_338_477n));
  equal(await fee({ ...blobs(9n), ...prague }), blobBaseFeeOf(63n * 131_072n, 5_007_716n));
  equal(await fee({ ...blobs(0n), excessBlobGas: "0x20000" }), 1n);
  const other = new ScriptedNode({ eth_blobBaseFee: said("header not found") });
  await rejects(new RpcChain(other).blobBaseFee(), { message: "header not found" });
});

test("the blob base fee is that of EIP-4844", () => {
  // Of its reference tests, with the fraction of Cancun.
  const vectors: [bigint, bigint][] = [
    [0n, 1n],
    [2_314_057n, 1n],
    [2_314_058n, 2n],
    [10n * 1024n * 1024n, 23n],
  ];
  for (const [excess, fee] of vectors) equal(blobBaseFeeOf(excess, 3_338_477n), fee);
  // A target of blobs more in each block makes it rise by 12.5 %.
  const [low, high] = [1000n, 1001n].map((blocks) =>
    blobBaseFeeOf(blocks * 3n * 131_072n, 3_338_477n)
  );
  equal(high! * 1000n / low!, 1125n);
});

test("the blob base fee rises with full blocks, as RpcChain reckons it", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true, excessBlobGas: 100n * 131_072n });
  const chain = chainOf(anvil);
  const fees: bigint[] = [];
  for (let nonce = 0n; nonce < 8n;) {
    for (const blobs of [6, 3]) {
      await chain.send((await sending({ nonce: nonce++, blobs, form: "legacy" })).raw);
    }
    fees.push(await chain.blobBaseFee());
    await anvil.mine();
    const { excessBlobGas, blobGasUsed } = (await chain.header("latest"))!;
    equal(blobGasUsed, 9n * 131_072n);
    // At block 0 anvil reckons with another fraction.
    if (fees.length > 1) equal(fees.at(-1), blobBaseFeeOf(excessBlobGas, 5_007_716n));
  }
  deepEqual(fees.slice(1), [14n, 16n, 17n]);
});

test("RpcChain reads blocks that are older than London and Cancun", async () => {
  const { baseFeePerGas: _, blobGasUsed: __, excessBlobGas: ___, ...berlin } = HEADER;
  const header = (await answering("eth_getBlockByNumber", berlin).block(7n))!.header;
  deepEqual([header.baseFeePerGas, header.blobGasUsed, header.excessBlobGas], [0n, 0n, 0n]);
});
