import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { Storage } from "../../src/ports.ts";
import type { OperationBatch } from "../../src/types.ts";
import { fieldKey, shardOf, tabKey } from "../../src/wal/shard_key.ts";
import { ShardHandler } from "../../src/wal/shards.ts";
import { sourceIdentity } from "../../src/wal/source_identity.ts";
import { StorageError } from "../../src/errors.ts";
import { bytes } from "./processor_world.ts";
import { flaky } from "../helpers.ts";

function open(storage: Storage, { shards = 2, source = "me" } = {}): Promise<ShardHandler> {
  return ShardHandler.open({ storage, directory: "/out", shards, source });
}

function batchOf(first: number, ...texts: string[]): OperationBatch {
  const operations = texts.map((text, index) => ({
    sequence: BigInt(first + index),
    data: bytes(text),
  }));
  const size = operations.reduce((sum, { data }) => sum + data.length, 0);
  return { first: BigInt(first), last: BigInt(first + texts.length - 1), operations, bytes: size };
}

async function contents(storage: MemoryStorage, shards = 2): Promise<string[]> {
  const texts: string[] = [];
  for (let shard = 0; shard < shards; shard++) {
    texts.push(new TextDecoder().decode(await storage.read(`/out/shard-000${shard}.log`)));
  }
  return texts;
}

test("shardOf() is FNV-1a modulo the shards", () => {
  // http://www.isthe.com/chongo/src/fnv/test_fnv.c
  const hashes: [string, number][] = [["", 0x811c9dc5], ["a", 0xe40c292c], ["foobar", 0xbf9cf968]];
  for (const [text, hash] of hashes) equal(shardOf(bytes(text), 2 ** 31), hash % 2 ** 31);
  const counts: number[] = Array(16).fill(0);
  for (let key = 0; key < 16_000; key++) counts[shardOf(bytes(`user-${key}`), 16)]! += 1;
  ok(Math.min(...counts) > 800 && Math.max(...counts) < 1200, `${counts}`);
});

test("tabKey() is what is before the first tab, or all", () => {
  deepEqual(tabKey(bytes("a\tb\tc")), bytes("a"));
  deepEqual(tabKey(bytes("\tb")), bytes(""));
  deepEqual(tabKey(bytes("abc")), bytes("abc"));
});

test("fieldKey() is the field of a JSON object, or all", () => {
  const key = fieldKey("id");
  deepEqual(key(bytes('{"id":"x","a":1}')), bytes("x"));
  deepEqual(key(bytes('{"id":7}')), bytes("7"));
  deepEqual(key(bytes('{"id":{"b":1}}')), bytes('{"b":1}'));
  for (const text of ['{"a":1}', "null", "[1]", "no json", '{"toString":1}', ""]) {
    deepEqual(key(bytes(text)), bytes(text));
  }
  deepEqual(fieldKey("toString")(bytes("{}")), bytes("{}"));
});

test("ShardHandler appends by key, in order, batch after batch", async () => {
  const storage = new MemoryStorage();
  const shards = await open(storage);
  await shards.handle(batchOf(0, "a\t1", "b\t1", "c\t1", "a\t2"));
  await shards.handle(batchOf(4, "b\t2"));
  await shards.close();
  const all = (await contents(storage)).map((text) =>
    text.split("\n").filter((line) => line !== "")
  );
  for (const key of ["a", "b", "c"]) {
    const shard = all.filter((lines) => lines.some((line) => line.startsWith(key)));
    equal(shard.length, 1);
  }
  deepEqual(all.flat().filter((line) => line.startsWith("a")), ["a\t1", "a\t2"]);
  equal(all.flat().length, 5);
});

test("ShardHandler writes a batch once that it sees again, in this life or the next", async () => {
  const storage = new MemoryStorage();
  const batch = batchOf(7, "a", "b", "c");
  const shards = await open(storage);
  await shards.handle(batch);
  const before = await contents(storage);
  await shards.handle(batch);
  await shards.close();
  const again = await open(storage);
  await again.handle(batch);
  deepEqual(await contents(storage), before);
});

test("ShardHandler refuses a batch that is older than what it has, or overlaps it", async () => {
  const shards = await open(new MemoryStorage());
  await shards.handle(batchOf(5, "a", "b", "c"));
  for (
    const batch of [batchOf(0, "x"), batchOf(5, "a"), batchOf(6, "b", "c"), batchOf(7, "c", "d")]
  ) {
    await rejects(shards.handle(batch), {
      code: "Broken",
      message: /the log is older than the shards/,
    });
  }
  await shards.handle(batchOf(8, "d"));
});

test("ShardHandler keeps to its number of shards and its log, until something is in them", async () => {
  const storage = new MemoryStorage();
  await (await open(storage, { source: "first" })).close();
  const shards = await open(storage, { source: "second" });
  await shards.handle(batchOf(0, "a"));
  await shards.close();
  await rejects(open(storage, { source: "third" }), {
    code: "Invalid",
    message: /belong to log second/,
  });
  await rejects(open(storage, { shards: 3, source: "second" }), {
    code: "Invalid",
    message: /it has 2/,
  });
  for (const count of [0, 1025, 1.5]) {
    await rejects(open(storage, { shards: count }), { code: "Invalid" });
  }
});

test("ShardHandler takes one process at a time", async () => {
  const storage = new MemoryStorage();
  const shards = await open(storage);
  await rejects(open(storage), { code: "Locked" });
  await shards.close();
  await (await open(storage)).close();
});

test("ShardHandler refuses an operation that is no line, for good, and writes nothing of its batch", async () => {
  const storage = new MemoryStorage();
  const shards = await open(storage);
  await rejects(shards.handle(batchOf(0, "a", "b\nc")), { code: "Rejected" });
  await shards.handle(batchOf(2, "d"));
  equal((await contents(storage)).join(""), "d\n");
});

test("ShardHandler refuses files that are not as it wrote them", async () => {
  const made = async () => {
    const storage = new MemoryStorage();
    const shards = await open(storage, { shards: 1 });
    await shards.handle(batchOf(0, "abc"));
    await shards.close();
    return storage;
  };
  const short = await made();
  await short.truncate("/out/shard-0000.log", 2);
  await rejects(open(short, { shards: 1 }), { code: "Broken", message: /has 2 bytes, and had 4/ });
  const flipped = await made();
  flipped.flipBit("/out/index.json", 100);
  await rejects(open(flipped, { shards: 1 }), { code: "Broken", message: /checksum/ });
  const lost = await made();
  await lost.remove("/out/index.json");
  await rejects(open(lost, { shards: 1 }), { code: "Broken", message: /there is no index/ });
  // And gives the lock back.
  await rejects(open(lost, { shards: 1 }), { code: "Broken" });
});

test("ShardHandler has all of a batch or nothing, wherever the power goes away", async () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = new SeededRandom(seed);
    const storage = new MemoryStorage();
    const shards = await open(storage);
    await shards.handle(batchOf(0, "a\t1", "b\t1"));
    const before = await contents(storage);
    // The power goes away at the n-th call, of about thirty.
    let calls = Math.floor(30 * random.next());
    const dying = flaky<Storage>(storage, () => {
      if (calls-- > 0) return undefined;
      return new StorageError("Unwritable", "no power");
    });
    await shards.close();
    const second = await ShardHandler.open({
      storage: dying,
      directory: "/out",
      shards: 2,
      source: "me",
    }).catch(() => undefined);
    const isWritten = await second?.handle(batchOf(2, "a\t2", "b\t2", "c\t2")).then(
      () => true,
      () => false,
    );
    storage.crash(random);

    const third = await open(storage);
    const found = await contents(storage);
    if (isWritten) ok(found.join("").includes("c\t2"));
    if (found.join("") !== before.join("")) equal(found.join("").split("\n").length - 1, 5);
    await third.handle(batchOf(2, "a\t2", "b\t2", "c\t2"));
    equal((await contents(storage)).join("").split("\n").length - 1, 5, `seed ${seed}`);
  }
});

test("ShardHandler goes on after a disk that failed at any call", async () => {
  for (let failing = 0; failing < 25; failing++) {
    const storage = new MemoryStorage();
    let calls = 0;
    let isOn = false;
    const sick = flaky<Storage>(storage, () => {
      if (!isOn || calls++ !== failing) return undefined;
      return new StorageError("NoSpace", "full");
    });
    const shards = await open(sick);
    await shards.handle(batchOf(0, "a\t1"));
    isOn = true;
    for (const batch of [batchOf(1, "a\t2", "b\t2"), batchOf(3, "c\t3")]) {
      // One call fails: the second try does not.
      await shards.handle(batch).catch(() => shards.handle(batch));
    }
    equal((await contents(storage)).join("").split("\n").length - 1, 4);
  }
});

// deno task sim --world processor --seed 131353
test("ShardHandler keeps its lock until the batch that is being written has ended", async () => {
  const storage = new MemoryStorage();
  const first = await open(storage);
  let hasEnded = false;
  const handling = first.handle(batchOf(0, "a\t1", "b\t1")).then(() => hasEnded = true);
  await first.close();
  ok(hasEnded);
  await handling;
  const second = await open(storage);
  await second.handle(batchOf(2, "a\t2"));
  equal((await contents(storage)).join("").split("\n").length - 1, 3);
  await second.close();
});

test("sourceIdentity() is made with a new log, and kept with one in use", async () => {
  const storage = new MemoryStorage();
  const random = new SeededRandom(1);
  const first = await sourceIdentity(storage, "/data", 0n, random);
  ok(/^[0-9a-f]{32}$/.test(first));
  equal(await sourceIdentity(storage, "/data", 7n, random), first);
  const other = await sourceIdentity(storage, "/data", 0n, random);
  ok(other !== first);
  storage.flipBit("/data/identity", 6);
  await rejects(sourceIdentity(storage, "/data", 7n, random), { code: "Damaged" });
  await rejects(sourceIdentity(storage, "/elsewhere", 7n, random), { message: /it is missing/ });
});
