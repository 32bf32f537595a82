/**
 * Fields of what a node answers, as the bytes that RLP takes: each is checked for its form.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import { fromHex, shown } from "../wire/hex.ts";

/** An object of a node: nothing of it is known yet. */
export type JsonFields = Readonly<Record<string, unknown>>;

/** No bytes: zero, and what is not there. */
export const NO_BYTES: Uint8Array = new Uint8Array();

const QUANTITY = /^0x0*([\da-f]*)$/i;
/** 32 bytes. */
const MAX_DIGITS = 64;

/**
 * A number without leading zeros, as RLP has it; some nodes write them.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function integerBytes(fields: JsonFields, field: string): Uint8Array {
  const value = fields[field];
  const digits = typeof value === "string" && value.length > 2 && QUANTITY.exec(value)?.[1];
  if (typeof digits !== "string" || digits.length > MAX_DIGITS) {
    throw wrong(field, "a number as 0x and digits", value);
  }
  if (digits === "") return NO_BYTES;
  return fromHex(`0x${digits.length % 2 === 0 ? "" : "0"}${digits}`, field);
}

/** A number of at most 64 bits. */
export function quantity(fields: JsonFields, field: string): bigint {
  const value = fields[field];
  if (typeof value === "string" && /^0x[\da-f]{1,16}$/i.test(value)) return BigInt(value);
  throw wrong(field, "a number as 0x and digits", value);
}

/** Bytes, as many as `size` where that is given. */
export function data(fields: JsonFields, field: string, size?: number): Uint8Array {
  return fromHex(fields[field], field, size);
}

/** What is left out where there is none, or null. */
export function list(fields: JsonFields, field: string): readonly unknown[] {
  const value = fields[field] ?? [];
  if (Array.isArray(value)) return value;
  throw wrong(field, "a list", value);
}

/** An object in an object. */
export function objectOf(value: unknown, field: string): JsonFields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as JsonFields;
  }
  throw wrong(field, "an object", value);
}

/** What a node answered is not what it must be. */
export function wrong(field: string, need: string, have: unknown): CodecError {
  return new CodecError("InvalidHeader", `${field}: need ${need}, have ${shown(have)}`);
}
