import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { readCheckpoint, writeCheckpoint } from "../../src/local/checkpoint.ts";
import { linkedBlocks, noise, withDirectory } from "../helpers.ts";

const checkpoint = {
  position: { nextBatchNumber: 2n ** 64n - 1n, lastTimestamp: 0n },
  lastBlock: linkedBlocks(1, { first: 7 })[0]!,
  hash: noise(32),
  empty: new Uint8Array(),
  out: "/some/where.jsonl",
  count: 12,
  list: [1n, "2", 3],
};

test("readCheckpoint() gives back what writeCheckpoint() wrote, 64-bit numbers and bytes too", async () => {
  await withDirectory(async (path) => {
    const file = join(path, "new/data/checkpoint.json");
    await writeCheckpoint(file, checkpoint);
    deepEqual(await readCheckpoint(file), checkpoint);
    await writeCheckpoint(file, { nextBatchNumber: 0n });
    deepEqual(await readCheckpoint(file), { nextBatchNumber: 0n });
    deepEqual(await readdir(join(path, "new/data")), ["checkpoint.json"]);
  });
});

test("readCheckpoint() tells nothing yet from a position of 0", async () => {
  await withDirectory(async (path) => {
    equal(await readCheckpoint(join(path, "checkpoint.json")), undefined);
    equal(await readCheckpoint(join(path, "missing/checkpoint.json")), undefined);
    await writeFile(join(path, "checkpoint.json.123.tmp"), "{");
    equal(await readCheckpoint(join(path, "checkpoint.json")), undefined);
  });
});

test("readCheckpoint() takes no damaged file for a fresh start", async () => {
  await withDirectory(async (path) => {
    const file = join(path, "checkpoint.json");
    const damaged = {
      name: "SourceError",
      code: "Damaged",
      kind: "critical",
      message: /checkpoint .*checkpoint\.json: .*remove it to start from L1 alone/,
    };
    await writeCheckpoint(file, checkpoint);
    const text = await readFile(file, "utf8");
    for (let length = 0; length < text.trimEnd().length; length += 13) {
      await writeFile(file, text.slice(0, length));
      await rejects(readCheckpoint(file), damaged);
    }
    for (const bad of ["null", "7", "[]", '"x"', '{"a":{"$u64":"x"}}', '{"a":{"$hex":"0xa"}}']) {
      await writeFile(file, bad);
      await rejects(readCheckpoint(file), damaged, bad);
    }
  });
});

test("writeCheckpoint() and readCheckpoint() tell where they cannot", async () => {
  await withDirectory(async (path) => {
    await writeFile(join(path, "file"), "");
    const under = join(path, "file/checkpoint.json");
    await rejects(writeCheckpoint(under, checkpoint), { name: "SinkError", code: "Unwritable" });
    await rejects(readCheckpoint(under), { name: "SourceError", code: "Unreadable" });
  });
});
