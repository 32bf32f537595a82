/**
 * Fields of what provers say and are told: bytes are arrays of numbers, `0x` text or base64.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { CodecError } from "../errors.ts";
import { fromHex, shown } from "../wire/hex.ts";

/** An object of a prover: nothing of it is known yet. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * The fields of an object.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function fieldsOf(value: unknown, field: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(field, "an object", value);
}

/**
 * Bytes in any of the forms, as many as `size` where that is given.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function bytesOf(value: unknown, field: string, size?: number): Uint8Array {
  const bytes = bytesIn(value, field);
  if (size === undefined || bytes.length === size) return bytes;
  throw wrong(field, `${size} bytes, has ${bytes.length}`, value);
}

function bytesIn(value: unknown, field: string): Uint8Array {
  if (typeof value === "string") {
    if (value.startsWith("0x")) return fromHex(value, field);
    const isBase64 = /^[\w+/-]*={0,2}$/.test(value) && value.length % 4 === 0;
    if (isBase64) return new Uint8Array(Buffer.from(value, "base64"));
  }
  const isByte = (each: unknown) =>
    Number.isInteger(each) && Number(each) >= 0 && Number(each) < 256;
  if (Array.isArray(value) && value.every(isByte)) return Uint8Array.from(value);
  throw wrong(field, "an array of bytes, 0x text or base64", value);
}

/** A number that JSON carries exactly. @throws {CodecError} `TooLarge` */
export function jsonNumber(value: bigint, field: string): number {
  if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new CodecError("TooLarge", `Cannot write ${field} ${value} as a JSON number`);
}

/** That a field is not what it must be. */
export function wrong(field: string, expected: string, value: unknown): CodecError {
  return new CodecError(
    "InvalidHeader",
    `Cannot read ${field}: need ${expected}, have ${shown(value)}`,
  );
}
