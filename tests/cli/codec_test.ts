import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import type { BatchJson } from "../../src/wire/batch_json.ts";
import { toBlobs } from "../../src/wire/blob.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { seal } from "../../src/wire/envelope.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { noise, withDirectory } from "../helpers.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, start, succeeded } from "./montana.ts";
import { filesIn } from "./traps.ts";

const vectors: {
  valid: (BatchJson & { name: string; encoded: string })[];
  invalid: { name: string; error: string; encoded: string }[];
} = JSON.parse(readFileSync(new URL("../vectors/wire-v0.json", import.meta.url), "utf8"));

/** A vector with enough in it that compression shows. */
const example = vectors.valid.find((vector) => vector.name === "300 transactions in a block")!;
const exampleJson = JSON.stringify({ header: example.header, blocks: example.blocks });
const exampleRaw = fromHex(example.encoded, "encoded");

/** Runs a command that must succeed on `stdin`, and gives its bytes. */
async function convert(args: string, stdin: string | Uint8Array): Promise<Uint8Array> {
  const outcome = await run(args, { stdin });
  succeeded(outcome);
  equal(outcome.stderr, "");
  return outcome.stdout;
}

function parsed(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

test("montana encode --stage raw gives the bytes of every valid vector", async () => {
  await inPairs(halfOf(vectors.valid), async ({ name, header, blocks, encoded }) => {
    const bytes = await convert("encode --stage raw", JSON.stringify({ header, blocks }));
    equal(toHex(bytes), encoded, name);
  });
  equal(vectors.valid.length, 19);
});

test("montana decode --stage raw gives the JSON of every valid vector", async () => {
  await inPairs(halfOf(vectors.valid), async ({ name, header, blocks, encoded }) => {
    const bytes = await convert("decode --stage raw", fromHex(encoded, "encoded"));
    deepEqual(parsed(bytes), { header, blocks }, name);
  });
});

test("montana decode --stage raw refuses every invalid vector with its code", async () => {
  await inPairs(halfOf(vectors.invalid), async ({ name, error, encoded }) => {
    const outcome = await run("decode --stage raw", { stdin: fromHex(encoded, "encoded") });
    failed(outcome, 1, new RegExp(`^error: ${error}: Cannot \\S.*`));
    equal(outcome.stdout.length, 0, name);
  });
  equal(vectors.invalid.length, 21);
});

test("montana encode takes a header of the four fields that the blocks do not tell", async () => {
  const { batchNumber, l1Origin, l1OriginCheck, parentCheck } = example.header;
  const header = { batchNumber, l1Origin, l1OriginCheck, parentCheck };
  const json = JSON.stringify({ header, blocks: example.blocks });
  deepEqual(await convert("encode --stage raw", json), exampleRaw);
});

test("montana encode --stage batch and back, with every compressor", async () => {
  const cases = [
    ["", 0],
    ["--level 1", 0],
    ["--level 11 --engine native --window 18", 0],
    ["--compressor zstd", 1],
    ["--compressor zstd --level 3", 1],
    ["--compressor none", 2],
  ] as const;
  await inPairs(cases, async ([flags, format]) => {
    const sealed = await convert(`encode --stage batch ${flags}`, exampleJson);
    equal(sealed[0], format, flags);
    deepEqual(parsed(await convert("decode --stage batch", sealed)), JSON.parse(exampleJson));
    if (format === 2) deepEqual(sealed.subarray(1), exampleRaw);
    else ok(sealed.length < exampleRaw.length, `${flags}: ${sealed.length} bytes`);
  });
});

test("montana encode --stage batch gives the bytes of the library, whatever runs either", async () => {
  const expected = await seal(exampleRaw, new BrotliCompressor());
  deepEqual(await convert("encode --stage batch", exampleJson), expected);
});

test("montana encode --stage blob and back, from no bytes to several blobs", async () => {
  await inPairs([0, 1, 130044, 130045, 400_000], async (size) => {
    const data = noise(size, size);
    const blobs = await convert("encode --stage blob", data);
    equal(blobs.length, 131072 * Math.max(1, Math.ceil(size / 130044)), `${size}`);
    deepEqual(blobs, concatBytes(toBlobs(data)));
    deepEqual(await convert("decode --stage blob", blobs), data);
  });
});

test("montana encode and decode take files, and standard input by name or by default", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "batch.json"), exampleJson);
    const steps = [
      "encode --stage batch --in batch.json --out batch.bin",
      "encode --stage blob --in batch.bin --out blobs.bin",
      "decode --stage blob --in blobs.bin --out again.bin",
      "decode --stage batch --in again.bin --out again.json",
    ];
    for (const step of steps) equal(succeeded(await run(step, { cwd })), "");
    deepEqual(JSON.parse(await readFile(join(cwd, "again.json"), "utf8")), JSON.parse(exampleJson));
    deepEqual(await readFile(join(cwd, "again.bin")), await readFile(join(cwd, "batch.bin")));
    deepEqual(filesIn(cwd).length, 5, "nothing is left beside the outputs");

    const piped = await convert("encode --stage batch --in - --out -", exampleJson);
    deepEqual(piped, new Uint8Array(await readFile(join(cwd, "batch.bin"))));
  });
});

test("montana encode --out gives a file whole or not at all", async () => {
  await withDirectory(async (cwd) => {
    const input = noise(4_000_000);
    const blobs = concatBytes(toBlobs(input));
    await writeFile(join(cwd, "in"), input);
    const out = join(cwd, "out");
    await writeFile(out, "as it was");

    failed(await run("encode --stage raw --in in --out out", { cwd }), 1, /InvalidHeader/);
    equal(await readFile(out, "utf8"), "as it was");

    let cut = 0;
    for (let round = 0; round < 12; round++) {
      await using running = start("encode --stage blob --in in --out out", { cwd });
      await new Promise((resolve) => setTimeout(resolve, 15 * round));
      running.send("SIGKILL");
      const { code } = await running.ended;
      if (code === null) cut += 1;
      const found = new Uint8Array(await readFile(out));
      if (found.length > 9) deepEqual(found, blobs);
      else equal(new TextDecoder().decode(found), "as it was");
    }
    ok(cut > 0, "no round was cut");
    succeeded(await run("encode --stage blob --in in --out out", { cwd }));
    deepEqual(new Uint8Array(await readFile(out)), blobs);
  });
});

test("montana decode ends quietly when its reader has seen enough", async () => {
  const blobs = concatBytes(toBlobs(noise(4_000_000)));
  await using running = start("decode --stage blob", { stdin: blobs });
  running.closeStdout();
  const { code, stderr } = await running.ended;
  equal(code, 0, stderr);
  equal(stderr, "");
});
