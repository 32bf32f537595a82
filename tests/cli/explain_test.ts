import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { History, readHistory } from "../../src/cli/history.ts";
import { formatWei, formatWeiEach, weiEach } from "../../src/cli/text.ts";
import { withDirectory } from "../helpers.ts";
import { sourceText } from "./files.ts";
import { failed, run, succeeded } from "./montana.ts";

test("montana explain tells what became of a batch: in short, in full, in JSON", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "l2.jsonl"), sourceText(5));
    const flags = "--l2 l2.jsonl --l1 l1 --once --data-dir data --max-blocks-per-batch 4 --level 1";
    succeeded(await run(`batcher ${flags}`, { cwd }));

    const short = succeeded(await run("explain batch 0 --data-dir data", { cwd }));
    match(
      short,
      /^batch +0\nholds +4 blocks, 4 transactions, .* → .*; as many blocks as a batch may have\n/,
    );
    match(short, /^posted +in L1 block 1 as 0x[0-9a-f]{64}$/m);
    match(
      short,
      /^took +\d+\.\d s from sealed to confirmed\n\n20\d\d-\d\d-\d\d .* \+0\.0 s {2}sealed/m,
    );
    ok(!short.includes("raw_bytes"));

    const all = succeeded(await run("explain batch 1 --data-dir data --all", { cwd }));
    match(all, /^20\S+Z {2}sealed batch 1 \(\w+\): 1 block\n {4}blocks: 1\n {4}transactions: 1\n/);

    const { batch, events } = JSON.parse(
      succeeded(await run("explain batch 1 --data-dir data --json", { cwd })),
    );
    equal(batch, "1");
    deepEqual(events.map((each: { event: string }) => each.event), [
      "batch.sealed",
      "batch.submitted",
    ]);
    const none = await run("explain batch 7 --data-dir data", { cwd });
    failed(none, 1, /NotFound: Cannot explain batch 7: data holds nothing about it/);
  });
});

test("History goes on where it could not be written for a while, behind half a line too", async () => {
  await withDirectory(async (cwd) => {
    const dataDir = join(cwd, "data");
    const history = new History(dataDir, () => {});
    const tell = async (batchNumber: bigint) => {
      const bytes = { rawBytes: 1, compressedBytes: 1 };
      const how = { reason: "full", passes: 1, level: 11 } as const;
      const lastBlock = { timestamp: 1n, transactions: [] };
      const counts = { blocks: 1, transactions: 1 };
      history.log({ event: "batch.sealed", batchNumber, lastBlock, ...counts, ...bytes, ...how });
      await history.close();
    };
    await tell(1n);
    await mkdir(dataDir);
    await writeFile(join(dataDir, "history.jsonl"), '{"batch":"0"}\n{"event":"batch.sea');
    await tell(2n);
    await tell(3n);
    const found = [0n, 1n, 2n, 3n].map(async (batch) => (await readHistory(dataDir, batch)).length);
    deepEqual(await Promise.all(found), [1, 0, 1, 1]);
  });
});

test("amounts of wei are told in the unit that suits them", () => {
  const amounts: [bigint, string][] = [
    [0n, "0 wei"],
    [9_999_999n, "9999999 wei"],
    [10_000_000n, "0.01 gwei"],
    [1_060_557_667n, "1.061 gwei"],
    [22_356_795_624_107n, "22357 gwei"],
    [10n ** 15n, "0.001 ether"],
    [1_234_567n * 10n ** 18n, "1234567 ether"],
  ];
  for (const [wei, text] of amounts) equal(formatWei(wei), text);
  deepEqual([weiEach(1n, 3), weiEach(10n, 2), weiEach(5n, 2), weiEach(0n, 7)], [
    ...["0.333", "5", "2.5", "0"],
  ]);
  deepEqual(["0.333", "999.5", "1000.5", "27420000.25"].map(formatWeiEach), [
    ...["0.333 wei", "999.5 wei", "1000 wei", "0.02742 gwei"],
  ]);
});
