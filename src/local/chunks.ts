/**
 * The bytes of a file, or of standard input, piece by piece; gzip is unpacked. A file that is not at its
 * end for good is followed as it grows, and watched: what was read once must stay as it was.
 *
 * @module
 */
import { createReadStream, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import process from "node:process";
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
  if (magic[0] === 0x1f && magic[1] === 0x8b) return gzipChunks(path);
  if (path.endsWith(".gz") && magic.length > 0) {
    throw new SourceError("Unreadable", `Cannot read blocks from ${path}: it is not gzip`);
  }
  return plainChunks(path, options);
}

/** The first two bytes, or what there is of them. */
async function readMagic(path: string): Promise<Uint8Array> {
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

async function* stdinChunks(): Chunks {
  for await (const chunk of process.stdin) yield chunk as Uint8Array;
}

async function* gzipChunks(path: string): Chunks {
  const before = await stat(path);
  const file = createReadStream(path);
  const gunzip = createGunzip();
  file.on("error", (error) => gunzip.destroy(error));
  file.pipe(gunzip);
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array;
  } catch (cause) {
    const why = (cause as { code?: string }).code?.startsWith("Z_")
      ? new Error(`it is damaged or cut gzip (${(cause as Error).message})`, { cause })
      : cause;
    throw readError("blocks from", path, why);
  } finally {
    file.destroy();
  }
  const after = await stat(path).catch((cause) => {
    throw readError("blocks from", path, cause);
  });
  if (after.size !== before.size || after.ino !== before.ino) {
    throw changed(path, `it had ${before.size} bytes and has ${after.size} now`);
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
