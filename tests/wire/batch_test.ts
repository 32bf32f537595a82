import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { CodecError } from "../../src/errors.ts";
import type { L2Block } from "../../src/types.ts";
import {
  decodeBatch,
  encodeBatch,
  encodedBlockSize,
  HEADER_SIZE,
  headerFor,
} from "../../src/wire/batch.ts";
import { batchFromJson, type BatchJson, batchToJson } from "../../src/wire/batch_json.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";

const vectors: {
  valid: (BatchJson & { name: string; encoded: string })[];
  invalid: { name: string; error: string; encoded: string }[];
} = JSON.parse(readFileSync(new URL("../vectors/wire-v0.json", import.meta.url), "utf8"));

const check = new Uint8Array(20).fill(0xab);

function batchOf(blocks: readonly L2Block[]) {
  return headerFor(
    { batchNumber: 3n, l1Origin: 9n, l1OriginCheck: check, parentCheck: check },
    blocks,
  );
}

test("encodeBatch() gives the bytes of every valid vector", () => {
  for (const vector of vectors.valid) {
    const { header, blocks } = batchFromJson({ header: vector.header, blocks: vector.blocks });
    equal(toHex(encodeBatch(header, blocks)), vector.encoded, vector.name);
  }
  equal(vectors.valid.length, 19);
});

test("decodeBatch() gives the batch of every valid vector", () => {
  for (const vector of vectors.valid) {
    const decoded = batchToJson(decodeBatch(fromHex(vector.encoded, "encoded")));
    deepEqual(decoded, { header: vector.header, blocks: vector.blocks }, vector.name);
  }
});

test("decodeBatch() refuses every invalid vector with its code", () => {
  for (const vector of vectors.invalid) {
    throws(() => decodeBatch(fromHex(vector.encoded, "encoded")), { code: vector.error });
  }
  equal(vectors.invalid.length, 21);
});

test("decodeBatch() names the field and offset at every truncation", () => {
  const blocks = [
    { timestamp: 5n, transactions: [Uint8Array.of(1, 2), new Uint8Array()] },
    { timestamp: 9n, transactions: [Uint8Array.of(3)] },
  ];
  const bytes = encodeBatch(batchOf(blocks), blocks);
  for (let length = 0; length < bytes.length; length++) {
    throws(() => decodeBatch(bytes.subarray(0, length)), (error) => {
      const { code, details, message } = error as CodecError;
      equal(code, "Truncated");
      equal(Number(details.offset) + Number(details.left), length);
      equal(message.startsWith(`Cannot read ${details.field}: need ${details.need} bytes`), true);
      return true;
    });
  }
  throws(() => decodeBatch(bytes.subarray(0, HEADER_SIZE - 1)), {
    message: "Cannot read block_count: need 2 bytes, 1 left at offset 65",
  });
});

test("decodeBatch() refuses a timestamp that would pass 2^64 - 1", () => {
  const blocks = [{ timestamp: 2n ** 64n - 2n, transactions: [] }, {
    timestamp: 2n ** 64n - 1n,
    transactions: [],
  }];
  const bytes = encodeBatch(batchOf(blocks), blocks);
  equal(decodeBatch(bytes).blocks[1]?.timestamp, 2n ** 64n - 1n);
  bytes[HEADER_SIZE + 4] = 2;
  throws(() => decodeBatch(bytes), { code: "InvalidTimestampDelta" });
});

test("encodeBatch() refuses what does not fit, naming block and value", () => {
  const empty = { timestamp: 7n, transactions: [] };
  const refuses = (blocks: readonly L2Block[], code: string, message: RegExp) =>
    throws(() => encodeBatch(batchOf(blocks), blocks), { code, message });

  refuses([], "InvalidBlockCount", /0 blocks/);
  refuses(new Array(65536).fill(empty), "InvalidBlockCount", /65536 blocks/);
  refuses(
    [empty, { timestamp: 7n + 65536n, transactions: [] }],
    "InvalidTimestampDelta",
    /block 1: 65536 s/,
  );
  refuses([empty, { timestamp: 6n, transactions: [] }], "InvalidTimestampDelta", /block 1: -1 s/);
  const many = { timestamp: 7n, transactions: new Array(65536).fill(new Uint8Array()) };
  refuses([empty, many], "TooLarge", /tx_count of block 1: 65536/);
  const long = { timestamp: 7n, transactions: [new Uint8Array(2 ** 24)] };
  refuses([empty, long], "TooLarge", /block 1, transaction 0: 16777216 bytes/);
});

test("encodeBatch() takes the largest of everything", () => {
  const blocks = [
    { timestamp: 0n, transactions: [new Uint8Array(2 ** 24 - 1).fill(1)] },
    { timestamp: 65535n, transactions: new Array(65535).fill(Uint8Array.of(9)) },
  ];
  const decoded = decodeBatch(encodeBatch(batchOf(blocks), blocks));
  equal(decoded.blocks[0]?.transactions[0]?.length, 2 ** 24 - 1);
  equal(decoded.blocks[1]?.transactions.length, 65535);
});

test("encodeBatch() refuses a header that is not the blocks'", () => {
  const blocks = [{ timestamp: 7n, transactions: [] }];
  const header = batchOf(blocks);
  const refuses = (change: Partial<typeof header>, code: string) =>
    throws(() => encodeBatch({ ...header, ...change }, blocks), { code });

  refuses({ version: 1 }, "InvalidVersion");
  refuses({ blockCount: 2 }, "InvalidBlockCount");
  refuses({ timestamp: 8n }, "InvalidHeader");
  refuses({ batchNumber: 2n ** 64n }, "TooLarge");
  refuses({ l1Origin: -1n }, "TooLarge");
  refuses({ parentCheck: new Uint8Array(32) }, "InvalidHeader");
});

const anyBlocks = fc.tuple(
  fc.bigInt({ min: 0n, max: 2n ** 40n }),
  fc.array(
    fc.record({
      delta: fc.integer({ min: 0, max: 65535 }),
      transactions: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
    }),
    { minLength: 1, maxLength: 12 },
  ),
).map(([first, steps]) => {
  let timestamp = first;
  return steps.map(({ delta, transactions }, index): L2Block => {
    timestamp += index === 0 ? 0n : BigInt(delta);
    return { timestamp, transactions };
  });
});

test("decodeBatch() gives back whatever encodeBatch() took, in the size measured", () => {
  fc.assert(fc.property(anyBlocks, (blocks) => {
    const header = batchOf(blocks);
    const bytes = encodeBatch(header, blocks);
    equal(bytes.length, blocks.reduce((sum, each) => sum + encodedBlockSize(each), HEADER_SIZE));
    deepEqual(batchToJson(decodeBatch(bytes)), batchToJson({ header, blocks }));
  }));
});

test("decodeBatch() of damaged bytes gives a batch that encodes to them, or a CodecError", () => {
  fc.assert(
    fc.property(anyBlocks, fc.nat(), fc.integer({ min: 1, max: 255 }), (blocks, at, flip) => {
      const bytes = encodeBatch(batchOf(blocks), blocks);
      bytes[at % bytes.length]! ^= flip;
      try {
        const { header, blocks } = decodeBatch(bytes);
        deepEqual(encodeBatch(header, blocks), bytes);
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
      }
    }),
  );
});

test("batchFromJson() names the key that cannot be read", () => {
  const good = batchToJson({
    header: batchOf([{ timestamp: 7n, transactions: [] }]),
    blocks: [{ timestamp: 7n, transactions: [] }],
  });
  const refuses = (
    change: (json: Record<string, Record<string, unknown>>) => void,
    text: RegExp,
  ) => {
    const json = structuredClone(good) as unknown as Record<string, Record<string, unknown>>;
    change(json);
    throws(() => batchFromJson(json), { name: "CodecError", message: text });
  };
  refuses((json) => json.header!.batchNumber = "12x", /header\.batchNumber: .*"12x"/);
  refuses((json) => json.header!.l1Origin = 1.5, /header\.l1Origin/);
  refuses((json) => json.header!.parentCheck = "0xabc", /header\.parentCheck: need an even/);
  refuses((json) => json.header!.parentCheck = "0xab", /need 20 bytes, has 1/);
  refuses((json) => json.header!.blockCount = 5, /header\.blockCount 5: the blocks make it 1/);
  refuses((json) => json.header!.version = 2, /header\.version 2/);
  refuses((json) => json.header!.timestamp = "8", /header\.timestamp "8"/);
  refuses((json) => json.header!.tiemstamp = "8", /unknown key "tiemstamp"/);
  refuses((json) => json.blocks = 5 as never, /blocks: need a list, have 5/);
  refuses(
    (json) => json.blocks = [{ timestamp: 7, transactions: ["0xzz"] }] as never,
    /blocks\[0\]\.transactions\[0\]/,
  );
  throws(() => batchFromJson(null), { message: /the batch: need an object, have null/ });
});
