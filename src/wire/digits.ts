/**
 * Bytes as hexadecimal digits, for runtimes that cannot do it themselves: Node before 25. Still some
 * hundred megabytes a second.
 *
 * @module
 */

/** The two digits of each byte, as their character codes lie in memory. */
const pairOf = new Uint16Array(256);
/** The value of each digit by its character code; -1 for what is none. */
const valueOf = new Int8Array(128).fill(-1);

const codes = new Uint8Array(pairOf.buffer);
for (let byte = 0; byte < 256; byte++) {
  const digits = byte.toString(16).padStart(2, "0");
  codes[2 * byte] = digits.charCodeAt(0);
  codes[2 * byte + 1] = digits.charCodeAt(1);
}
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  valueOf[digit.charCodeAt(0)] = value;
  valueOf[digit.toUpperCase().charCodeAt(0)] = value;
}

/** Two lower-case digits a byte, as `Uint8Array.prototype.toHex` gives them. */
export function digitsOf(bytes: Uint8Array): string {
  const pairs = new Uint16Array(bytes.length);
  for (let index = 0; index < bytes.length; index++) pairs[index] = pairOf[bytes[index]!]!;
  return new TextDecoder().decode(pairs);
}

/**
 * The bytes of digits, as `Uint8Array.fromHex` gives them.
 *
 * @throws {SyntaxError} for an odd number of digits, or anything that is none
 */
export function bytesOf(digits: string): Uint8Array {
  if (digits.length % 2 !== 0) throw new SyntaxError("need an even number of digits");
  const bytes = new Uint8Array(digits.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    const high = valueOf[digits.charCodeAt(2 * index)] ?? -1;
    const low = valueOf[digits.charCodeAt(2 * index + 1)] ?? -1;
    const byte = (high << 4) | low;
    if (byte < 0) throw new SyntaxError(`need digits, have another character in byte ${index}`);
    bytes[index] = byte;
  }
  return bytes;
}
