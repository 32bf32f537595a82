/**
 * Which shard an operation goes to: the 32-bit FNV-1a hash of its key, modulo the number of shards.
 *
 * @module
 */

const TAB = 0x09;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Gives the key of an operation: those with the same go to the same shard, in order. */
export type KeyOf = (operation: Uint8Array) => Uint8Array;

/** What stands before the first tab; all of it where there is none. */
export function tabKey(operation: Uint8Array): Uint8Array {
  const end = operation.indexOf(TAB);
  return end < 0 ? operation : operation.subarray(0, end);
}

/**
 * The value of a top-level field of a JSON object, as its text where it is one, else as JSON. All of the
 * operation where it is no such object.
 */
export function fieldKey(field: string): KeyOf {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  return (operation) => {
    let value: unknown;
    try {
      const object = JSON.parse(decoder.decode(operation));
      if (Object.hasOwn(object, field)) value = object[field];
    } catch {
      // No JSON: the rule for what has no such field.
    }
    if (value === undefined) return operation;
    return encoder.encode(typeof value === "string" ? value : JSON.stringify(value));
  };
}

/** The number of a shard, from 0. */
export function shardOf(key: Uint8Array, shards: number): number {
  let hash = FNV_OFFSET;
  for (const byte of key) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return (hash >>> 0) % shards;
}
