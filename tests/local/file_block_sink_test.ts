import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { formatBlockLine } from "../../src/local/block_line.ts";
import { FileBlockSink, type FilePosition } from "../../src/local/file_block_sink.ts";
import {
  FaultyStorage,
  type StorageCall,
  type StorageFault,
} from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { DerivedBlock } from "../../src/types.ts";
import { plainBlocks, runScript, skipWithout, withDirectory } from "../helpers.ts";
import { openStored } from "./stored_block_file.ts";

/** Derived blocks, two in a batch. */
function derived(count: number, size = 20): DerivedBlock[] {
  return plainBlocks(count, { size }).map((block, index) => ({
    ...block,
    batchNumber: BigInt(index >> 1),
    l1Origin: 3n,
    l1Block: 4n,
  }));
}

/** What a file of these blocks holds. */
function linesOf(blocks: readonly DerivedBlock[]): string {
  return blocks.map((block) => formatBlockLine(block) + "\n").join("");
}

/** Writes blocks, flushing after each two, and closes. */
async function write(path: string, blocks: readonly DerivedBlock[], from?: FilePosition) {
  const sink = await FileBlockSink.open(path, from);
  try {
    for (const [index, block] of blocks.entries()) {
      await sink.ingest(block);
      if (index % 2 === 1) await sink.flush();
    }
  } finally {
    await sink.close();
  }
  return sink;
}

async function inFile(action: (path: string) => Promise<void>): Promise<void> {
  await withDirectory((directory) => action(join(directory, "out.jsonl")));
}

test("FileBlockSink takes the last blocks back, from this run and from those before", async () => {
  await inFile(async (path) => {
    const blocks = derived(7);
    const before = await write(path, blocks.slice(0, 4));
    const sink = await FileBlockSink.open(path, before.position);
    for (const block of blocks.slice(4)) await sink.ingest(block);
    await sink.retract(2);
    equal(await readFile(path, "utf8"), linesOf(blocks.slice(0, 5)));
    await sink.ingest(blocks[6]!);
    await sink.retract(4);
    deepEqual(sink.position, {
      blocks: 2,
      bytes: linesOf(blocks.slice(0, 2)).length,
      isOwn: true,
    });
    await sink.ingest(blocks[3]!);
    await sink.close();
    equal(await readFile(path, "utf8"), linesOf([...blocks.slice(0, 2), blocks[3]!]));

    // Deriving anew, it has compared one block of three when it takes that one back.
    const anew = await FileBlockSink.open(path);
    await anew.ingest(blocks[0]!);
    await anew.retract(1);
    equal(await readFile(path, "utf8"), "");
    await anew.close();
  });
});

test("FileBlockSink writes each block as a line, and tells where it stands", async () => {
  await inFile(async (path) => {
    const sink = await FileBlockSink.open(path);
    const blocks = derived(3);
    for (const block of blocks) await sink.ingest(block);
    equal(await readFile(path, "utf8"), "");
    await sink.flush();
    equal(await readFile(path, "utf8"), linesOf(blocks));
    deepEqual(sink.position, { blocks: 3, bytes: linesOf(blocks).length, isOwn: true });
    equal(sink.compared, 0);
    await sink.flush();
    await sink.close();
    deepEqual(JSON.parse((await readFile(path, "utf8")).split("\n")[2]!), {
      timestamp: 1004,
      transactions: [linesOf(blocks.slice(2)).match(/0x[0-9a-f]{40}/)![0]],
      batchNumber: 1,
      l1Origin: 3,
      l1Block: 4,
    });
  });
});

test("FileBlockSink compares what is there, and goes on behind it", async () => {
  await inFile(async (path) => {
    await write(path, derived(4));
    const sink = await write(path, derived(7));
    equal(sink.compared, 4);
    deepEqual(sink.position, { blocks: 7, bytes: linesOf(derived(7)).length, isOwn: true });
    equal(await readFile(path, "utf8"), linesOf(derived(7)));
    equal((await write(path, derived(7))).compared, 7);
    equal((await write(path, derived(2))).compared, 2); // The rest was not derived yet.
    equal(await readFile(path, "utf8"), linesOf(derived(7)));
  });
});

test("FileBlockSink goes on from a position without comparing what is before it", async () => {
  await inFile(async (path) => {
    const { position } = await write(path, derived(4));
    const sink = await write(path, derived(7).slice(4), position);
    equal(sink.compared, 0);
    deepEqual(sink.position, { blocks: 7, bytes: linesOf(derived(7)).length, isOwn: true });
    await write(path, derived(9).slice(4), position);
    equal(await readFile(path, "utf8"), linesOf(derived(9)));
    await truncate(path, position.bytes - 1);
    await rejects(FileBlockSink.open(path, position), {
      name: "SinkError",
      code: "Changed",
      message: /4 blocks of \d+ bytes were written to it, it has \d+ bytes now/,
    });
  });
});

test("FileBlockSink cuts a last line that was torn at any place, and writes it anew", async () => {
  await inFile(async (path) => {
    const whole = linesOf(derived(3));
    for (let length = linesOf(derived(2)).length; length < whole.length; length += 7) {
      await writeFile(path, whole.slice(0, length));
      const sink = await write(path, derived(4));
      equal(sink.compared, 2, `torn at ${length}`);
      equal(await readFile(path, "utf8"), linesOf(derived(4)), `torn at ${length}`);
    }
    await writeFile(path, whole.slice(0, -1)); // All but the newline.
    await write(path, derived(4));
    equal(await readFile(path, "utf8"), linesOf(derived(4)));
  });
});

test("FileBlockSink keeps a new file over a power loss, with its name", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const disk = new MemoryStorage();
    const sink = await FileBlockSink.open("/data/out", undefined, (path) => openStored(disk, path));
    for (const block of derived(3)) await sink.ingest(block);
    await sink.flush();
    disk.crash(new SeededRandom(seed));
    equal(new TextDecoder().decode(await disk.read("/data/out")), linesOf(derived(3)));
  }
});

test("FileBlockSink cuts what a power loss left behind a position, and nothing else", async () => {
  const whole = linesOf(derived(6));
  for (
    const { from, isOwn, fill, isCut } of [
      { from: linesOf(derived(2)).length, isOwn: true, fill: "\0", isCut: true },
      { from: linesOf(derived(3)).length + 9, isOwn: true, fill: "\0", isCut: true },
      { from: linesOf(derived(3)).length + 9, isOwn: true, fill: "\x01", isCut: true },
      { from: linesOf(derived(3)).length + 9, isOwn: false, fill: "\0", isCut: true },
      { from: linesOf(derived(3)).length + 9, isOwn: false, fill: "\x01", isCut: false },
    ]
  ) {
    await inFile(async (path) => {
      const { position } = await write(path, derived(2));
      const left = whole.slice(0, from) + fill.repeat(100) + whole.slice(from + 100);
      await writeFile(path, left);
      const again = write(path, derived(6).slice(2), { ...position, isOwn });
      if (isCut) await again;
      else await rejects(again, { name: "SinkError", code: "Changed" });
      equal(await readFile(path, "utf8"), isCut ? whole : left);
    });
  }
});

test("FileBlockSink cuts blocks of its own that L1 gives no more, and no line of somebody else", async () => {
  const [before, after] = [derived(2), derived(6).slice(2)];
  // As they were before L1 was reorganised: in other L1 blocks, and with other transactions.
  const gone = after.map((block, index) => ({
    ...block,
    l1Block: block.l1Block + 100_000n,
    transactions: block.transactions.slice(index % 2),
  }));
  const foreign = ['{"timestamp":1}', '{"note":"by hand"}', "null", "[]"];
  for (const left of [linesOf(gone), ...foreign.map((line) => `${line}\n`)]) {
    const isCut = left.includes("batchNumber");
    await inFile(async (path) => {
      const { position } = await write(path, before);
      await writeFile(path, linesOf(before) + left);
      const again = write(path, after, position);
      if (isCut) await again;
      else await rejects(again, { name: "SinkError", code: "Changed" });
      equal(await readFile(path, "utf8"), linesOf(before) + (isCut ? linesOf(after) : left));
    });
  }
});

test("FileBlockSink writes a line of its own anew in which bytes rotted, JSON or not", async () => {
  for (const rotten of ["\xff", "x", "\u00e9"]) {
    await inFile(async (path) => {
      const { position } = await write(path, derived(2));
      const whole = linesOf(derived(4));
      const at = whole.lastIndexOf("0x", whole.length) + 5;
      await writeFile(path, whole.slice(0, at) + rotten + whole.slice(at + 1), "utf8");
      await write(path, derived(4).slice(2), position);
      equal(await readFile(path, "utf8"), whole);
    });
  }
});

test("FileBlockSink remembers what is its own while it still compares", async () => {
  await inFile(async (path) => {
    const { position } = await write(path, derived(2));
    await writeFile(path, linesOf(derived(4)) + "\0\0\0\n");
    const third = await write(path, derived(3).slice(2), position);
    await write(path, derived(5).slice(3), third.position);
    equal(await readFile(path, "utf8"), linesOf(derived(5)));
  });
});

/** A sink over a disk in memory that fails as `plan` says. */
function sinkOn(
  plan: (call: StorageCall) => StorageFault | undefined,
  disk: MemoryStorage = new MemoryStorage(),
): Promise<FileBlockSink> {
  const storage = new FaultyStorage(disk, plan);
  return FileBlockSink.open("/data/out", undefined, (path) => openStored(storage, path));
}

test("FileBlockSink is of no more use after a sync that failed, though room comes back", async () => {
  for (const method of ["sync", "syncDirectory"]) {
    let isFull = true;
    const sink = await sinkOn((call) =>
      call.method === method && isFull ? { error: "NoSpace" } : undefined
    );
    await sink.ingest(derived(1)[0]!);
    const refusal = { name: "SinkError", code: "NoSpace", kind: "critical" };
    await rejects(sink.flush(), refusal);
    isFull = false;
    await rejects(sink.flush(), refusal);
    await rejects(sink.ingest(derived(2)[1]!), refusal);
    await sink.close();
  }
});

test("FileBlockSink goes on behind half a line that could not be cut off at once", async () => {
  const disk = new MemoryStorage();
  let faults = 2;
  const sink = await sinkOn(({ method }) => {
    const isHit = (method === "write" || method === "truncate") && faults-- > 0;
    return isHit ? { error: "NoSpace", written: 20 } : undefined;
  }, disk);
  for (const block of derived(3)) await sink.ingest(block);
  await rejects(sink.flush(), { code: "NoSpace", kind: "temporary" });
  await sink.flush();
  await sink.close();
  equal(new TextDecoder().decode(await disk.read("/data/out")), linesOf(derived(3)));
});

test("FileBlockSink that cannot cut off a torn line wants to be opened again", async () => {
  const disk = new MemoryStorage();
  const sink = await sinkOn(() => undefined, disk);
  await sink.ingest(derived(1)[0]!);
  await sink.close();
  await disk.truncate("/data/out", 30);
  const again = await sinkOn(
    ({ method }) => method === "truncate" ? { error: "NoSpace" } : undefined,
    disk,
  );
  for (let tries = 0; tries < 2; tries++) {
    await rejects(again.ingest(derived(1)[0]!), { code: "NoSpace", kind: "critical" });
  }
  await again.close();
});

test("FileBlockSink tells in its own words what the disk says, whatever it was asked", async () => {
  for (const method of ["size", "close", "openAppend"]) {
    const run = async () => {
      const sink = await sinkOn((call) =>
        call.method === method ? { error: "Unreadable" } : undefined
      );
      await sink.ingest(derived(1)[0]!);
      await sink.close();
    };
    await rejects(run, { name: "SinkError", code: "Unwritable" }, method);
  }
});

test("FileBlockSink refuses a line that differs, for good, and leaves the file alone", async () => {
  const changes: [string, (text: string) => string][] = [
    ["a byte", (text) => text.replace('"timestamp":1002', '"timestamp":1003')],
    ["a line of nonsense", (text) => text.replace(/\n.*\n/, "\nnonsense\n")],
    ["an empty line", (text) => text.replace("\n", "\n\n")],
    ["a line left out", (text) => text.replace(/\n.*\n/, "\n")],
    ["a torn line of another block", (text) => text.slice(0, text.indexOf("\n") + 1) + '{"x'],
  ];
  for (const [what, change] of changes) {
    await inFile(async (path) => {
      const text = change(linesOf(derived(3)));
      await writeFile(path, text);
      const sink = await FileBlockSink.open(path);
      const [first, second, third] = derived(3);
      await sink.ingest(first!);
      const refusal = {
        name: "SinkError",
        code: "Changed",
        message: /out\.jsonl:2: it is not what/,
      };
      await rejects(sink.ingest(second!), refusal, what);
      await rejects(sink.ingest(second!), refusal, what);
      await rejects(sink.ingest(third!), refusal, what);
      await sink.close();
      equal(await readFile(path, "utf8"), text, what);
    });
  }
});

test("FileBlockSink writes nothing behind a file that changed while it was compared", async () => {
  await inFile(async (path) => {
    await writeFile(path, linesOf(derived(2)));
    const sink = await FileBlockSink.open(path);
    const [first, second, third, fourth] = derived(4);
    await sink.ingest(first!);
    await truncate(path, 10);
    await sink.ingest(second!); // Was read together with the first.
    const refusal = {
      name: "SinkError",
      kind: "critical",
      message: /it changed while it was read/,
    };
    await rejects(sink.ingest(third!), refusal);
    await rejects(sink.ingest(third!), refusal);
    await rejects(sink.ingest(fourth!), refusal);
    await sink.close();
    equal(await readFile(path, "utf8"), linesOf(derived(1)).slice(0, 10));
  });
});

test("FileBlockSink holds a bounded buffer over a batch of many megabytes", async () => {
  await inFile(async (path) => {
    const blocks = derived(40, 60_000);
    const sink = await FileBlockSink.open(path);
    for (const block of blocks) await sink.ingest(block);
    const written = (await readFile(path)).length;
    equal(written > 3_000_000 && written < linesOf(blocks).length, true);
    await sink.flush();
    equal(await readFile(path, "utf8"), linesOf(blocks));
    await sink.close();
  });
});

test("FileBlockSink tells why it cannot be opened", async () => {
  await withDirectory(async (path) => {
    await mkdir(join(path, "directory"));
    await writeFile(join(path, "file"), "");
    const cases = [
      ["missing/out", /there is no such file or directory/],
      ["directory", /it is a directory/],
      ["file/out", /a part of the path is no directory/],
    ] as const;
    for (const [name, message] of cases) {
      const refusal = { name: "SinkError", code: "Unwritable", kind: "critical", message };
      await rejects(FileBlockSink.open(join(path, name)), refusal, name);
    }
  });
});

const onFullDisk = "FileBlockSink on a full disk says so, and holds what it was given";
test(onFullDisk, { skip: skipWithout("/dev/full", onFullDisk) }, async () => {
  const sink = await FileBlockSink.open("/dev/full");
  await sink.ingest(derived(1)[0]!);
  const full = {
    name: "SinkError",
    code: "NoSpace",
    kind: "temporary",
    message: "Cannot write blocks to /dev/full: no space left on the device",
  };
  await rejects(sink.flush(), full);
  await rejects(sink.flush(), full);
  deepEqual(sink.position, { blocks: 1, bytes: 0, isOwn: true });
  await rejects(sink.close(), full);
});

test("StdoutBlockSink writes lines, and tells when nobody reads them any more", async () => {
  await withDirectory(async (path) => {
    const file = pathToFileURL(join(import.meta.dirname!, "../../src/local/file_block_sink.ts"));
    const script = `
      import { StdoutBlockSink } from ${JSON.stringify(file.href)};
      const sink = new StdoutBlockSink();
      for (let number = 0n; number < 2000n; number++) {
        await sink.ingest({
          timestamp: number,
          transactions: [new Uint8Array(50)],
          batchNumber: number,
          l1Origin: 0n,
          l1Block: 1n,
        });
      }
    `;
    const { code, stdout, stderr } = await runScript(path, script);
    deepEqual([code, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n");
    deepEqual(lines.map((line) => JSON.parse(line).batchNumber), lines.map((_, index) => index));
    equal(lines.length, 2000);
  });
});

test("FileBlockSink refuses a file that somebody else writes to as well", async () => {
  await inFile(async (path) => {
    const blocks = derived(4);
    const [first, second] = [await FileBlockSink.open(path), await FileBlockSink.open(path)];
    try {
      for (const sink of [first, second]) for (const block of blocks) await sink.ingest(block);
      await first.flush();
      await rejects(second.flush(), { code: "Changed", message: /does another deriver write/ });
      equal(await readFile(path, "utf8"), linesOf(blocks));
    } finally {
      await first.close();
      await second.close().catch(() => {});
    }
  });
});
