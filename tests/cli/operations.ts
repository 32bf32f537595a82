/**
 * What tests of `montana processor` share: operations, acknowledgements, shards.
 *
 * @module
 */
import { ok, strictEqual as equal } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** `count` operations of a few keys, each of its own; `from` is the number of the first. */
export function operationLines(count: number, from = 0, keys = 7): string {
  return Array.from({ length: count }, (_, index) => {
    const number = from + index;
    return `key-${number % keys}\t${number}\n`;
  }).join("");
}

/** The lines of a text. */
export function linesOf(text: string | Uint8Array): string[] {
  const whole = typeof text === "string" ? text : new TextDecoder().decode(text);
  const lines = whole.split("\n");
  // What no newline ends was not printed in full.
  lines.pop();
  return lines;
}

/** Sequence numbers that were printed, which must grow. */
export function acksOf(stdout: Uint8Array): bigint[] {
  const acks = linesOf(stdout).map(BigInt);
  for (const [index, ack] of acks.entries()) {
    ok(index === 0 || ack > acks[index - 1]!, `${ack} after ${acks[index - 1]}`);
  }
  return acks;
}

/** The operations in the shards of a directory, shard after shard; each key is in one, in order. */
export async function shardLines(directory: string): Promise<string[]> {
  const names = (await readdir(directory)).filter((name) => name.startsWith("shard-")).sort();
  const all: string[] = [];
  const shardOf = new Map<string, string>();
  for (const name of names) {
    const last = new Map<string, number>();
    const text = await readFile(join(directory, name), "utf8");
    ok(text === "" || text.endsWith("\n"), `${name} ends in half an operation`);
    for (const line of linesOf(text)) {
      const [key = "", number] = line.split("\t");
      equal(shardOf.get(key) ?? name, name, `${key} is in two shards`);
      shardOf.set(key, name);
      ok(Number(number) > (last.get(key) ?? -1), `${line} in ${name} after ${last.get(key)}`);
      last.set(key, Number(number));
      all.push(line);
    }
  }
  equal(new Set(all).size, all.length, "an operation is there twice");
  return all;
}
