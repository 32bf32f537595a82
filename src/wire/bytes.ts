/**
 * Little-endian reading and writing with names: every refusal says which field, where, and what was
 * missing.
 *
 * @module
 */
import { CodecError } from "../errors.ts";

/** Reads fields one after the other, and keeps count of where it is. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#offset;
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(1, field));
  }

  u16(field: string): number {
    return this.#view.getUint16(this.#take(2, field), true);
  }

  u24(field: string): number {
    const at = this.#take(3, field);
    return this.#view.getUint16(at, true) | (this.#view.getUint8(at + 2) << 16);
  }

  u32(field: string): number {
    return this.#view.getUint32(this.#take(4, field), true);
  }

  u64(field: string): bigint {
    return this.#view.getBigUint64(this.#take(8, field), true);
  }

  /** The next `size` bytes, as a view of the input: nothing is copied. */
  bytes(size: number, field: string): Uint8Array {
    const at = this.#take(size, field);
    return this.#bytes.subarray(at, at + size);
  }

  /** Refuses leftovers. */
  end(after: string): void {
    const left = this.#bytes.length - this.#offset;
    if (left === 0) return;
    throw new CodecError(
      "TrailingBytes",
      `Cannot end after ${after}: ${left} bytes left at offset ${this.#offset}`,
      { details: { offset: this.#offset, left } },
    );
  }

  #take(size: number, field: string): number {
    const at = this.#offset;
    const left = this.#bytes.length - at;
    if (left < size) {
      throw new CodecError(
        "Truncated",
        `Cannot read ${field}: need ${size} bytes, ${left} left at offset ${at}`,
        { details: { field, offset: at, need: size, left } },
      );
    }
    this.#offset = at + size;
    return at;
  }
}

/** Writes fields into a buffer that was measured before. */
export class Writer {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(value: number): void {
    this.#view.setUint8(this.#offset, value);
    this.#offset += 1;
  }

  u16(value: number): void {
    this.#view.setUint16(this.#offset, value, true);
    this.#offset += 2;
  }

  u24(value: number): void {
    this.#view.setUint16(this.#offset, value & 0xffff, true);
    this.#view.setUint8(this.#offset + 2, value >>> 16);
    this.#offset += 3;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#offset, value, true);
    this.#offset += 4;
  }

  u64(value: bigint): void {
    this.#view.setBigUint64(this.#offset, value, true);
    this.#offset += 8;
  }

  raw(value: Uint8Array): void {
    this.bytes.set(value, this.#offset);
    this.#offset += value.length;
  }
}

/** True when both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  // A loop: `every()` takes 50 ms for the 3 MB of a batch, and the main thread stands still so long.
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** True when both lists hold the same bytes, in the same order. */
export function equalLists(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((each, index) => equalBytes(each, b[index]!));
}

/** True when `bytes` begins with `start`. */
export function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return equalBytes(bytes.subarray(0, start.length), start);
}

/** One array after the other. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Writer(parts.reduce((size, part) => size + part.length, 0));
  for (const part of parts) whole.raw(part);
  return whole.bytes;
}
