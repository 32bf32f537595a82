/**
 * Small states as payloads of a log: JSON, in which 64-bit numbers are `{"$u64":"…"}` and bytes
 * `{"$hex":"0x…"}`.
 *
 * @module
 */
import { fromHex, toHex } from "../wire/hex.ts";

/** The payload for a value made of objects, lists, texts, numbers, bigints and bytes. */
export function toJsonPayload(value: object): Uint8Array {
  const text = JSON.stringify(value, (_key, each) => {
    if (typeof each === "bigint") return { $u64: each.toString() };
    if (each instanceof Uint8Array) return { $hex: toHex(each) };
    return each;
  });
  return new TextEncoder().encode(text);
}

/**
 * What {@link toJsonPayload} was given.
 *
 * @throws {SyntaxError} | {TypeError} | {CodecError} for anything else
 */
export function fromJsonPayload(payload: Uint8Array): unknown {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(payload);
  return JSON.parse(text, (_key, value) => {
    if (typeof value !== "object" || value === null) return value;
    if (typeof value.$u64 === "string") return BigInt(value.$u64);
    if (typeof value.$hex === "string") return fromHex(value.$hex, "bytes");
    return value;
  });
}
