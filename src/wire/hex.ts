/**
 * Bytes as `0x` text, and 64-bit numbers as decimal text: how JSON carries what it cannot hold itself.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import { bytesOf, digitsOf } from "./digits.ts";

const hasHex = "fromHex" in Uint8Array && "toHex" in Uint8Array.prototype;

/** `0x` and two lower-case digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return "0x" + (hasHex ? bytes.toHex() : digitsOf(bytes));
}

/**
 * Reads `0x` text of any even length, or of exactly `size` bytes.
 *
 * @param field what it is called in the error
 * @throws {CodecError} `InvalidHeader` when it is no such text; `field` and the text's start are named
 */
export function fromHex(text: unknown, field: string, size?: number): Uint8Array {
  if (typeof text !== "string" || !text.startsWith("0x")) {
    throw notHex(field, text, "0x and hexadecimal digits");
  }
  let bytes: Uint8Array;
  try {
    const digits = text.slice(2);
    bytes = hasHex ? Uint8Array.fromHex(digits) : bytesOf(digits);
  } catch {
    throw notHex(field, text, "an even number of hexadecimal digits after 0x");
  }
  if (size !== undefined && bytes.length !== size) {
    throw notHex(field, text, `${size} bytes, has ${bytes.length}`);
  }
  return bytes;
}

/**
 * Reads an unsigned 64-bit number: decimal text, or a JSON number that is exact.
 *
 * @throws {CodecError} `InvalidHeader` naming `field` and the value
 */
export function parseU64(value: unknown, field: string): bigint {
  const isExact = typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
  const isDecimal = typeof value === "string" && /^\d{1,20}$/.test(value);
  const number = isExact || isDecimal ? BigInt(value) : -1n;
  if (number < 0n || number > 0xffff_ffff_ffff_ffffn) {
    throw new CodecError(
      "InvalidHeader",
      `Cannot read ${field}: need a whole number from 0 to 2^64 - 1 (as text, if above 2^53), have ${
        shown(value)
      }`,
    );
  }
  return number;
}

function notHex(field: string, value: unknown, expected: string): CodecError {
  return new CodecError("InvalidHeader", `Cannot read ${field}: need ${expected}: ${shown(value)}`);
}

/** The start of a value, short enough for one line. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
