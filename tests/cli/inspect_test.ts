import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { ZstdCompressor } from "../../src/compress/zstd.ts";
import { encodeBatch, HEADER_SIZE, headerFor } from "../../src/wire/batch.ts";
import { batchToJson } from "../../src/wire/batch_json.ts";
import { toBlobs } from "../../src/wire/blob.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { seal } from "../../src/wire/envelope.ts";
import { noise, plainBlocks, withDirectory } from "../helpers.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, succeeded } from "./montana.ts";

const blocks = plainBlocks(3, { size: 60_000 });
const check = new Uint8Array(20).fill(0xcd);
const header = headerFor(
  { batchNumber: 7n, l1Origin: 65n, l1OriginCheck: check, parentCheck: check },
  blocks,
);
const raw = encodeBatch(header, blocks);
const sealed = await seal(raw, new NoopCompressor());
const headerJson = batchToJson({ header, blocks: [] }).header;
const rows = [0, 1, 2].map((index) => ({
  index,
  offset: HEADER_SIZE + 60_007 * index,
  timestamp: `${1000 + 2 * index}`,
  transactions: 1,
  bytes: 60_007,
}));

async function inspected(stdin: Uint8Array): Promise<Record<string, unknown>> {
  return JSON.parse(succeeded(await run("inspect - --json", { stdin })));
}

test("montana inspect recognises a raw batch", async () => {
  const { kind, fileBytes, rawBytes, blobs, header, blocks, checks, ...rest } = await inspected(
    raw,
  );
  deepEqual({ kind, fileBytes, rawBytes, blobs }, {
    kind: "raw batch",
    fileBytes: raw.length,
    rawBytes: raw.length,
    blobs: 0,
  });
  deepEqual(header, headerJson);
  deepEqual(blocks, rows);
  deepEqual(checks, ["3 blocks, and nothing behind the last"]);
  deepEqual(rest, {});
});

test("montana inspect recognises a compressed batch, and tells its ratio", async () => {
  const zstd = await seal(raw, new ZstdCompressor());
  for (const [bytes, compression] of [[sealed, "none"], [zstd, "zstd"]] as const) {
    const answer = await inspected(bytes);
    equal(answer["kind"], "compressed batch");
    equal(answer["compression"], compression);
    equal(answer["compressedBytes"], bytes.length);
    equal(answer["ratio"], raw.length / bytes.length);
    equal(answer["fill"], undefined);
    deepEqual(answer["header"], headerJson);
    deepEqual(answer["blocks"], rows);
  }
});

test("montana inspect recognises a batch in blobs, and tells their fill", async () => {
  const answer = await inspected(concatBytes(toBlobs(sealed)));
  equal(answer["kind"], "blobs");
  equal(answer["blobs"], 2);
  equal(answer["fileBytes"], 262_144);
  equal(answer["fill"], sealed.length / (2 * 130_044));
  deepEqual(answer["header"], headerJson);
  deepEqual(answer["blocks"], rows);
});

test("montana inspect explains a file in words: header, a row a block, sizes, checks", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blobs.bin"), concatBytes(toBlobs(sealed)));
    const text = succeeded(await run("inspect blobs.bin", { cwd }));
    for (
      const line of [
        /^is +a batch in 2 blobs$/m,
        /^file +256\.0 KiB$/m,
        /^fill +69\.2 %$/m,
        /^compressed +175\.9 KiB, none$/m,
        /^raw +175\.9 KiB$/m,
        /^ratio +1\.00$/m,
        /^batchNumber +7$/m,
        /^l1Origin +65$/m,
        /^parentCheck +0x(cd){20}$/m,
        /^block +offset +timestamp +txs +bytes$/m,
        /^ +1 +60074 +1002 +1 +60007$/m,
        /^ok: every field element is below the modulus$/m,
        /^ok: 3 blocks, and nothing behind the last$/m,
      ]
    ) match(text, line);
  });
});

test("montana inspect takes several files, one after the other", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "a"), raw);
    await writeFile(join(cwd, "b"), sealed);
    const text = succeeded(await run("inspect a b", { cwd }));
    match(text, /^== a\nis +a raw batch\n[^]*\n== b\nis +a compressed batch\n/);
    const lines = succeeded(await run("inspect a b --json", { cwd })).trimEnd().split("\n");
    deepEqual(lines.map((line) => JSON.parse(line).kind), ["raw batch", "compressed batch"]);
    failed(await run("inspect a nothing", { cwd }), 1, /NotFound: Cannot read input from nothing/);
  });
});

test("montana inspect refuses what is none of it, with what each attempt said", async () => {
  const blob = toBlobs(sealed)[0]!;
  const cases: [Uint8Array, RegExp][] = [
    [
      new Uint8Array(),
      /Truncated: Cannot recognise 0 bytes\. As blobs: .* As a raw batch: Truncated/,
    ],
    [
      noise(50).fill(9, 0, 1),
      /UnknownFormat: Cannot recognise 50 bytes.*As a compressed batch: Unk/,
    ],
    [raw.subarray(0, -1), /Cannot recognise .*As a raw batch: Truncated: Cannot read/],
    [noise(131_072).fill(0, 0, 2), /InvalidBlobLength: Cannot decode blob 0/],
    [blob, /Truncated: /],
  ];
  await inPairs(halfOf(cases), async ([stdin, error]) => {
    for (const args of ["inspect -", "inspect - --json"]) {
      const outcome = await run(args, { stdin });
      failed(outcome, 1, error);
      equal(outcome.stdout.length, 0);
    }
  });
  failed(await run("inspect nothing"), 1, /NotFound: Cannot read input from nothing: there is no/);
});
