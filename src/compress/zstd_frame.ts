/**
 * The outside of a zstd frame (RFC 8878, section 3.1.1), walked without decompressing: where it
 * ends is what `node:zlib` does not tell. Every integer is little-endian.
 *
 * | size       | field         |                                                                  |
 * | ---------: | ------------- | ---------------------------------------------------------------- |
 * |          4 | magic         | 0xfd2fb528                                                       |
 * |          1 | descriptor    | bits 7-6 content size, 5 single segment, 3 reserved, 2 checksum, |
 * |            |               | 1-0 dictionary                                                   |
 * |     0 or 1 | window        | not in a single segment: bits 7-3 exponent, 2-0 mantissa         |
 * |    0 1 2 4 | dictionary id |                                                                  |
 * |  0 1 2 4 8 | content size  | the 2 bytes count from 256                                       |
 * | 3 + n, ... | blocks        | bit 0 last, 1-2 type, 3-23 size; a run has n = 1                 |
 * |     0 or 4 | checksum      | low half of XXH64 of the content                                 |
 *
 * @module
 */
import { CompressionError } from "../errors.ts";

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const MAX_BLOCK_BYTES = 128 * 1024;
const RUN = 1;
const RESERVED = 3;

/** What a frame says about itself. */
export interface ZstdFrame {
  /** Offset behind its last byte. */
  readonly end: number;
  /** Size of the window that its decoder must hold. */
  readonly windowBytes: number;
  /** Size of its content, where it is told. */
  readonly contentBytes: number | undefined;
  readonly hasChecksum: boolean;
}

/**
 * Walks the frame at the start of `data`. What follows it is not looked at.
 *
 * @throws {CompressionError} `Corrupted`, with field and offset, unless it is a whole frame
 */
export function readZstdFrame(data: Uint8Array): ZstdFrame {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let offset = 0;

  /** Where a field of `size` bytes starts; the next starts behind it. */
  function field(size: number, name: string): number {
    if (size > data.length - offset) {
      throw corrupted(
        `Cannot read ${name} of a zstd frame: need ${size} bytes, ` +
          `${data.length - offset} left at offset ${offset}`,
        offset,
      );
    }
    offset += size;
    return offset - size;
  }

  function unsigned(size: 0 | 1 | 2 | 4 | 8, name: string): number {
    const at = field(size, name);
    if (size === 0) return 0;
    if (size === 1) return view.getUint8(at);
    if (size === 2) return view.getUint16(at, true);
    if (size === 4) return view.getUint32(at, true);
    return Number(view.getBigUint64(at, true));
  }

  const magic = unsigned(4, "magic");
  if ((magic & ~0xf) >>> 0 === SKIPPABLE_MAGIC) {
    throw corrupted("Cannot read a zstd frame: a skippable frame is no batch", 0);
  }
  if (magic !== MAGIC) {
    throw corrupted(`Cannot read a zstd frame: magic is 0x${magic.toString(16)}`, 0);
  }

  const descriptor = unsigned(1, "descriptor");
  if (descriptor & 0b1000) {
    throw corrupted("Cannot read a zstd frame: the reserved bit of its descriptor is set", 4);
  }
  const isSingleSegment = (descriptor & 0b10_0000) !== 0;
  const hasChecksum = (descriptor & 0b100) !== 0;
  const window = isSingleSegment ? undefined : unsigned(1, "window");
  const dictionaryId = unsigned(
    DICTIONARY_ID_BYTES[(descriptor & 0b11) as 0 | 1 | 2 | 3],
    "dictionary id",
  );
  if (dictionaryId !== 0) {
    throw corrupted(`Cannot read a zstd frame: it needs dictionary ${dictionaryId}`, 5);
  }
  const contentBytes = contentSize(descriptor >> 6, isSingleSegment, unsigned);

  for (let isLast = false; !isLast;) {
    const at = field(3, "block header");
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    isLast = (header & 1) === 1;
    const type = (header >> 1) & 0b11;
    const size = header >> 3;
    if (type === RESERVED) throw corrupted("Cannot read a zstd block: its type is reserved", at);
    if (size > MAX_BLOCK_BYTES) {
      throw corrupted(`Cannot read a zstd block: ${size} bytes, at most ${MAX_BLOCK_BYTES}`, at);
    }
    field(type === RUN ? 1 : size, "block");
  }
  if (hasChecksum) field(4, "checksum");

  const windowBytes = window === undefined ? contentBytes ?? 0 : windowSize(window);
  return { end: offset, windowBytes, contentBytes, hasChecksum };
}

function contentSize(
  flag: number,
  isSingleSegment: boolean,
  unsigned: (size: 1 | 2 | 4 | 8, name: string) => number,
): number | undefined {
  if (flag === 0) return isSingleSegment ? unsigned(1, "content size") : undefined;
  if (flag === 1) return unsigned(2, "content size") + 256;
  return unsigned(flag === 2 ? 4 : 8, "content size");
}

/** RFC 8878, section 3.1.1.1.2. */
function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 0b111);
}

function corrupted(message: string, offset: number): CompressionError {
  return new CompressionError("Corrupted", message, { details: { offset } });
}
