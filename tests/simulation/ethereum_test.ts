/** The simulated Ethereum keeps to the rules of the real one, or what runs on it shows nothing. */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import type { FeeCaps, UnsignedTransaction } from "../../src/ethereum.ts";
import { encodeBlob } from "../../src/wire/blob.ts";
import { noise } from "../helpers.ts";
import { paid, SimulatedEthereum } from "./ethereum.ts";
import { blobBaseFeeOf, excessBlobGasFor, gasOf } from "./ethereum_fees.ts";
import { SimulatedNode } from "./ethereum_node.ts";
import {
  decodeFake,
  encodeNetwork,
  FakeKzg,
  FakeSigner,
  versionedHash,
} from "./ethereum_transactions.ts";

const GWEI = 1_000_000_000n;
const ETHER = 10n ** 18n;
const alice = new FakeSigner(noise(20, 1));
const inbox = noise(20, 2);
const kzg = new FakeKzg();

function feesOf(gwei: bigint, blobFee = 0n): FeeCaps {
  return {
    maxFeePerGas: gwei * GWEI,
    maxPriorityFeePerGas: gwei * GWEI / 10n,
    maxFeePerBlobGas: blobFee,
  };
}

function draft(nonce: bigint, fees = feesOf(10n), input = noise(40)): UnsignedTransaction {
  return { chainId: 31_337n, nonce, to: inbox, input, gas: gasOf(input), fees, blobHashes: [] };
}

async function plain(nonce: bigint, fees?: FeeCaps, input?: Uint8Array): Promise<Uint8Array> {
  return (await alice.sign(draft(nonce, fees, input))).raw;
}

async function withBlobs(nonce: bigint, fees: FeeCaps, count = 1): Promise<Uint8Array> {
  const blobs = Array.from({ length: count }, (_, index) => encodeBlob(noise(100, index)));
  const commitments = await Promise.all(blobs.map((blob) => kzg.commitment(blob)));
  const proofs = (await Promise.all(blobs.map((blob) => kzg.cellProofs(blob)))).flat();
  const blobHashes = commitments.map(versionedHash);
  const { raw } = await alice.sign({ ...draft(nonce, fees, noise(8)), blobHashes });
  return encodeNetwork(raw, { blobs, commitments, proofs }, "cells");
}

function world() {
  const ethereum = new SimulatedEthereum();
  ethereum.fund(alice.address, 100n * ETHER);
  return { ethereum, node: new SimulatedNode(ethereum) };
}

test("decodeFake() reads what FakeSigner signed, with a sidecar and without", async () => {
  for (const raw of [await plain(7n), await withBlobs(7n, feesOf(10n, GWEI), 2)]) {
    const { from, nonce, to, sidecar, blobHashes, fees } = decodeFake(raw);
    deepEqual([from, nonce, to], [alice.address, 7n, inbox]);
    equal(sidecar?.blobs.length ?? 0, blobHashes.length);
    equal(fees.maxFeePerGas, 10n * GWEI);
    const changed = raw.slice();
    changed[changed.length - 5]! ^= 1;
    await rejects(Promise.resolve().then(() => decodeFake(changed)));
  }
});

test("SimulatedEthereum includes what pays, in the order of nonces, and takes the price", async () => {
  const { ethereum, node } = world();
  const second = await node.send(await plain(1n));
  equal(await node.nonce(alice.address, "pending"), 0n);
  const first = await node.send(await plain(0n));
  const dear = await node.send(await plain(2n, feesOf(30n)));
  equal(await node.nonce(alice.address, "pending"), 3n);
  equal(await node.receipt(first), undefined);
  ethereum.slot();
  deepEqual(ethereum.head.transactions.map(({ hash }) => hash), [first, second, dear]);
  const receipts = await Promise.all([first, second, dear].map((hash) => node.receipt(hash)));
  const spent = receipts.reduce((sum, receipt) => sum + paid(receipt!), 0n);
  equal(await node.balance(alice.address), 100n * ETHER - spent);
  equal(await node.nonce(alice.address, "latest"), 3n);
  equal(await node.nonce(alice.address, "finalized"), 0n);
});

test("SimulatedEthereum leaves out what does not meet the fees of a block, until it does", async () => {
  const { ethereum, node } = world();
  const hash = await node.send(await withBlobs(0n, feesOf(10n, GWEI), 6));
  ethereum.setFees({ blobBaseFee: 50n * GWEI });
  ethereum.slots(3);
  equal(await node.receipt(hash), undefined);
  ok(await node.blobBaseFee() > GWEI);
  ethereum.setFees({ blobBaseFee: GWEI / 2n });
  ethereum.slot();
  const receipt = (await node.receipt(hash))!;
  equal(receipt.blobGasUsed, 6n * 131_072n);
  ok(receipt.blobGasPrice <= GWEI);
  equal((await node.header("latest"))!.blobGasUsed, receipt.blobGasUsed);
});

test("Pool answers as geth does", async () => {
  const { ethereum, node } = world();
  const refused = async (raw: Promise<Uint8Array>, message: RegExp) => {
    await rejects(node.send(await raw), { name: "RpcError", code: "Answered", message });
  };
  await node.send(await plain(0n));
  await refused(plain(0n), /already known/);
  await refused(plain(0n, feesOf(10n), noise(41)), /replacement transaction underpriced/);
  await refused(withBlobs(1n, feesOf(10n, GWEI)), /address already reserved/);
  await refused(plain(1n, feesOf(10n ** 9n)), /insufficient funds for gas/);
  await node.send(await plain(0n, feesOf(11n), noise(41)));
  ethereum.slot();
  await refused(plain(0n, feesOf(12n)), /nonce too low: next nonce 1, tx nonce 0/);
  await node.send(await withBlobs(1n, feesOf(10n, GWEI)));
  await refused(withBlobs(1n, feesOf(15n, 2n * GWEI)), /replacement transaction underpriced/);
  await refused(withBlobs(1n, feesOf(20n, GWEI)), /replacement transaction underpriced/);
  await node.send(await withBlobs(1n, feesOf(20n, 2n * GWEI)));
  await refused(withBlobs(2n, feesOf(20n, GWEI), 7), /too many blobs/);
  await refused(plain(2n), /address already reserved/);
});

test("Blob fees rise by blocks full of blobs, and are those of the excess", () => {
  const ethereum = new SimulatedEthereum({
    blobBaseFee: GWEI,
    traffic: () => ({ gasShare: 1, blobs: 9 }),
  });
  ethereum.slots(40);
  const { header, blobBaseFee } = ethereum.head;
  ok(blobBaseFee > 15n * GWEI, `${blobBaseFee}`);
  ok(header.baseFeePerGas > 90n * GWEI, `${header.baseFeePerGas}`);
  equal(blobBaseFee, blobBaseFeeOf(header.excessBlobGas));
  for (const fee of [1n, 1000n, GWEI, 50n * GWEI]) {
    const played = Number(blobBaseFeeOf(excessBlobGasFor(fee)));
    ok(Math.abs(played / Number(fee) - 1) < 0.001, `${fee}: ${played}`);
  }
});

test("SimulatedEthereum.reorganise() gives transactions back or drops them, never what is final", async () => {
  for (const returned of [1, 0]) {
    const { ethereum, node } = world();
    const hash = await node.send(await plain(0n));
    ethereum.slots(70);
    const final = (await node.header("finalized"))!;
    const before = (await node.receipt(hash))!;
    ethereum.reorganise(5);
    deepEqual(await node.receipt(hash), before);
    const late = await node.send(await plain(1n));
    ethereum.slots(3);
    const head = (await node.header("latest"))!;
    ethereum.reorganise(3, { returned, empty: 1 });
    const now = (await node.header("latest"))!;
    equal(now.number, head.number);
    ok(`${now.hash}` !== `${head.hash}`);
    equal(await node.receipt(late), undefined);
    equal(await node.knows(late), returned === 1);
    equal(await node.nonce(alice.address, "latest"), 1n);
    ethereum.slot();
    equal((await node.receipt(late)) !== undefined, returned === 1);
    ethereum.reorganise(1000, { returned: 0 });
    equal(ethereum.head.header.number, head.number + 1n);
    const { number } = final;
    deepEqual(await node.header(number), final);
    for (const [index, block] of ethereum.blocks.slice(1).entries()) {
      deepEqual(block.header.parentHash, ethereum.blocks[index]!.header.hash);
    }
  }
});

test("SimulatedNode.blobSource() has the blobs of blocks of the chain alone", async () => {
  const { ethereum, node } = world();
  const raw = await withBlobs(0n, feesOf(10n, GWEI), 3);
  await node.send(raw);
  const { header, transactions } = ethereum.slot()!;
  const source = node.blobSource();
  const { blobHashes, sidecar } = transactions[0]!;
  deepEqual(await source.blobs(header, blobHashes.toReversed()), sidecar!.blobs.toReversed());
  ethereum.reorganise(1, { empty: 1 });
  await rejects(source.blobs(header, blobHashes), { code: "BlobMissing" });
});

test("SimulatedNode does wrong what it is told to", async () => {
  const { ethereum } = world();
  const faults = ["swallowed", "lost", "Busy", { headsBehind: 1 }] as const;
  let next = 0;
  const node = new SimulatedNode(ethereum, { plan: () => faults[next++] });
  const raw = await plain(0n);
  const { hash } = decodeFake(raw);
  deepEqual(await node.send(raw), hash);
  equal(ethereum.pool.has(hash), false);
  await rejects(node.send(raw), { code: "Timeout" });
  equal(ethereum.pool.has(hash), true);
  await rejects(node.send(raw), { code: "Busy" });
  ethereum.slot();
  equal(await node.receipt(hash), undefined);
  ok(await node.receipt(hash));
});
