import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { FileBlockSource, type FileBlockSourceOptions } from "../../src/local/file_block_source.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { content, GENESIS_HASH, l2Hash, linkedBlocks, mineEmpty } from "../helpers.ts";
import { plainBlocks, runScript, withDirectory } from "../helpers.ts";

/** A block as a line of a file, with what its source knows of it. */
function lineOf({ number, timestamp, hash, parentHash, transactions }: L2Block): string {
  return JSON.stringify({
    ...(number === undefined ? {} : { number: Number(number) }),
    timestamp: Number(timestamp),
    ...(hash ? { hash: toHex(hash) } : {}),
    ...(parentHash ? { parentHash: toHex(parentHash) } : {}),
    transactions: transactions.map(toHex),
  }) + "\n";
}

function textOf(blocks: readonly L2Block[]): string {
  return blocks.map(lineOf).join("");
}

type Options = Partial<FileBlockSourceOptions>;

/** Opens a source over a file of this text or these bytes. */
async function over(
  data: string | Uint8Array,
  action: (source: FileBlockSource, path: string) => Promise<void>,
  options: Options & { readonly name?: string } = {},
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = join(directory, options.name ?? "blocks.jsonl");
    await writeFile(path, data);
    const source = await FileBlockSource.open(path, { l1: new MemoryL1(), ...options });
    try {
      await action(source, path);
    } finally {
      await source.close();
    }
  });
}

async function readAll(source: FileBlockSource): Promise<L2Block[]> {
  const blocks: L2Block[] = [];
  while (!source.isExhausted) blocks.push(...await source.pendingBlocks());
  return blocks;
}

test("FileBlockSource gives the blocks of a file, with all they know, and is then exhausted", async () => {
  const blocks = linkedBlocks(5, { first: 7 });
  await over(textOf(blocks), async (source) => {
    equal(source.isExhausted, false);
    deepEqual(await readAll(source), blocks);
    deepEqual(await source.pendingBlocks(), []);
  });
  await over(textOf(plainBlocks(3)), async (source) => {
    deepEqual(await readAll(source), plainBlocks(3));
  });
});

test("FileBlockSource reads gzip of one or several members, whatever the file is called", async () => {
  const blocks = linkedBlocks(600, { size: 400 });
  const halves = [gzipSync(textOf(blocks.slice(0, 300))), gzipSync(textOf(blocks.slice(300)))];
  for (const name of ["blocks.jsonl.gz", "blocks"]) {
    for (const data of [gzipSync(textOf(blocks)), Buffer.concat(halves)]) {
      await over(data, async (source) => deepEqual(await readAll(source), blocks), { name });
    }
  }
});

test("FileBlockSource refuses gzip that is cut or damaged, and what is called .gz and is none", async () => {
  const text = textOf(linkedBlocks(50, { size: 400 }));
  const whole = gzipSync(text);
  const unreadable = { name: "SourceError", code: "Unreadable", message: /is damaged or cut gzip/ };
  for (const data of [whole.subarray(0, -1), whole.subarray(0, whole.length >> 1)]) {
    await over(data, async (source) => {
      await rejects(readAll(source), unreadable);
      await rejects(source.pendingBlocks(), unreadable);
      equal(source.isExhausted, false);
    });
  }
  const damaged = whole.slice();
  damaged[whole.length >> 1]! ^= 0xff;
  // What comes out before the checksum is read may be no block any more.
  await over(
    damaged,
    (source) => rejects(readAll(source), { name: "SourceError", kind: "critical" }),
  );
  await withDirectory(async (directory) => {
    const path = join(directory, "blocks.gz");
    await writeFile(path, text);
    await rejects(FileBlockSource.open(path, { l1: new MemoryL1() }), {
      code: "Unreadable",
      message: /blocks\.gz: it is not gzip/,
    });
  });
});

test("FileBlockSource leaves out empty lines, and takes a last line without its newline", async () => {
  const [one, two] = plainBlocks(2).map(lineOf);
  await over(`\n${one}\r\n  \n${two!.trimEnd()}`, async (source) => {
    deepEqual(await readAll(source), plainBlocks(2));
  });
  await over(`\ufeff${one}`, async (source) => deepEqual(await readAll(source), plainBlocks(1)));
});

test("FileBlockSource names file and line of what is no block, after the blocks before it", async () => {
  const good = textOf(plainBlocks(2));
  const cases: [string, RegExp][] = [
    ["nonsense\n", /a block at .*blocks\.jsonl:3: no JSON: "nonsense"/],
    ["[]\n", /:3: need an object with a list of transactions/],
    ["null\n", /:3: need an object/],
    ['{"timestamp":5}\n', /:3: need an object with a list of transactions/],
    ['{"transactions":[]}\n', /:3: Cannot read timestamp/],
    ['{"timestamp":-1,"transactions":[]}\n', /:3: Cannot read timestamp: need a whole number/],
    ['{"timestamp":1.5,"transactions":[]}\n', /:3: Cannot read timestamp/],
    ['{"timestamp":9,"transactions":["0xabc"]}\n', /transactions\[0\]: need an even number of hex/],
    ['{"timestamp":9,"transactions":["0x",7]}\n', /transactions\[1\]: need 0x/],
    ['{"timestamp":9,"transactions":[],"hash":"0x12"}\n', /hash: need 32 bytes, has 1/],
    ['{"timestamp":9,"transactions":[],"number":"x"}\n', /Cannot read number/],
    ['{"timestamp":9,"transactions":["0x', /:3: the file ends in the middle of it/],
    ['{"timestamp":999,"transactions":[]}\n', /its timestamp 999 is below 1002/],
  ];
  for (const [bad, message] of cases) {
    await over(good + bad + (bad.endsWith("\n") ? good : ""), async (source) => {
      deepEqual(content(await source.pendingBlocks()), content(plainBlocks(2)));
      const refusal = { name: "SourceError", code: "InvalidBlock", kind: "critical", message };
      await rejects(source.pendingBlocks(), refusal, bad);
      await rejects(source.pendingBlocks(), refusal, bad);
      equal(source.isExhausted, false);
    });
  }
});

test("FileBlockSource names both blocks at a gap, a repeat or a wrong parent", async () => {
  const [one, two, three] = linkedBlocks(3, { first: 10 });
  const cases: [L2Block[], string, RegExp][] = [
    [[one!, three!], "Gap", /block 12 at .*:2 after block 10: 1 block is missing between them/],
    [[one!, two!, two!], "Gap", /block 11 at .*:3 after block 11: its number must be 12/],
    [[two!, one!], "Gap", /block 10 at .*:2 after block 11: its number must be 12/],
    [
      [one!, { ...two!, parentHash: l2Hash(77) }],
      "WrongParent",
      /block 11 at .*:2 after block 10: its parent is 0x[0-9a-f]{64}, that block is 0x[0-9a-f]{64}/,
    ],
  ];
  for (const [blocks, code, message] of cases) {
    await over(textOf(blocks), async (source) => {
      equal((await source.pendingBlocks()).length, blocks.length - 1);
      await rejects(source.pendingBlocks(), { name: "SourceError", code, message });
    });
  }
});

test("FileBlockSource tells that there is no file, no block, or no right to read", async () => {
  await withDirectory(async (path) => {
    const l1 = new MemoryL1();
    await writeFile(join(path, "file"), "");
    await mkdir(join(path, "directory"));
    const refuses = (name: string, code: string, message: RegExp) =>
      rejects(
        FileBlockSource.open(join(path, name), { l1 }).then((source) => source.pendingBlocks()),
        { name: "SourceError", code, kind: "critical", message },
      );
    await refuses("missing", "NotFound", /no such file or directory/);
    await refuses("file/below", "Unreadable", /a part of the path is no directory/);
    await refuses("directory", "Unreadable", /it is a directory/);
    await refuses("file", "Empty", /it holds none/);
    await writeFile(join(path, "file"), "\n\n");
    await refuses("file", "Empty", /it holds none/);
    await writeFile(join(path, "file"), gzipSync(""));
    await refuses("file", "Empty", /it holds none/);
    if (existsSync("/dev/null")) {
      await rejects(FileBlockSource.open("/dev/null", { l1 }), {
        code: "Unreadable",
        message: /it is no file; give it as standard input/,
      });
    }
  });
});

test("FileBlockSource reads a long file in bounded pieces", async () => {
  const blocks = linkedBlocks(300, { size: 1000 });
  await over(textOf(blocks), async (source) => {
    const counts: number[] = [];
    const all: L2Block[] = [];
    while (!source.isExhausted) {
      const some = await source.pendingBlocks();
      counts.push(some.length);
      all.push(...some);
    }
    deepEqual(content(all), content(blocks));
    ok(counts.length > 60 && Math.max(...counts) <= 5, `${counts}`);
  }, { maxBytesPerCall: 10_000 });
});

test("FileBlockSource refuses a line without an end before memory is full", async () => {
  // 170 MiB of zeros in 170 kB.
  const bomb = gzipSync(new Uint8Array(170 * 1024 * 1024), { level: 1 });
  await over(bomb, async (source) => {
    await rejects(source.pendingBlocks(), {
      code: "InvalidBlock",
      message: /:1: the line is longer than 167772160 bytes/,
    });
  });
});

test("FileBlockSource refers to the safe head of its L1", async () => {
  const l1 = new MemoryL1({ safeConfirmations: 2 });
  await mineEmpty(l1, 5);
  await over(textOf(plainBlocks(1)), async (source) => {
    equal(await source.l1Origin(), 3n);
    deepEqual(await source.l1OriginHash(3n), (await l1.block(3n)).hash);
    deepEqual(await source.l1OriginHash(0n), GENESIS_HASH);
    deepEqual(await source.parentHash(), new Uint8Array(32));
  }, { l1 });
});

test("FileBlockSource goes on behind what was posted, by number or by count", async () => {
  for (const blocks of [linkedBlocks(6, { first: 3 }), plainBlocks(6)]) {
    const resume = { blocks: 4, lastBlock: blocks[3]! };
    const rest = content(blocks.slice(4));
    await over(textOf(blocks), async (source) => {
      deepEqual(content(await readAll(source)), rest);
    }, { resume });
    await over(textOf(blocks.slice(0, 4)), async (source) => {
      deepEqual(await readAll(source), []); // Nothing new yet.
    }, { resume });
    await over(textOf(blocks.slice(0, 3)), async (source) => {
      await rejects(readAll(source), { code: "Changed", message: /4 blocks were posted/ });
    }, { resume });
    const other = blocks.with(3, { ...blocks[3]!, timestamp: blocks[3]!.timestamp + 1n });
    await over(textOf(other), async (source) => {
      await rejects(readAll(source), { code: "Changed", message: /the one posted before was/ });
    }, { resume });
  }
});

test("FileBlockSource goes on in the middle of a numbered stream, and refuses a gap there", async () => {
  const blocks = linkedBlocks(8, { first: 3 });
  const resume = { blocks: 4, lastBlock: blocks[3]! };
  for (const from of [1, 3, 4]) {
    await over(textOf(blocks.slice(from)), async (source) => {
      deepEqual(content(await readAll(source)), content(blocks.slice(4)));
    }, { resume });
  }
  await over(textOf(blocks.slice(5)), async (source) => {
    await rejects(readAll(source), { code: "Gap", message: /block 8 at .*:1 after block 6/ });
  }, { resume });
});

test("FileBlockSource reads standard input", async () => {
  await withDirectory(async (path) => {
    const at = (name: string) =>
      JSON.stringify(pathToFileURL(join(import.meta.dirname!, "../../src/local", name)).href);
    const script = `
      import { FileBlockSource } from ${at("file_block_source.ts")};
      import { MemoryL1 } from ${at("memory.ts")};
      const source = await FileBlockSource.open("-", { l1: new MemoryL1() });
      let count = 0;
      try {
        while (!source.isExhausted) count += (await source.pendingBlocks()).length;
      } catch (error) {
        console.log(error.code, error.message);
      }
      console.log(count);
    `;
    const good = await runScript(path, script, textOf(linkedBlocks(3000)));
    deepEqual(good, { code: 0, stdout: "3000\n", stderr: "" });
    const packed = await runScript(path, script, gzipSync(textOf(linkedBlocks(3000))));
    deepEqual(packed, { code: 0, stdout: "3000\n", stderr: "" });
    const bad = await runScript(path, script, textOf(linkedBlocks(2)) + "{\n");
    equal(
      bad.stdout.split("\n")[0],
      'InvalidBlock Cannot read a block at standard input:3: no JSON: "{"',
    );
    const none = await runScript(path, script, "");
    equal(none.stdout, "Empty Cannot take blocks from standard input: it holds none\n0\n");
  });
});
