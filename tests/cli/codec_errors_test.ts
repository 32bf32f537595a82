import { strictEqual as equal } from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync, constants } from "node:zlib";
import { encodeBlob, toBlobs } from "../../src/wire/blob.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { noise, withDirectory } from "../helpers.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, succeeded } from "./montana.ts";
import { filesIn } from "./traps.ts";

const CHECK = "0x" + "ab".repeat(20);
const HEADER = { batchNumber: "0", l1Origin: "9", l1OriginCheck: CHECK, parentCheck: CHECK };
const BLOCK = { timestamp: "1000", transactions: ["0x02aa", "0x"] };

/** Bytes with one of them changed. */
function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

async function sealed(flags = ""): Promise<Uint8Array> {
  const outcome = await run(`encode --stage batch ${flags}`, {
    stdin: JSON.stringify({ header: HEADER, blocks: [BLOCK] }),
  });
  succeeded(outcome);
  return outcome.stdout;
}

test("montana encode refuses JSON that is no batch, naming the key", async () => {
  const batch = (header: object, blocks: unknown = [BLOCK]) =>
    JSON.stringify({ header: { ...HEADER, ...header }, blocks });
  const cases: [string, RegExp][] = [
    ["", /InvalidHeader: Cannot read the batch: it is no JSON: ""/],
    ["{", /InvalidHeader: .*no JSON: "\{"/],
    ["[]", /InvalidHeader: Cannot read the batch: need an object, have \[\]/],
    ["{}", /InvalidHeader: Cannot read blocks: need a list/],
    ['{"blocks":[]}', /InvalidHeader: Cannot read header: need an object/],
    [batch({}, []), /InvalidBlockCount: .*0 blocks/],
    [batch({ version: 1 }), /InvalidVersion: Cannot encode header.version 1/],
    [batch({ blockCount: 2 }), /InvalidBlockCount: .*header.blockCount 2: the blocks make it 1/],
    [batch({ timestamp: "999" }), /InvalidHeader: .*header.timestamp "999": .* 1000/],
    [batch({ batchNumber: undefined }), /InvalidHeader: Cannot read header.batchNumber/],
    [batch({ batchNumber: "18446744073709551616" }), /InvalidHeader: .*header.batchNumber/],
    [batch({ l1Origin: -1 }), /InvalidHeader: Cannot read header.l1Origin/],
    [batch({ l1Origin: 1.5 }), /InvalidHeader: Cannot read header.l1Origin/],
    [batch({ parentCheck: "0xabc" }), /InvalidHeader: Cannot read header.parentCheck: .*even/],
    [batch({ parentCheck: "0xzz" }), /InvalidHeader: Cannot read header.parentCheck/],
    [batch({ l1OriginCheck: "0xab" }), /InvalidHeader: .*l1OriginCheck: need 20 bytes, has 1/],
    [batch({ extra: 1 }), /InvalidHeader: .*unknown key "extra"/],
    [batch({}, [{ ...BLOCK, transactions: ["02aa"] }]), /blocks\[0\]\.transactions\[0\]/],
    [batch({}, [{ ...BLOCK, transactions: [7] }]), /blocks\[0\]\.transactions\[0\]/],
    [batch({}, [{ ...BLOCK, transactions: "0x" }]), /blocks\[0\]\.transactions: need a list/],
    [batch({}, [{ transactions: [] }]), /blocks\[0\]\.timestamp/],
    [batch({}, [BLOCK, { ...BLOCK, timestamp: "999" }]), /InvalidTimestampDelta: .*block 1: -1 s/],
    [batch({}, [BLOCK, { ...BLOCK, timestamp: "66536" }]), /InvalidTimestampDelta: .*65536 s/],
  ];
  await inPairs(halfOf(cases), async ([stdin, error]) => {
    for (const stage of ["raw", "batch --level 1"]) {
      const outcome = await run(`encode --stage ${stage}`, { stdin });
      failed(outcome, 1, error);
      equal(outcome.stdout.length, 0);
    }
  });
});

test("montana decode --stage batch refuses with the code of what is wrong", async () => {
  const [brotli, zstd, none] = [
    await sealed(),
    await sealed("--compressor zstd"),
    await sealed("--compressor none"),
  ];
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(), /^error: Truncated: Cannot read format/],
    [Uint8Array.of(3, 1, 2), /^error: UnknownFormat: .*format 0x03: known are 0x00 brotli/],
    [withByte(brotli, 0, 0xff), /^error: UnknownFormat: .*0xff/],
    [brotli.subarray(0, 1), /^error: Corrupted: /],
    [brotli.subarray(0, -1), /^error: Corrupted: /],
    [concatBytes([brotli, Uint8Array.of(0)]), /^error: Corrupted: /],
    [withByte(brotli, 0, 1), /^error: Corrupted: /],
    [zstd.subarray(0, -1), /^error: Corrupted: /],
    [concatBytes([zstd, Uint8Array.of(0)]), /^error: Corrupted: /],
    [withByte(zstd, zstd.length - 6, zstd.at(-6)! ^ 1), /^error: Corrupted: /],
    [none.subarray(0, -1), /^error: Truncated: /],
    [concatBytes([none, Uint8Array.of(0)]), /^error: TrailingBytes: /],
    [withByte(none, 1, 1), /^error: InvalidVersion: /],
  ];
  await inPairs(cases, async ([stdin, error]) => {
    failed(await run("decode --stage batch", { stdin }), 1, error);
  });
});

test("montana decode refuses a bomb before it takes the memory", async () => {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 4 };
  const bomb = brotliCompressSync(new Uint8Array(65 * 1024 * 1024), { params });
  const stdin = concatBytes([Uint8Array.of(0), bomb]);
  failed(await run("decode --stage batch", { stdin }), 1, /^error: TooLarge: .*67108864/);
});

test("montana decode --stage blob refuses with the code of what is wrong", async () => {
  const blob = encodeBlob(noise(1000));
  const two = concatBytes(toBlobs(noise(130_045)));
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(), /^error: InvalidBlobSize: .*0 bytes/],
    [blob.subarray(1), /^error: InvalidBlobSize: .*131071 bytes/],
    [concatBytes([blob, Uint8Array.of(0)]), /^error: InvalidBlobSize: .*131073 bytes/],
    [withByte(blob, 1, 1), /^error: InvalidBlobVersion: .*version 1/],
    [withByte(blob, 2, 0xff), /^error: InvalidBlobLength: /],
    [withByte(blob, 0, 0x40), /^error: InvalidFieldElement: .*field element 0 .* 64/],
    [withByte(blob, 32, blob[32]! | 0x80), /^error: InvalidFieldElement: .*field element 1 /],
    [withByte(blob, 131_071, 1), /^error: ExtraneousData: .*offset 131071/],
    [withByte(two, 131_072 + 1, 9), /^error: InvalidBlobVersion: .*blob 1/],
    [concatBytes([blob, blob]), /^error: InvalidBlobLength: .*blob 0 of 2: it holds 1000 bytes/],
  ];
  await inPairs(halfOf(cases), async ([stdin, error]) => {
    failed(await run("decode --stage blob", { stdin }), 1, error);
  });
});

test("montana encode and decode tell what cannot be read", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "file"), "");
    const cases: [string, RegExp][] = [
      ["nothing", /NotFound: Cannot read input from nothing: there is no such file/],
      [".", /Unreadable: Cannot read input from \.: it is a directory/],
      ["file/below", /Unreadable: Cannot read input from file\/below: a part of the path/],
    ];
    await inPairs(cases, async ([name, error]) => {
      failed(await run(`encode --stage blob --in ${name} --out o`, { cwd }), 1, error);
      failed(await run(`decode --stage raw --in ${name} --out o`, { cwd }), 1, error);
    });
    equal(existsSync(join(cwd, "o")), false);
  });
});

test("montana encode tells what cannot be written, and leaves nothing behind", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "file"), "");
    const cases: [string, number, RegExp][] = [
      ["/dev/full", 75, /NoSpace: Cannot write output to \/dev\/full: no space left/],
      [".", 1, /Unwritable: Cannot write output to \.: it is a directory/],
      ["file/below", 1, /Unwritable: Cannot write output to file\/below: a part of the path/],
      ["nowhere/out", 1, /Unwritable: Cannot write output to nowhere\/out: there is no such/],
      ["/proc/nowhere", 1, /Unwritable: Cannot write output to \/proc\/nowhere: /],
    ];
    await inPairs(cases, async ([name, code, error]) => {
      failed(await run(`encode --stage blob --out ${name}`, { cwd, stdin: "data" }), code, error);
    });
    equal(succeeded(await run("encode --stage blob --out /dev/null", { cwd })), "");
    equal(filesIn(cwd).join(), "file");
  });
});
