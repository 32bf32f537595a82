import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { toHex } from "../../src/wire/hex.ts";
import { batchCalldata } from "../../src/wire/inbox.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { INBOX, postedTransactions, run, succeeded, withEthereum } from "./ethereum.ts";
import { sourceText } from "./files.ts";

const COSTS = "montana report tells what each batch cost, the duplicates and the dropped ones too";
test(COSTS, { skip: skipWithoutAnvil(COSTS) }, async () => {
  await withEthereum(async (place) => {
    const { cwd, anvil, batcher, post, url } = place;
    await writeFile(join(cwd, "l2.jsonl"), sourceText(6));
    const flags = "--once --data-dir data --max-blocks-per-batch 3 --compressor none";
    succeeded(await run(post("l2.jsonl", flags), { cwd }));
    for (const batchNumber of [0n, 2n]) {
      const input = toHex(batchCalldata({ batchNumber, data: Uint8Array.of(9, 9) }));
      await anvil.rpc("eth_sendTransaction", [{ from: batcher, to: INBOX, input }]);
    }
    await anvil.mine();

    const posted = await postedTransactions(place);
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

    const text = succeeded(await run(["report", ...l1]));
    match(text, / fill +cost +per tx +per byte\n/);
    match(text, /^ +2 .* (wei|gwei|ether) +- +[\d.]+ (wei|gwei) +dropped: undecodable$/m);
    match(text, /^total .* (wei|gwei|ether) for what is left out\n$/m);
  });
});
