/**
 * The bytes of a file, or of standard input, piece by piece; gzip is unpacked. A file that is not at its
 * end for good is followed as it grows, and watched: what was read once must stay as it was.
 *
 * @module
 */
import { createReadStream, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import process from "node:process";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { SourceError } from "../errors.ts";
import { concatBytes, equalBytes } from "../wire/bytes.ts";
import { readError } from "./disk.ts";

const CHUNK_SIZE = 256 * 1024;
/** Bytes at both ends of what was read that are compared when the file was touched. */
const WITNESS_SIZE = 4096;

/** The next bytes; `undefined` when there are none now but may be later. */
export type Chunks = AsyncGenerator<Uint8Array | undefined, void, undefined>;

/** How a file is read. */
export interface ChunkOptions {
  /** A plain file never ends: what is appended follows. */
  readonly follow?: boolean;
  /** Bytes of a plain file to pass over. */
  readonly start?: number;
}

/** Looks at a file, or takes standard input for `-`. Nothing is held open before the first piece. */
export async function openChunks(path: string, options: ChunkOptions = {}): Promise<Chunks> {
  if (path === "-") return stdinChunks();
  const magic = await readMagic(path);
  if (isGzip(magic)) return gzipChunks(path);
  if (path.endsWith(".gz") && magic.length > 0) {
    throw new SourceError("Unreadable", `Cannot read blocks from ${path}: it is not gzip`);
  }
  return plainChunks(path, options);
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** The first two bytes, or what there is of them. */
async function readMagic(path: string): Promise<Uint8Array> {
  await refuseStream(path);
  const handle = await openFile(path);
  try {
    const magic = new Uint8Array(2);
    const { bytesRead } = await handle.read(magic, 0, 2, 0);
    return magic.subarray(0, bytesRead);
  } catch (cause) {
    throw readError("blocks from", path, cause);
  } finally {
    await handle.close();
  }
}

function openFile(path: string): Promise<FileHandle> {
  return open(path, "r").catch((cause) => {
    throw readError("blocks from", path, cause);
  });
}

/** What has no positions cannot be watched, nor left alone while nothing comes. */
async function refuseStream(path: string): Promise<void> {
  const stats = await stat(path).catch((cause) => {
    throw readError("blocks from", path, cause);
  });
  if (stats.isFile() || stats.isDirectory()) return;
  throw new SourceError(
    "Unreadable",
    `Cannot read blocks from ${path}: it is no file; give it as standard input, which is called -`,
  );
}

async function* stdinChunks(): Chunks {
  const input: AsyncIterator<Uint8Array> = process.stdin[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array();
  while (head.length < 2) {
    const { value, done } = await input.next();
    if (done) break;
    head = concatBytes([head, value]);
  }
  const whole = joined(head, input);
  yield* isGzip(head) ? unzipped(Readable.from(whole), "standard input") : whole;
}

async function* joined(
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (head.length > 0) yield head;
  for await (const chunk of { [Symbol.asyncIterator]: () => rest }) yield chunk;
}

async function* gzipChunks(path: string): Chunks {
  const before = await stat(path);
  yield* unzipped(createReadStream(path), path);
  const after = await stat(path).catch((cause) => {
    throw readError("blocks from", path, cause);
  });
  if (after.size !== before.size || after.ino !== before.ino) {
    throw changed(path, `it had ${before.size} bytes and has ${after.size} now`);
  }
}

async function* unzipped(packed: Readable, path: string): Chunks {
  const gunzip = createGunzip();
  packed.on("error", (error) => gunzip.destroy(error));
  packed.pipe(gunzip);
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array;
  } catch (cause) {
    const why = (cause as { code?: string }).code?.startsWith("Z_")
      ? new Error(`it is damaged or cut gzip (${(cause as Error).message})`, { cause })
      : cause;
    throw readError("blocks from", path, why);
  } finally {
    packed.destroy();
  }
}

async function* plainChunks(path: string, { follow = false, start = 0 }: ChunkOptions): Chunks {
  const handle = await openFile(path);
  try {
    const watch = await Watch.begin(path, handle, start);
    let offset = start;
    for (;;) {
      const buffer = new Uint8Array(CHUNK_SIZE);
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_SIZE, offset);
      // First: what follows bytes that are others now is not what followed those that were read.
      await watch.check(offset);
      if (bytesRead > 0) {
        const chunk = buffer.subarray(0, bytesRead);
        offset += bytesRead;
        watch.saw(chunk);
        yield chunk;
        continue;
      }
      if (!follow) return;
      yield undefined;
    }
  } catch (cause) {
    throw readError("blocks from", path, cause);
  } finally {
    await handle.close();
  }
}

/** Notices that a file was cut, replaced or rewritten under its reader. */
class Watch {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #inode: number;
  readonly #start: number;
  #size: number;
  #modifiedMs: number;
  #head = new Uint8Array();
  #tail = new Uint8Array();

  private constructor(path: string, handle: FileHandle, start: number, stats: Stats) {
    this.#path = path;
    this.#handle = handle;
    this.#start = start;
    this.#inode = stats.ino;
    this.#size = stats.size;
    this.#modifiedMs = stats.mtimeMs;
  }

  static async begin(path: string, handle: FileHandle, start: number): Promise<Watch> {
    return new Watch(path, handle, start, await handle.stat());
  }

  saw(chunk: Uint8Array): void {
    if (this.#head.length === 0) this.#head = chunk.slice(0, WITNESS_SIZE);
    this.#tail = chunk.length >= WITNESS_SIZE
      ? chunk.slice(-WITNESS_SIZE)
      : concatBytes([this.#tail, chunk]).slice(-WITNESS_SIZE);
  }

  /** @param offset how far it was read */
  async check(offset: number): Promise<void> {
    const named = await stat(this.#path);
    if (named.ino !== this.#inode) throw changed(this.#path, "another file has taken its name");
    const least = Math.max(offset, this.#size);
    if (named.isFile() && named.size < least) {
      throw changed(this.#path, `it had ${least} bytes and has ${named.size} now`);
    }
    this.#size = named.size;
    if (named.mtimeMs === this.#modifiedMs) return;
    this.#modifiedMs = named.mtimeMs;
    await this.#compare(this.#head, this.#start);
    await this.#compare(this.#tail, offset - this.#tail.length);
  }

  async #compare(witness: Uint8Array, position: number): Promise<void> {
    const now = new Uint8Array(witness.length);
    await this.#handle.read(now, 0, now.length, position);
    if (!equalBytes(now, witness)) {
      throw changed(this.#path, `the bytes at ${position} are others than those read before`);
    }
  }
}

function changed(path: string, how: string): SourceError {
  return new SourceError(
    "Changed",
    `Cannot go on with ${path}: it changed while it was read: ${how}`,
  );
}
