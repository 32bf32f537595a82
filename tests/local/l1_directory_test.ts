import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { FileBatchSource, FileSink } from "../../src/local/files.ts";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { ManualClock } from "../../src/local/memory.ts";
import type { L1Batch } from "../../src/types.ts";
import { encodeBlob } from "../../src/wire/blob.ts";
import { toHex } from "../../src/wire/hex.ts";
import { draftOf, GENESIS_HASH, mineEmpty, skipWithout, withDirectory } from "../helpers.ts";

const blockFile = (number: number) => `blocks/${String(number).padStart(12, "0")}.json`;

/** A batch in one blob; its number is also its content. */
function batchOf(number: number) {
  return { batchNumber: BigInt(number), data: Uint8Array.of(2, number) };
}

/** Makes an L1 with `count` batches, one in each block. */
async function l1With(path: string, count: number, options = {}): Promise<L1Directory> {
  const l1 = await L1Directory.openOrCreate(path, 0n, options);
  for (let number = 0; number < count; number++) {
    await l1.mine([draftOf(batchOf(number), { da: "blobs" })], BigInt(number));
  }
  return l1;
}

/** All that a new reader finds. */
async function readAll(path: string): Promise<L1Batch[]> {
  const source = await FileBatchSource.open(path);
  const batches: L1Batch[] = [];
  for (let each = await source.nextBatch(); each; each = await source.nextBatch()) {
    batches.push(each);
  }
  return batches;
}

async function numbersIn(path: string): Promise<number[]> {
  return (await readAll(path)).map((each) => Number(each.batchNumber));
}

async function readJson(path: string) {
  return JSON.parse(await readFile(path, "utf8"));
}

test("L1Directory.openOrCreate() makes what its documentation draws", async () => {
  await withDirectory(async (path) => {
    const l1 = await l1With(join(path, "l1"), 0, {
      safeConfirmations: 2,
      finalizedConfirmations: 5,
    });
    deepEqual((await readdir(l1.path)).sort(), ["blobs", "blocks", "heads.json", "l1.json"]);
    deepEqual(await readJson(join(l1.path, "l1.json")), {
      format: "montana-l1",
      version: 1,
      safeConfirmations: 2,
      finalizedConfirmations: 5,
    });
    deepEqual(await readJson(join(l1.path, blockFile(0))), {
      number: 0,
      hash: toHex(GENESIS_HASH),
      parentHash: `0x${"00".repeat(32)}`,
      timestamp: 0,
      transactions: [],
    });
  });
});

test("L1Directory.mine() writes a block, its blobs by their hashes, and the heads", async () => {
  await withDirectory(async (path) => {
    const l1 = await l1With(path, 7, { safeConfirmations: 2, finalizedConfirmations: 5 });
    const blob = encodeBlob(Uint8Array.of(2, 3));
    const block = await readJson(join(path, blockFile(4)));
    const [transaction] = block.transactions;
    deepEqual([block.number, transaction.type, transaction.input], [4, 3, "0x0300000000000000"]);
    const name = `blobs/${transaction.blobHashes[0].slice(2)}.blob`;
    deepEqual(new Uint8Array(await readFile(join(path, name))), blob);
    const heads = await readJson(join(path, "heads.json"));
    for (const [tag, number] of [["latest", 7], ["safe", 5], ["finalized", 2]] as const) {
      deepEqual(heads[tag], { number, hash: toHex((await l1.block(BigInt(number))).hash) });
      equal(await l1.head(tag), BigInt(number));
    }
    deepEqual((await readdir(join(path, "blobs"))).length, 7);
  });
});

test("L1Directory keeps blocks byte for byte as in its first version", async () => {
  await withDirectory(async (path) => {
    await l1With(path, 1);
    equal(
      await readFile(join(path, blockFile(1)), "utf8"),
      // The hashes were made by hand from the table in `l1_block.ts`.
      `{
 "number": 1,
 "hash": "0x6d30a03b39c52cf2a887eceebf95c5e1079e12fcca88ae55522659a04b2a043c",
 "parentHash": "0x17b0761f87b081d5cf10757ccc89f12be355c70e2e29df288b65b30710dcbcd1",
 "timestamp": 0,
 "transactions": [
  {
   "hash": "0xfd520115ee6bc815a9600d75c1ba37e994258f1f8ba169be6297a4b4fd43cfb1",
   "type": 3,
   "from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
   "to": "0x4242424242424242424242424242424242424242",
   "input": "0x0000000000000000",
   "blobHashes": [
    "0x1e733abf382f17f628f1e66153396a80e32e47ba5dc24ba169f2dd593f6ed361"
   ]
  }
 ]
}
`,
    );
  });
});

test("L1Directory goes on where it was left, and shows others what it adds", async () => {
  await withDirectory(async (path) => {
    const first = await l1With(path, 2);
    const reader = await FileBatchSource.open(path);
    equal((await reader.nextBatch())?.batchNumber, 0n);
    const second = await L1Directory.openOrCreate(path, 99n, { safeConfirmations: 50 });
    await second.mine([draftOf(batchOf(2))], 5n);
    await first.mine([draftOf(batchOf(3))], 6n);
    const rest: bigint[] = [];
    for (let each = await reader.nextBatch(); each; each = await reader.nextBatch()) {
      rest.push(each.batchNumber);
    }
    deepEqual(rest, [1n, 2n, 3n]);
    equal(await second.head("safe"), 4n); // The confirmations are those it was made with.
    deepEqual(await numbersIn(path), [0, 1, 2, 3]);
  });
});

test("L1Directory.open() tells where there is no L1, and what is there instead", async () => {
  await withDirectory(async (path) => {
    const refuses = async (name: string, code: string, message: RegExp) => {
      await rejects(L1Directory.open(join(path, name)), { name: "SourceError", code, message });
    };
    await refuses("missing", "NotFound", /no such file or directory/);
    await mkdir(join(path, "empty"));
    await refuses("empty", "NotFound", /it has no l1.json, and nothing else/);
    await writeFile(join(path, "file"), "x");
    await refuses("file", "Unreadable", /a part of the path is no directory/);
    await refuses("file/below", "Unreadable", /a part of the path is no directory/);
    await refuses(".", "Damaged", /it has no l1.json, but 2 other entries/);
    await rejects(L1Directory.openOrCreate(path, 0n), { code: "Damaged" });
    await rejects(FileSink.open(join(path, "file/below"), { clock: new ManualClock() }), {
      code: "Unreadable",
    });
    for (
      const [text, message] of [
        ["", /it is no JSON/],
        ["null", /need format "montana-l1", version 1/],
        ['{"format":"montana-l1","version":2}', /version 1/],
        ['{"format":"montana-l1","version":1}', /safeConfirmations must be a whole number/],
        [
          '{"format":"montana-l1","version":1,"safeConfirmations":0,"finalizedConfirmations":-1}',
          /finalizedConfirmations must be/,
        ],
      ] as const
    ) {
      await writeFile(join(path, "empty/l1.json"), text);
      await refuses("empty", "Damaged", message);
    }
  });
});

test("L1Directory.openOrCreate() finishes what a crash cut off, and what another has begun", async () => {
  await withDirectory(async (path) => {
    await mkdir(join(path, "blocks"));
    await mkdir(join(path, "blobs"));
    await writeFile(join(path, `${blockFile(0)}.77.tmp`), '{"number":');
    await writeFile(join(path, "l1.json.77.tmp"), "");
    await rejects(L1Directory.open(path), { code: "NotFound" });
    await l1With(path, 1);
    deepEqual(await numbersIn(path), [0]);
  });
  await withDirectory(async (path) => {
    const together = Array.from(
      { length: 6 },
      (_, at) => L1Directory.openOrCreate(path, BigInt(at)),
    );
    const hashes = (await Promise.all(together)).map(async (l1) =>
      toHex((await l1.block(0n)).hash)
    );
    equal(new Set(await Promise.all(hashes)).size, 1);
    deepEqual((await readdir(path)).sort(), ["blobs", "blocks", "heads.json", "l1.json"]);
  });
});

test("L1Directory names the block that is missing, in the middle and at the head", async () => {
  await withDirectory(async (path) => {
    await l1With(path, 5);
    await rm(join(path, blockFile(3)));
    const missing = (number: number) => ({
      name: "SourceError",
      code: "Damaged",
      kind: "critical",
      message: new RegExp(`L1 block ${number} from .*${blockFile(number)}: the file is missing`),
    });
    const reader = await FileBatchSource.open(path);
    equal((await reader.nextBatch())?.batchNumber, 0n);
    equal((await reader.nextBatch())?.batchNumber, 1n);
    await rejects(reader.nextBatch(), missing(3));
    await rejects(reader.nextBatch(), missing(3));
  });
  await withDirectory(async (path) => {
    const l1 = await l1With(path, 5);
    await rm(join(path, blockFile(5)));
    await rejects(l1.mine([], 0n), { code: "Damaged", message: /L1 block 5/ });
    const reopened = await L1Directory.open(path);
    const gone = {
      code: "Damaged",
      message: /L1 heads from .*: it names block 5, and .* is missing/,
    };
    await rejects(reopened.mine([], 0n), gone);
    await rejects(readAll(path), gone);
  });
});

test("L1Directory finds its head without heads.json, and behind a stale one", async () => {
  await withDirectory(async (path) => {
    await l1With(path, 2);
    const stale = await readFile(join(path, "heads.json"));
    await mineEmpty(await L1Directory.open(path), 3);
    await writeFile(join(path, "heads.json"), stale);
    equal(await (await L1Directory.open(path)).head("latest"), 5n);
    await rm(join(path, "heads.json"));
    equal(await (await L1Directory.open(path)).head("latest"), 5n);
    await (await L1Directory.open(path)).mine([], 0n);
    equal((await readJson(join(path, "heads.json"))).latest.number, 6);
  });
});

test("L1Directory refuses heads.json that says nothing, or more than there is", async () => {
  await withDirectory(async (path) => {
    await l1With(path, 2);
    for (const text of ["", "{}", '{"latest":{}}', '{"latest":{"number":-7}}', "[1]", "null"]) {
      await writeFile(join(path, "heads.json"), text);
      await rejects(readAll(path), {
        code: "Damaged",
        message: /L1 heads from .*heads.json: need/,
      });
    }
    await writeFile(join(path, "heads.json"), '{"latest":{"number":8}}');
    await rejects(readAll(path), {
      code: "Damaged",
      message:
        /L1 heads from .*heads.json: it names block 8, and .*0008.json is missing; bring that/,
    });
  });
});

test("L1Directory takes no notice of what a writer left half done", async () => {
  await withDirectory(async (path) => {
    await l1With(path, 2);
    for (const name of [`${blockFile(3)}.1.tmp`, "heads.json.1.tmp", "blobs/00.blob.1.tmp"]) {
      await writeFile(join(path, name), '{"number":3,');
    }
    await writeFile(join(path, "blocks/notes.txt"), "not ours");
    await rm(join(path, "heads.json"));
    deepEqual(await numbersIn(path), [0, 1]);
    await (await L1Directory.open(path)).mine([draftOf(batchOf(2))], 0n);
    deepEqual(await numbersIn(path), [0, 1, 2]);
  });
});

test("L1Directory refuses a block under another number, and one that is no file", async () => {
  await withDirectory(async (path) => {
    const l1 = await l1With(path, 2);
    await writeFile(join(path, blockFile(2)), await readFile(join(path, blockFile(1))));
    await rejects(l1.block(2n), { code: "Damaged", message: /it holds block 1/ });
    await rm(join(path, blockFile(2)));
    await mkdir(join(path, blockFile(2)));
    await rejects(l1.block(2n), { code: "Unreadable", message: /it is a directory/ });
  });
});

test("L1Directory names a blob that is missing, short or damaged, and mends it when posted anew", async () => {
  await withDirectory(async (path) => {
    const l1 = await l1With(path, 1);
    const [name] = await readdir(join(path, "blobs"));
    const file = join(path, "blobs", name!);
    const good = await readFile(file);
    const flipped = good.slice();
    flipped[100_000]! ^= 1;
    await rm(file);
    await rejects(readAll(path), { code: "Damaged", message: /blob from .*: the file is missing/ });
    await writeFile(file, good.subarray(1));
    await rejects(readAll(path), { code: "Damaged", message: /131071 bytes, need 131072/ });
    await writeFile(file, flipped);
    await rejects(readAll(path), { code: "Damaged", message: /its content hashes to 0x/ });
    await l1.mine([draftOf(batchOf(0), { da: "blobs" })], 0n);
    deepEqual(await numbersIn(path), [0, 0]);
    equal((await readdir(join(path, "blobs"))).length, 1);
  });
});

test("L1Directory tells which of its parts cannot be read", async () => {
  await withDirectory(async (path) => {
    const l1 = await l1With(path, 1);
    const [blob] = await readdir(join(path, "blobs"));
    for (const name of ["heads.json", `blobs/${blob}`]) {
      await rm(join(path, name));
      await mkdir(join(path, name));
    }
    const unreadable = { name: "SourceError", code: "Unreadable", message: /it is a directory/ };
    await rejects((await L1Directory.open(path)).head("latest"), unreadable);
    await rejects(l1.blob((await l1.block(1n)).transactions[0]!.blobHashes[0]!), unreadable);
    await rm(join(path, "heads.json"), { recursive: true });
    await rm(join(path, "blocks"), { recursive: true });
    await rejects(readAll(path), { code: "NotFound", message: /L1 blocks .*no such file/ });
  });
});

const cannotBeMade = "FileSink tells that its directory cannot be made";
test(cannotBeMade, { skip: skipWithout("/proc/version", cannotBeMade) }, async () => {
  await rejects(FileSink.open("/proc/montana/l1", { clock: new ManualClock() }), {
    name: "SinkError",
    code: "Unwritable",
    message: /Cannot write L1 directory \/proc\/montana\/l1: /,
  });
});

test("L1Directory tells that it cannot be written to any more", async () => {
  await withDirectory(async (path) => {
    const clock = new ManualClock();
    const sink = await FileSink.open(join(path, "l1"), { clock });
    await sink.healthCheck();
    deepEqual((await readdir(join(path, "l1"))).filter((name) => name.endsWith(".tmp")), []);
    await rm(join(path, "l1/blobs"), { recursive: true });
    const unwritable = { name: "SinkError", code: "Unwritable", message: /no such file/ };
    await rejects(sink.submit(batchOf(0)), unwritable);
    await rm(join(path, "l1"), { recursive: true });
    await rejects(sink.healthCheck(), unwritable);
  });
});
