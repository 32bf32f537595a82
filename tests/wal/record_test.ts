import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { decodeMark, encodeGroup, MARK_BYTES } from "../../src/wal/record.ts";
import {
  decodeHead,
  decodeSegmentHeader,
  encodeHead,
  encodeSegmentHeader,
  parseSegmentName,
  segmentName,
} from "../../src/wal/segment.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { DIRECTORY, openLog, put, recordsOf } from "./logs.ts";

const { files } = JSON.parse(
  readFileSync(new URL("../vectors/wal-v1.json", import.meta.url), "utf8"),
) as { files: Record<string, string> };

const text = (value: string) => new TextEncoder().encode(value);

test("Wal writes the bytes of version 1", async () => {
  const storage = new MemoryStorage();
  const log = await openLog(storage, { segmentBytes: 512 });
  await log.append(1, text("first"));
  await Promise.all([log.append(255, text("")), log.append(7, text("third"))]);
  await log.checkpoint(1n);
  await log.append(2, new Uint8Array(400).fill(0xab));
  await log.close();
  const written: Record<string, string> = {};
  for (const name of await storage.list(DIRECTORY)) {
    written[name] = toHex(await storage.read(`${DIRECTORY}/${name}`));
  }
  deepEqual(written, files);
});

test("Wal reads the bytes of version 1", async () => {
  const storage = new MemoryStorage();
  for (const [name, hex] of Object.entries(files)) {
    await put(storage, `${DIRECTORY}/${name}`, fromHex(hex, name));
  }
  const log = await openLog(storage);
  equal(log.checkpointed, 1n);
  deepEqual(await recordsOf(log, 0n), [
    { sequence: 0n, type: 1, payload: text("first") },
    { sequence: 1n, type: 255, payload: text("") },
    { sequence: 2n, type: 7, payload: text("third") },
    { sequence: 3n, type: 2, payload: new Uint8Array(400).fill(0xab) },
  ]);
  await log.close();
});

test("segmentName() sorts as the sequences do, and parseSegmentName() takes nothing else", () => {
  const firsts = [0n, 9n, 10n, 2n ** 64n - 1n];
  const names = firsts.map(segmentName);
  deepEqual([...names].sort(), names);
  deepEqual(names.map(parseSegmentName), firsts);
  for (const name of ["head", "1.wal", `${names[0]}.tmp`, `${names[0]}.broken`, `x${names[0]}`]) {
    equal(parseSegmentName(name), undefined);
  }
});

test("decodeSegmentHeader() and decodeHead() give what was encoded, and refuse all else", () => {
  const header = { first: 2n ** 64n - 1n, follows: 7n, checkpoint: 2n ** 63n, chain: 0xfedcba98 };
  const head = { last: 5n, next: 2n ** 64n - 1n, end: 0xfedcba98 };
  const cases = [
    [encodeSegmentHeader(header), header, decodeSegmentHeader, decodeHead],
    [encodeHead(head), head, decodeHead, decodeSegmentHeader],
  ] as const;
  for (const [bytes, value, decode, other] of cases) {
    deepEqual(decode(bytes), value);
    equal(typeof other(bytes), "string");
    for (let length = 0; length < bytes.length; length++) {
      equal(typeof decode(bytes.slice(0, length)), "string");
    }
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      flipped[bit >>> 3]! ^= 1 << (bit & 7);
      equal(typeof decode(flipped), "string", `bit ${bit}`);
    }
  }
});

test("decodeMark() finds a mark in its place alone, and by no bit another", () => {
  const position = { offset: 77, chain: 0x12345678, sequence: 42n };
  const { bytes, next } = encodeGroup(position, 40n, []);
  equal(bytes.length, MARK_BYTES);
  deepEqual(next, { ...position, offset: 77 + MARK_BYTES });
  const markIn = (data: Uint8Array, offset: number) =>
    decodeMark(data, new DataView(data.buffer), 0, offset);
  deepEqual(markIn(bytes, 77), { ...position, checkpoint: 40n });
  equal(markIn(bytes, 78), undefined);
  equal(markIn(bytes.slice(0, -1), 77), undefined);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >>> 3]! ^= 1 << (bit & 7);
    ok(markIn(flipped, 77) === undefined, `bit ${bit}`);
  }
});
