/**
 * Bytes for the tests of this folder.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** `size` pseudo-random bytes, the same for the same `seed` (a 32-bit LCG, high bytes). */
export function noise(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/**
 * `size` bytes that compress as transactions do: a few contracts and selectors, small amounts
 * padded to 32 bytes, and a signature of noise after each.
 */
export function transactions(size: number): Uint8Array {
  const contracts = noise(20 * 16, 2);
  const random = noise(size, 3);
  const bytes = new Uint8Array(size);
  let seen = 0;
  for (let offset = 0; offset < size; offset += 172) {
    const tx = new Uint8Array(172);
    tx.set([0x02, 0xf8, 0xa9, 0x82, 0x21, 0x05, 0x83]);
    tx.set(random.subarray(seen, seen += 3), 7);
    const contract = ((random[seen++] ?? 0) >> 4) * 20;
    tx.set(contracts.subarray(contract, contract + 20), 12);
    tx.set([0xa9, 0x05, 0x9c, 0xbb], 34);
    tx.set(random.subarray(seen, seen += 20), 50);
    tx.set(random.subarray(seen, seen += 6), 96);
    tx.set(random.subarray(seen, seen += 64), 106);
    bytes.set(tx.subarray(0, size - offset), offset);
  }
  return bytes;
}

/** Lower-case hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The parts in one array. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** A copy with one bit turned over. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}
