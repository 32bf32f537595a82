/**
 * What stands on L1, as `montana report` and `montana inspect` tell it.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { formatWei } from "../../src/cli/text.ts";
import { toHex } from "../../src/wire/hex.ts";
import { batchCalldata } from "../../src/wire/inbox.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { makeBatch, mineEmpty, plainBlocks, post as postTo, withDirectory } from "../helpers.ts";
import {
  type EthereumPlace,
  INBOX,
  type PostedTransaction,
  postedTransactions,
  run,
  succeeded,
  withEthereum,
} from "./ethereum.ts";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { sourceText } from "./files.ts";
import { failed, textOf } from "./montana.ts";

const POSTED = "montana report and inspect tell of what is on Ethereum: batches, costs, verdicts";
test(POSTED, { skip: skipWithoutAnvil(POSTED) }, async () => {
  await withEthereum(async (place) => {
    const { cwd, anvil, batcher, post } = place;
    await writeFile(join(cwd, "l2.jsonl"), sourceText(6));
    const flags = "--once --data-dir data --max-blocks-per-batch 3 --compressor none";
    succeeded(await run(post("l2.jsonl", flags), { cwd }));
    for (const batchNumber of [0n, 2n]) {
      const input = toHex(batchCalldata({ batchNumber, data: Uint8Array.of(9, 9) }));
      await anvil.rpc("eth_sendTransaction", [{ from: batcher, to: INBOX, input }]);
    }
    const plain = { from: batcher, to: batcher };
    const noBatch: string = await anvil.rpc("eth_sendTransaction", [plain]);
    await anvil.mine();
    await anvil.rpc("evm_setIntervalMining", [0]);
    const posted = await postedTransactions(place);
    await reports(place, posted);
    await explains(place, posted);
    await inspects(place, posted, noBatch);
    await readsBlobs(place, posted[1]!);
  });
});

/** Two in blobs, a duplicate and one that cannot be decoded. */
async function reports(
  { anvil, batcher, url }: EthereumPlace,
  posted: readonly PostedTransaction[],
): Promise<void> {
  const receipts = await Promise.all(
    posted.map(({ hash }) => anvil.rpc("eth_getTransactionReceipt", [hash])),
  );
  const weiOf = (receipt: Record<string, string>) =>
    BigInt(receipt["gasUsed"]!) * BigInt(receipt["effectiveGasPrice"]!) +
    BigInt(receipt["blobGasUsed"] ?? 0) * BigInt(receipt["blobGasPrice"]!);
  const paid = receipts.map(weiOf);
  const l1 = ["--l1", url, "--beacon", url, "--inbox", INBOX, "--batcher", batcher];
  const { batches, totals } = JSON.parse(succeeded(await run(["report", ...l1, "--json"])));
  deepEqual(batches.map((row: Record<string, string>) => [row["verdict"], row["txHash"]]), [
    ["accepted", posted[0]!.hash],
    ["accepted", posted[1]!.hash],
    ["duplicate", posted[2]!.hash],
    ["dropped", posted[3]!.hash],
  ]);
  deepEqual(batches.map((row: Record<string, string>) => row["costWei"]), paid.map(String));
  deepEqual(batches.map((row: Record<string, string>) => row["blobGasUsed"]), [
    ...["131072", "131072", "0", "0"],
  ]);
  const total = paid.reduce((sum, wei) => sum + wei, 0n);
  equal(totals.costWei, `${total}`);
  equal(totals.lostWei, `${paid[2]! + paid[3]!}`);
  equal(totals.blobCostWei, `${2n * 131_072n * BigInt(receipts[0].blobGasPrice)}`);
  equal(totals.withoutReceipt, 0);
  equal(totals.weiPerTransaction.split(".")[0], `${total / 6n}`);
  const { weiPerByte, compressedBytes, weiPerTransaction } = batches[0];
  equal(weiPerByte.split(".")[0], `${paid[0]! / BigInt(compressedBytes)}`);
  equal(weiPerTransaction.split(".")[0], `${paid[0]! / 3n}`);
  equal(batches[3].weiPerTransaction, null);

  // Without those in blobs, which take seconds to check.
  const start = `${posted[2]!.block}`;
  const text = succeeded(await run(["report", ...l1, "--l1-start-block", start]));
  match(text, / fill +cost +per tx +per byte\n/);
  match(
    text,
    /^ +0 .* (wei|gwei|ether) +- +[\d.]+ (wei|gwei) +dropped: undecodable\n +2 .* future$/m,
  );
  match(text, /^total .* (wei|gwei|ether) for what is left out\n$/m);
}

/** What was signed, sent, paid and read back. */
async function explains(
  { cwd, anvil }: EthereumPlace,
  [first]: readonly PostedTransaction[],
): Promise<void> {
  const { gasUsed, effectiveGasPrice, blobGasUsed, blobGasPrice } = await anvil.rpc(
    "eth_getTransactionReceipt",
    [first!.hash],
  );
  const wei = BigInt(gasUsed) * BigInt(effectiveGasPrice) +
    BigInt(blobGasUsed) * BigInt(blobGasPrice);
  const text = succeeded(await run("explain batch 0 --data-dir data", { cwd }));
  match(text, new RegExp(`^posted +in L1 block ${first!.block} as ${first!.hash}$`, "m"));
  match(text, new RegExp(`^paid +${formatWei(wei).replace(".", "\\.")}$`, "m"));
  match(text, /^signed +(once|\d+ times)$/m);
  match(text, /^20\S+ [\d:]+ +\+\d+\.\d s {2}sent batch 0 with nonce 0: .* {2}0x[0-9a-f]{8}…$/m);
}

async function inspects(
  { batcher, url }: EthereumPlace,
  posted: readonly PostedTransaction[],
  noBatch: string,
): Promise<void> {
  const l1 = ["--l1", url, "--beacon", url];
  const whose = ["--inbox", INBOX, "--batcher", batcher];
  const look = async (what: string, ...flags: string[]) =>
    JSON.parse(succeeded(await run(["inspect", what, ...l1, ...flags, "--json"])));

  const first = await look(posted[0]!.hash);
  const { from, to, l1Block, carriedBy, batchNumber, blobHashes, costWei } = first.transaction;
  deepEqual({ from, to, l1Block, carriedBy, batchNumber }, {
    from: batcher,
    to: INBOX,
    l1Block: `${posted[0]!.block}`,
    carriedBy: "blobs",
    batchNumber: "0",
  });
  equal(blobHashes.length, 1);
  match(costWei, /^[1-9]\d+$/);
  equal(first.verdict, "accepted");
  equal(first.content.header.batchNumber, "0");
  deepEqual(first.content.blocks.map((row: { transactions: number }) => row.transactions), [
    1,
    1,
    1,
  ]);

  const broken = await look("batch:2", ...whose);
  deepEqual([broken.verdict, broken.reason, broken.content], ["dropped", "undecodable", null]);
  equal(broken.transaction.carriedBy, "calldata");
  const ignored = await look(posted[3]!.hash, "--batcher", INBOX);
  deepEqual([ignored.verdict, ignored.reason], ["ignored", "sender"]);

  const text = succeeded(await run(["inspect", "batch:2", ...l1, ...whose]));
  match(text, /^carries +batch 2 in calldata$/m);
  match(text, /^cost +[\d.]+ (wei|gwei|ether)$/m);
  match(text, /^dropped: UnknownFormat: /m);

  const unknown = "0x" + "ab".repeat(32);
  failed(await run(["inspect", unknown, ...l1]), 1, /NotFound: .* knows no such transaction/);
  failed(await run(["inspect", noBatch, ...l1]), 1, /it is no batch: its calldata .* has 0 bytes/);
  failed(
    await run(["inspect", "batch:9", ...l1, ...whose]),
    1,
    /Cannot find batch 9: .* has posted/,
  );
  const blind = ["inspect", posted[0]!.hash, "--l1", url];
  failed(await run(blind), 2, /Cannot read the 1 blob .* name a --beacon, or an --archive/);
}

/** A beacon node that has the blobs of a recent block. */
async function readsBlobs({ url, anvil }: EthereumPlace, posted: PostedTransaction): Promise<void> {
  ok(await anvil.head() - posted.block < 16n, "no recent block has blobs");
  const { stdout } = await run(["doctor", "--l1", url, "--beacon", url, "--json"]);
  const findings: Record<string, string>[] = JSON.parse(new TextDecoder().decode(stdout));
  const { status, found } = findings.find(({ check }) => check!.startsWith("blobs "))!;
  equal(status, "ok");
  match(
    found!,
    new RegExp(`^gave the [12] blobs? of L1 block ${posted.block}, each as its hash says$`),
  );
}

test("montana inspect batch:N finds a batch on an L1 in a directory, and why others are none", async () => {
  await withDirectory(async (cwd) => {
    const l1 = await L1Directory.openOrCreate(join(cwd, "l1"), 1000n);
    await mineEmpty(l1, 3);
    const l1OriginCheck = (await l1.block(0n)).hash.slice(0, 20);
    await postTo(l1, await makeBatch(plainBlocks(2), { batchNumber: 7n }));
    await postTo(l1, await makeBatch(plainBlocks(2), { batchNumber: 7n, l1OriginCheck }));
    const outcome = await run("inspect batch:7 --l1 l1 --json", { cwd });
    const { verdict, transaction, content } = JSON.parse(succeeded(outcome));
    deepEqual([verdict, transaction.l1Block, content.header.batchNumber], ["accepted", "5", "7"]);
    equal(transaction.costWei, undefined);
    match(outcome.stderr, /^not 0x[0-9a-f]{64}: .* its L1 origin 0 starts with /m);
    const same = await run(["inspect", transaction.txHash, "--l1", "l1", "--json"], { cwd });
    equal(textOf(same), textOf(outcome));
    failed(await run("inspect batch:8 --l1 l1", { cwd }), 1, /NotFound: Cannot find batch 8/);
  });
  failed(await run("inspect batch:7"), 2, /Cannot look batch:7 up without --l1/);
  failed(await run("inspect blobs.bin --l1 l1"), 2, /Cannot find "blobs\.bin" on L1/);
});
