import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Storage } from "../../src/ports.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise, withDirectory } from "../helpers.ts";
import { blobsOf, blockInSlot, fakeKzg, hashesOf } from "./fake_beacon.ts";

const BLOBS = blobsOf(4);
const HASHES = hashesOf(BLOBS);
const BLOCK = blockInSlot(7);

function archiveIn(storage: Storage, directory = "/archive"): BlobArchive {
  return new BlobArchive({ storage, directory, kzg: fakeKzg });
}

test("BlobArchive gives back what it was given, on a disk too, and lists it", async () => {
  await withDirectory(async (path) => {
    const archive = archiveIn(new DiskStorage(), `${path}/new/archive`);
    equal(await archive.get(HASHES[0]!), undefined);
    deepEqual(await archive.list(), []);
    for (const [index, hash] of HASHES.entries()) await archive.put(hash, BLOBS[index]!);
    await archive.put(HASHES[1]!, BLOBS[1]!);
    const again = archiveIn(new DiskStorage(), `${path}/new/archive`);
    deepEqual(await again.blobs(BLOCK, [HASHES[2]!, HASHES[0]!]), [BLOBS[2], BLOBS[0]]);
    deepEqual((await again.list()).map(toHex), HASHES.map(toHex).sort());
    deepEqual(
      (await readdir(`${path}/new/archive/blobs`)).sort(),
      HASHES.map((hash) => `${toHex(hash).slice(2)}.blob`).sort(),
    );
  });
});

test("BlobArchive tells what it does not have, and gives the rest", async () => {
  const archive = archiveIn(new MemoryStorage());
  await archive.put(HASHES[1]!, BLOBS[1]!);
  const found = await archive.find(BLOCK, HASHES);
  deepEqual([...found.blobs], [[toHex(HASHES[1]!), BLOBS[1]]]);
  equal(found.why, undefined);
  await rejects(archive.blobs(BLOCK, HASHES), {
    code: "BlobMissing",
    kind: "temporary",
    details: { block: BLOCK.number, missing: 3, why: "unknown" },
  });
});

test("BlobArchive finds damage when it reads, and mends it with what it is given", async () => {
  const storage = new MemoryStorage();
  const archive = archiveIn(storage);
  const path = `/archive/blobs/${toHex(HASHES[0]!).slice(2)}.blob`;
  const damages = [
    () => Promise.resolve(storage.flipBit(path, 70_000)),
    () => Promise.resolve(storage.flipBit(path, 0)),
    () => storage.truncate(path, 1000),
    () => storage.truncate(path, 0),
  ];
  for (const damage of damages) {
    await archive.put(HASHES[0]!, BLOBS[0]!);
    await damage();
    await rejects(archive.get(HASHES[0]!), { code: "Damaged" });
    equal((await archive.find(BLOCK, HASHES)).blobs.size, 0);
    await archive.put(HASHES[0]!, BLOBS[0]!);
    deepEqual(await archive.get(HASHES[0]!), BLOBS[0]);
  }
});

test("what was put survives a power loss, and a loss meanwhile leaves it whole or not at all", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 14 }), async (seed, calls) => {
      const disk = new MemoryStorage();
      await archiveIn(disk).put(HASHES[0]!, BLOBS[0]!);
      const dying = new FaultyStorage(
        disk,
        ({ number }) => number > calls ? { crash: true, written: seed % 131_072 } : undefined,
      );
      const isDone = await archiveIn(dying).put(HASHES[1]!, BLOBS[1]!)
        .then(() => true, () => false);
      disk.crash(new SeededRandom(seed));
      const after = archiveIn(disk);
      deepEqual(await after.get(HASHES[0]!), BLOBS[0]);
      const second = await after.get(HASHES[1]!);
      if (isDone || second) deepEqual(second, BLOBS[1]);
    }),
    { numRuns: 60 },
  );
});

test("BlobArchive notes the blobs of blocks by their time, the last of two", async () => {
  const storage = new MemoryStorage();
  const archive = archiveIn(storage);
  equal(await archive.blockAt(BLOCK.timestamp), undefined);
  await archive.noteBlock({ ...BLOCK, hash: noise(32, 1) }, HASHES.slice(0, 1));
  await archive.noteBlock(BLOCK, HASHES);
  deepEqual(await archive.blockAt(BLOCK.timestamp), { ...BLOCK, blobs: HASHES });
  await storage.truncate(`/archive/blocks/000001606824107.json`, 20);
  await rejects(archive.blockAt(BLOCK.timestamp), { code: "Damaged" });
});

test("BlobArchive passes on what the disk says", async () => {
  await withDirectory(async (path) => {
    await writeFile(`${path}/file`, "");
    const archive = archiveIn(new DiskStorage(), `${path}/file`);
    await rejects(archive.put(HASHES[0]!, BLOBS[0]!), { name: "StorageError" });
    const disk = new MemoryStorage();
    const small = new FaultyStorage(
      disk,
      ({ method }) => method === "write" ? { error: "NoSpace", written: 1000 } : undefined,
    );
    await rejects(archiveIn(small).put(HASHES[0]!, BLOBS[0]!), {
      code: "NoSpace",
      kind: "temporary",
    });
    deepEqual(await disk.list("/archive/blobs"), []);
  });
});
