/**
 * What the embedded L1 and the file of derived blocks keep where the power is cut, on a real file system.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { mkdir, open, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createFile, makeDirectory, syncDirectory } from "../../src/local/disk.ts";
import { FileBlockSink } from "../../src/local/file_block_sink.ts";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { draftOf, makeBatch, plainBlocks, withDirectory } from "../helpers.ts";
import { type PowerDisk, whyNoPowerDisk, withPowerDisk } from "../power/disk.ts";

/** On a disk whose power can be cut. */
function powerTest(name: string, action: (disk: PowerDisk) => Promise<void>): void {
  const whole = `crash: ${name}`;
  test(whole, { skip: whyNoPowerDisk(whole) }, async () => {
    await withDirectory((directory) => withPowerDisk(directory, action));
  });
}

powerTest("a disk forgets what was not synced, and only that", async (disk) => {
  const path = (name: string) => join(disk.path, name);
  await createFile(path("synced"), "all of it");
  await writeFile(path("name"), "lost");
  await rename(path("synced"), path("renamed"));
  await writeFile(path("renamed"), "more than was", { flag: "a" });
  deepEqual((await readdir(disk.path)).sort(), ["name", "renamed"]);
  await disk.cut();
  deepEqual(await readdir(disk.path), ["synced"]);
  equal(await readFile(path("synced"), "utf8"), "all of it");
});

powerTest(
  "makeDirectory() syncs the names that it makes, and one that a killed process made",
  async (disk) => {
    await makeDirectory(join(disk.path, "a/b/c"));
    await mkdir(join(disk.path, "killed"));
    await makeDirectory(join(disk.path, "killed/a"));
    await mkdir(join(disk.path, "found"));
    await makeDirectory(join(disk.path, "found"));
    await disk.cut();
    deepEqual((await readdir(disk.path, { recursive: true })).sort(), [
      ...["a", "a/b", "a/b/c"],
      ...["found", "killed", "killed/a"],
    ]);
  },
);

const batch = await makeBatch(plainBlocks(2));

powerTest("L1Directory survives with its directory, made and written", async (disk) => {
  const path = join(disk.path, "data/l1");
  const l1 = await L1Directory.openOrCreate(path, 0n);
  await l1.mine([draftOf(batch, { da: "blobs" })], 0n);
  await disk.cut();
  const again = await L1Directory.open(path);
  equal(await again.head("latest"), 1n);
  const [transaction] = (await again.block(1n)).transactions;
  await again.blob(transaction!.blobHashes[0]!);
});

powerTest(
  "L1Directory makes sure of what a killed writer left, before it is built upon",
  async (disk) => {
    const path = join(disk.path, "l1");
    for (let call = 1, isOver = false; !isOver; call++) {
      await disk.format();
      await L1Directory.openOrCreate(path, 0n);
      const writer = await L1Directory.openOrCreate(path, 0n);
      // A caller is killed, so this one only fails: after so many calls nothing is written any more.
      const before = await disk.calls();
      await disk.failAt(call);
      await writer.mine([draftOf(batch, { da: "blobs" })], 0n).catch(() => {});
      isOver = await disk.calls() - before < call;
      await disk.go();
      const found = await (await L1Directory.openOrCreate(path, 0n)).head("latest");
      await disk.cut();
      const l1 = await L1Directory.open(path);
      equal(await l1.head("latest"), found, `failed at call ${call}`);
      for (const { blobHashes } of (await l1.block(found)).transactions) {
        for (const hash of blobHashes) await l1.blob(hash);
      }
    }
  },
);

powerTest(
  "FileBlockSink keeps its file once flushed, one that it has found as well",
  async (disk) => {
    const path = join(disk.path, "derived.jsonl");
    const blocks = plainBlocks(3).map((block, index) => ({
      ...block,
      batchNumber: 0n,
      l1Origin: 0n,
      l1Block: BigInt(index),
    }));
    const write = async () => {
      const sink = await FileBlockSink.open(path);
      for (const block of blocks) await sink.ingest(block);
      await sink.flush();
      await disk.cut();
      await sink.close();
      return await readFile(path);
    };
    const written = await write();
    await disk.format();
    // As a process left it that was killed before its sync.
    await writeFile(path, written.subarray(0, written.length - 10));
    deepEqual(await write(), written);
  },
);

powerTest(
  "FileBlockSink fills the holes that a power loss left in lines that it knows nothing of",
  async (disk) => {
    const path = join(disk.path, "derived.jsonl");
    const whole = join(disk.path, "whole.jsonl");
    const derive = async (path: string) => {
      const sink = await FileBlockSink.open(path);
      try {
        for (let index = 0; index < 9; index++) {
          const [block] = plainBlocks(1, { first: index, size: 90 });
          await sink.ingest({ ...block!, batchNumber: 0n, l1Origin: 0n, l1Block: 1n });
        }
      } finally {
        // Bun takes a file that is open and forgotten for an error, in whatever test runs then.
        await sink.close();
      }
    };
    await derive(whole);
    const expected = await readFile(whole);
    for (let seed = 1; seed < 25; seed++) {
      await using file = await open(path, "w");
      await file.sync();
      await syncDirectory(disk.path);
      await writeFile(path, expected);
      await disk.cut(seed);
      await derive(path);
      deepEqual(await readFile(path), expected, `seed ${seed}`);
    }
    // A file of somebody else begins with zeros, too.
    const image = Buffer.concat([new Uint8Array(512), Buffer.from("\x01CD001\n")]);
    await writeFile(path, image);
    await rejects(derive(path), { code: "Changed" });
    deepEqual(await readFile(path), image);
  },
);
