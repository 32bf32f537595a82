/**
 * What is in the shards, in one file that is replaced with each batch, `index.json`:
 *
 * ```
 * {"version":1,"source":"6f…","first":"40","last":"41","lengths":[1200,0,96,3340],"crc32c":123456789}
 * ```
 *
 * `lengths` are the bytes of the shards that count; what a file has beyond is of a batch that was not
 * finished. `first` and `last` are the last batch that is in them whole, `source` is whose batch it was.
 * `crc32c` is that of the text before `,"crc32c"`.
 *
 * @module
 */
import { HandlerError } from "../errors.ts";
import type { Storage } from "../ports.ts";
import { crc32c } from "./crc32c.ts";
import { writeWholeFile } from "./whole_file.ts";

const NAME = "index.json";

/** What is in the shards. */
export interface ShardIndex {
  /** Whose sequence numbers these are. */
  readonly source: string;
  /** The last batch; none yet where `undefined`. */
  readonly batch: { readonly first: bigint; readonly last: bigint } | undefined;
  /** Bytes of each shard. */
  readonly lengths: readonly number[];
}

/**
 * Reads an index.
 *
 * @returns undefined where there is none
 * @throws {HandlerError} `Broken` when it is not as written; what the storage throws
 */
export async function readIndex(
  storage: Storage,
  directory: string,
): Promise<ShardIndex | undefined> {
  const path = `${directory}/${NAME}`;
  if (await storage.size(path) === undefined) return undefined;
  const text = new TextDecoder().decode(await storage.read(path));
  const [body = "", check] = text.split(`,"crc32c":`);
  if (check !== `${checksum(body)}}\n`) throw broken(path, "its checksum is wrong");
  const { version, source, first, last, lengths } = JSON.parse(`${body}}`);
  if (version !== 1) throw broken(path, `version ${version} is not known here`);
  const batch = first === undefined ? undefined : { first: BigInt(first), last: BigInt(last) };
  return { source, batch, lengths };
}

/** Writes an index: durable when it resolves, and the old one until then. */
export async function writeIndex(
  storage: Storage,
  directory: string,
  { source, batch, lengths }: ShardIndex,
): Promise<void> {
  const identity = batch && { first: `${batch.first}`, last: `${batch.last}` };
  const body = JSON.stringify({ version: 1, source, ...identity, lengths }).slice(0, -1);
  const text = `${body},"crc32c":${checksum(body)}}\n`;
  await writeWholeFile(storage, directory, NAME, new TextEncoder().encode(text));
}

function checksum(text: string): number {
  return crc32c(new TextEncoder().encode(text));
}

function broken(path: string, why: string): HandlerError {
  return new HandlerError("Broken", `Cannot read ${path}: ${why}; it is not as it was written`);
}
