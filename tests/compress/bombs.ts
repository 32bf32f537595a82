/**
 * Streams of a few kilobytes that become gigabytes, written by hand: no compressor has to chew
 * those.
 *
 * @module
 */

/** Content of one meta-block of {@link brotliBomb}: the most that one can have. */
export const BROTLI_BLOCK_BYTES = 1 << 24;
/** Content of one block of {@link zstdBomb}: the most that one can have. */
export const ZSTD_BLOCK_BYTES = 128 * 1024;

/** Writes bits as RFC 7932 packs them: from the low end of each byte. */
class BitWriter {
  #bytes: number[] = [];
  #bit = 0;

  write(value: number, bits: number): void {
    for (let i = 0; i < bits; i++) {
      if (this.#bit % 8 === 0) this.#bytes.push(0);
      const last = this.#bytes.length - 1;
      this.#bytes[last] = (this.#bytes[last] ?? 0) | (((value >>> i) & 1) << (this.#bit % 8));
      this.#bit++;
    }
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/**
 * A valid Brotli stream of zeros, 12 bytes for each 16 MiB (RFC 7932, sections 9.1 to 9.3). Every
 * prefix code has one symbol, so a meta-block is its header and the extra bits of one command:
 * insert one literal, then copy it from distance 1 until the meta-block is full.
 */
export function brotliBomb(blocks: number): Uint8Array {
  const bits = new BitWriter();
  bits.write(0, 1); // WBITS: a window of 16 bits
  for (let block = 0; block < blocks; block++) {
    bits.write(0, 1); // ISLAST: no
    bits.write(2, 2); // MNIBBLES: 6
    bits.write(BROTLI_BLOCK_BYTES - 1, 24); // MLEN - 1
    bits.write(0, 1); // ISUNCOMPRESSED: no
    bits.write(0, 3); // NBLTYPESL, NBLTYPESI, NBLTYPESD: 1
    bits.write(0, 6); // NPOSTFIX, NDIRECT: 0
    bits.write(0, 2); // context mode of the one literal block type
    bits.write(0, 2); // NTREESL, NTREESD: 1
    simpleCode(bits, 0, 8); // literal 0
    simpleCode(bits, 384 + 8 + 7, 10); // insert code 1 (one literal), copy code 23
    simpleCode(bits, 16, 6); // distance code 16: 1 or 2 by one extra bit
    bits.write(BROTLI_BLOCK_BYTES - 1 - 2118, 24); // copy length from 2118
    bits.write(0, 1); // distance 1
  }
  bits.write(0b11, 2); // ISLAST, ISLASTEMPTY
  return bits.finish();
}

function simpleCode(bits: BitWriter, symbol: number, alphabetBits: number): void {
  bits.write(1, 2); // a simple prefix code
  bits.write(0, 2); // of one symbol
  bits.write(symbol, alphabetBits);
}

/**
 * A valid zstd frame of zeros, 4 bytes for each 128 KiB: runs, without content size and checksum.
 */
export function zstdBomb(blocks: number): Uint8Array {
  const frame = new Uint8Array(6 + 4 * blocks);
  frame.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  for (let block = 0; block < blocks; block++) {
    const isLast = block === blocks - 1 ? 1 : 0;
    const header = (ZSTD_BLOCK_BYTES << 3) | (1 << 1) | isLast;
    frame.set([header & 0xff, (header >> 8) & 0xff, header >> 16, 0], 6 + 4 * block);
  }
  return frame;
}
