import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { CodecError, SourceError } from "../../src/errors.ts";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { formatBlock, type L1Block, makeBlock, parseBlock } from "../../src/local/l1_block.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { toHex } from "../../src/wire/hex.ts";
import { draftOf, noise, runScript, withDirectory } from "../helpers.ts";

const sample = makeBlock(
  makeBlock(undefined, [], 0n),
  [
    draftOf({ batchNumber: 3n, data: noise(40) }, { da: "blobs" }),
    draftOf({ batchNumber: 4n, data: noise(9) }),
  ],
  1_700_000_000n,
);

test("parseBlock() gives back what formatBlock() wrote", () => {
  deepEqual(parseBlock(formatBlock(sample)), sample);
});

test("parseBlock() of a block with any bit flipped gives a CodecError, or the very same block", () => {
  const bytes = new TextEncoder().encode(formatBlock(sample));
  const decoder = new TextDecoder();
  let same = 0;
  for (let at = 0; at < bytes.length; at++) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      bytes[at]! ^= bit;
      try {
        deepEqual(parseBlock(decoder.decode(bytes)), sample);
        same += 1; // White space, or the case of a hexadecimal digit.
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
      }
      bytes[at]! ^= bit;
    }
  }
  ok(same > 0 && same < bytes.length);
});

test("L1Directory with any damage gives a SourceError, or what was written", async () => {
  await withDirectory(async (path) => {
    const writer = await L1Directory.openOrCreate(path, 0n);
    const written: L1Block[] = [await writer.block(0n)];
    for (let number = 0; number < 12; number++) {
      const draft = draftOf({ batchNumber: BigInt(number), data: noise(90, number) }, {
        da: number % 2 ? "blobs" : "calldata",
      });
      written.push(await writer.mine([draft], BigInt(number)));
    }
    const blobs = await readdir(join(path, "blobs"));
    const files = [
      "heads.json",
      ...["blocks/000000000000.json", "blocks/000000000012.json", "blocks/000000000005.json"],
      `blobs/${blobs[0]}`,
    ];
    const random = new SeededRandom(5);
    let caught = 0;
    for (const file of files) {
      const good = await readFile(join(path, file));
      for (let round = 0; round < 60; round++) {
        const bad = good.slice();
        bad[Math.floor(random.next() * bad.length)]! ^= 1 + Math.floor(random.next() * 255);
        const cut = round % 10 === 0 ? Math.floor(random.next() * bad.length) : bad.length;
        await writeFile(join(path, file), bad.subarray(0, cut));
        try {
          const reader = await L1Directory.open(path);
          equal(await reader.head("latest"), 12n);
          for (const block of written) {
            deepEqual(await reader.block(block.number), block);
            for (const hash of block.transactions[0]?.blobHashes ?? []) {
              deepEqual(toHex(hash), toHex(block.transactions[0]!.blobHashes[0]!));
              deepEqual((await reader.blob(hash)).length, 131_072);
            }
          }
        } catch (error) {
          if (!(error instanceof SourceError)) throw error;
          equal(error.code, "Damaged");
          caught += 1;
        }
      }
      await writeFile(join(path, file), good);
    }
    ok(caught > 180, `${caught} of ${files.length * 60}`);
  });
});

test("L1Directory lets several writers add blocks at once, and none over another's", async () => {
  await withDirectory(async (path) => {
    const writers = await Promise.all(
      Array.from({ length: 4 }, () => L1Directory.openOrCreate(path, 0n)),
    );
    const landed = await Promise.all(
      writers.flatMap((writer, index) =>
        Array.from({ length: 6 }, (_, at) => {
          const batch = { batchNumber: BigInt(10 * index + at), data: noise(50, 10 * index + at) };
          return writer.mine([draftOf(batch, { da: at % 2 ? "blobs" : "calldata" })], 0n);
        })
      ),
    );
    const reader = await L1Directory.open(path);
    equal(await reader.head("latest"), 24n);
    equal(new Set(landed.map((block) => block.number)).size, 24);
    for (const block of landed) deepEqual(await reader.block(block.number), block);
    const left = [...await readdir(join(path, "blocks")), ...await readdir(join(path, "blobs"))];
    deepEqual(left.filter((name) => name.endsWith(".tmp")), []);
  });
});

test("L1Directory lets two processes add blocks at once", async () => {
  await withDirectory(async (path) => {
    await L1Directory.openOrCreate(join(path, "l1"), 0n);
    const file = pathToFileURL(join(import.meta.dirname!, "../../src/local/l1_directory.ts"));
    const script = (from: number) => `
      import { L1Directory } from ${JSON.stringify(file.href)};
      const l1 = await L1Directory.open(${JSON.stringify(join(path, "l1"))});
      const address = new Uint8Array(20);
      for (let number = 0; number < 15; number++) {
        const input = Uint8Array.of(${from}, number);
        const block = await l1.mine([{ from: address, to: address, input, blobs: [] }], 0n);
        console.log(block.number + " ${from} " + number);
      }
    `;
    const runs = await Promise.all([1, 2].map((from) => runScript(path, script(from))));
    deepEqual(runs.map((run) => [run.code, run.stderr]), [[0, ""], [0, ""]]);
    const reader = await L1Directory.open(join(path, "l1"));
    equal(await reader.head("latest"), 30n);
    const told = runs.flatMap((run) => run.stdout.trim().split("\n"));
    equal(told.length, 30);
    for (const line of told) {
      const [number, from, at] = line.split(" ").map(Number);
      const { transactions } = await reader.block(BigInt(number!));
      deepEqual([...transactions[0]!.input], [from, at]);
    }
  });
});
