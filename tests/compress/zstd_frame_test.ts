import { deepStrictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { readZstdFrame } from "../../src/compress/zstd_frame.ts";
import { join } from "./data.ts";

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
/** A last block of three raw bytes. */
const RAW_BLOCK = [(3 << 3) | 1, 0, 0, 0xaa, 0xbb, 0xcc];
/** A last block that is a run of 1000. */
const RUN_BLOCK = [((1000 << 3) | (1 << 1) | 1) & 0xff, (1000 << 3) >> 8, 0, 0xaa];

test("readZstdFrame() reads every layout of a header", () => {
  const cases: [number[], Partial<ReturnType<typeof readZstdFrame>>][] = [
    [[0x00, 0x58], { windowBytes: 2 ** 21, contentBytes: undefined, hasChecksum: false }],
    [[0x00, 0x07], { windowBytes: 1024 + 7 * 128 }],
    [[0x20, 3], { windowBytes: 3, contentBytes: 3 }],
    [[0x60, 0, 1], { windowBytes: 512, contentBytes: 512 }],
    [[0x40, 0x00, 0, 1], { windowBytes: 1024, contentBytes: 512 }],
    [[0xa0, 0, 0, 1, 0], { windowBytes: 65_536, contentBytes: 65_536 }],
    [[0xe0, 0, 0, 0, 0, 1, 0, 0, 0], { windowBytes: 2 ** 32, contentBytes: 2 ** 32 }],
    [[0x21, 0, 3], { contentBytes: 3 }],
    [[0x22, 0, 0, 3], { contentBytes: 3 }],
    [[0x23, 0, 0, 0, 0, 3], { contentBytes: 3 }],
  ];
  for (const [header, expected] of cases) {
    const bytes = Uint8Array.from([...MAGIC, ...header, ...RAW_BLOCK]);
    const frame = readZstdFrame(bytes);
    deepStrictEqual({ ...frame, ...expected }, frame);
    deepStrictEqual(frame.end, bytes.length);
  }
});

test("readZstdFrame() walks blocks and checksum, and stops at the end of the frame", () => {
  const first = RAW_BLOCK.with(0, 3 << 3);
  const bytes = Uint8Array.from([...MAGIC, 0x04, 0x58, ...first, ...RUN_BLOCK, 1, 2, 3, 4]);
  const frame = {
    end: bytes.length,
    windowBytes: 2 ** 21,
    contentBytes: undefined,
    hasChecksum: true,
  };
  deepStrictEqual(readZstdFrame(bytes), frame);
  deepStrictEqual(readZstdFrame(join(bytes, Uint8Array.of(9, 9))), frame);
});

test("readZstdFrame() names the field and offset at every truncation", () => {
  const bytes = Uint8Array.from([...MAGIC, 0x64, 3, 0, ...RAW_BLOCK, 1, 2, 3, 4]);
  for (let length = 0; length < bytes.length; length++) {
    throws(() => readZstdFrame(bytes.subarray(0, length)), { code: "Corrupted" });
  }
  const messages = [2, 4, 6, 9, 12, 16].map((length) => {
    try {
      readZstdFrame(bytes.subarray(0, length));
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  });
  deepStrictEqual(messages, [
    "Cannot read magic of a zstd frame: need 4 bytes, 2 left at offset 0",
    "Cannot read descriptor of a zstd frame: need 1 bytes, 0 left at offset 4",
    "Cannot read content size of a zstd frame: need 2 bytes, 1 left at offset 5",
    "Cannot read block header of a zstd frame: need 3 bytes, 2 left at offset 7",
    "Cannot read block of a zstd frame: need 3 bytes, 2 left at offset 10",
    "Cannot read checksum of a zstd frame: need 4 bytes, 3 left at offset 13",
  ]);
});

test("readZstdFrame() refuses what no batch is", () => {
  const cases: [number[], string][] = [
    [
      [0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0],
      "Cannot read a zstd frame: a skippable frame is no batch",
    ],
    [[0x1f, 0x8b, 0x08, 0x00], "Cannot read a zstd frame: magic is 0x88b1f"],
    [
      [...MAGIC, 0x08, 0x58, ...RAW_BLOCK],
      "Cannot read a zstd frame: the reserved bit of its descriptor is set",
    ],
    [[...MAGIC, 0x21, 7, 3, ...RAW_BLOCK], "Cannot read a zstd frame: it needs dictionary 7"],
    [[...MAGIC, 0x20, 3, 0b111, 0, 0], "Cannot read a zstd block: its type is reserved"],
    [
      [...MAGIC, 0x00, 0x58, 0xfd, 0xff, 0xff],
      "Cannot read a zstd block: 2097151 bytes, at most 131072",
    ],
  ];
  for (const [bytes, message] of cases) {
    throws(() => readZstdFrame(Uint8Array.from(bytes)), { code: "Corrupted", message });
  }
});
