/**
 * CRC-32C (Castagnoli, RFC 3720 B.4), eight bytes at a time (Kounavis and Berry, "slicing-by-8"): a log
 * is read back at the speed of this.
 *
 * @module
 */

/** The polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/** `TABLES[n][byte]` is what a byte does to the sum when `n` bytes follow it. */
const TABLES: readonly Uint32Array[] = makeTables();

/**
 * The sum of `data` between two offsets. Given the sum of what came before, it goes on from there:
 * `crc32c(b, crc32c(a))` is the sum of both.
 */
export function crc32c(data: Uint8Array, before = 0, from = 0, to: number = data.length): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES as Uint32Array[] as EightTables;
  let sum = ~before;
  let at = from;
  for (const end = to - 7; at < end; at += 8) {
    const low = sum ^
      (data[at]! | data[at + 1]! << 8 | data[at + 2]! << 16 | data[at + 3]! << 24);
    sum = t7[low & 0xff]! ^ t6[(low >>> 8) & 0xff]! ^ t5[(low >>> 16) & 0xff]! ^ t4[low >>> 24]! ^
      t3[data[at + 4]!]! ^ t2[data[at + 5]!]! ^ t1[data[at + 6]!]! ^ t0[data[at + 7]!]!;
  }
  for (; at < to; at++) sum = (sum >>> 8) ^ t0[(sum ^ data[at]!) & 0xff]!;
  return ~sum >>> 0;
}

type EightTables = [
  ...[Uint32Array, Uint32Array, Uint32Array, Uint32Array],
  ...[Uint32Array, Uint32Array, Uint32Array, Uint32Array],
];

function makeTables(): Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let sum = byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? POLYNOMIAL : 0);
    return sum;
  });
  const tables = [first];
  while (tables.length < 8) {
    tables.push(tables.at(-1)!.map((sum) => (sum >>> 8) ^ first[sum & 0xff]!));
  }
  return tables;
}
