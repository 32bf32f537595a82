/**
 * A disk in memory that knows what has been synced. `crash()` takes the power away: what was not synced
 * is kept, lost or torn, as chance has it.
 *
 * | what was not synced            | what a crash leaves of it                                      |
 * | ------------------------------ | -------------------------------------------------------------- |
 * | bytes at the end of a file     | a length in between; each sector of 512 bytes kept, zero, torn |
 * | a name made, moved or removed  | done, or not done, each for itself                             |
 *
 * @module
 */
import { StorageError } from "../errors.ts";
import type { AppendFile, Random, Storage, StorageLock } from "../ports.ts";

/** What a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;

/** What a file holds; its names point here. Bytes before `synced` survive a crash. */
interface Inode {
  bytes: Uint8Array;
  length: number;
  synced: number;
}

/** A change of names that no sync of the directory has made sure of. */
interface NameChange {
  readonly directory: string;
  readonly apply: (names: Map<string, Inode>) => void;
}

/**
 * Files in memory.
 *
 * @example What a power loss leaves
 * ```ts
 * import { MemoryStorage, SeededRandom } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const storage = new MemoryStorage();
 * const file = await storage.openAppend("/data/file");
 * await storage.syncDirectory("/data");
 * await file.write(new Uint8Array(1000));
 * await file.sync();
 * await file.write(new Uint8Array(1000));
 * storage.crash(new SeededRandom(7));
 * const size = await storage.size("/data/file");
 * if (size === undefined || size < 1000 || size > 2000) throw new Error("lost what was synced");
 * ```
 */
export class MemoryStorage implements Storage {
  #names = new Map<string, Inode>();
  /** The names that a crash leaves in any case. */
  #syncedNames = new Map<string, Inode>();
  #changes: NameChange[] = [];
  readonly #locks = new Map<string, symbol>();
  /** Grows with each crash: files that were open before it are of no use after it. */
  #life = 0;

  list(directory: string): Promise<readonly string[]> {
    const prefix = `${directory}/`;
    const names = [...this.#names.keys()].filter((path) => path.startsWith(prefix));
    const entries = names.map((path) => path.slice(prefix.length).split("/")[0]!);
    return Promise.resolve([...new Set(entries)].sort());
  }

  size(path: string): Promise<number | undefined> {
    return Promise.resolve(this.#names.get(path)?.length);
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async read(path: string, offset = 0, length?: number): Promise<Uint8Array> {
    const inode = this.#find(path, "read");
    return inode.bytes.slice(offset, Math.min(inode.length, offset + (length ?? inode.length)));
  }

  openAppend(path: string, aheadBytes = 0): Promise<AppendFile> {
    let inode = this.#names.get(path);
    if (!inode) {
      inode = { bytes: new Uint8Array(0), length: 0, synced: 0 };
      this.#name(path, inode);
    }
    const file = inode;
    return Promise.resolve(new MemoryFile(path, file, aheadBytes, () => this.#life));
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async truncate(path: string, length: number): Promise<void> {
    const inode = this.#find(path, "truncate");
    if (length > inode.length) {
      throw unwritable(path, `it has ${inode.length} bytes, not ${length}`);
    }
    inode.length = length;
    inode.synced = length;
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async rename(from: string, to: string): Promise<void> {
    const inode = this.#find(from, "rename");
    this.#change(to, (names) => {
      if (names.get(from) === inode) names.delete(from);
      names.set(to, inode);
    });
  }

  remove(path: string): Promise<void> {
    const inode = this.#names.get(path);
    if (inode) {
      this.#change(path, (names) => {
        if (names.get(path) === inode) names.delete(path);
      });
    }
    return Promise.resolve();
  }

  makeDirectory(_path: string): Promise<void> {
    return Promise.resolve();
  }

  syncDirectory(path: string): Promise<void> {
    for (const change of this.#changes) {
      if (change.directory === path) change.apply(this.#syncedNames);
    }
    this.#changes = this.#changes.filter((change) => change.directory !== path);
    return Promise.resolve();
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async lock(path: string): Promise<StorageLock> {
    if (this.#locks.has(path)) {
      throw new StorageError("Locked", `Cannot lock ${path}: this process has it already`);
    }
    const holder = Symbol();
    this.#locks.set(path, holder);
    return {
      release: () => {
        if (this.#locks.get(path) === holder) this.#locks.delete(path);
        return Promise.resolve();
      },
    };
  }

  /** The process ends, the power stays: locks are free, and files keep all that was written. */
  kill(): void {
    this.#life += 1;
    this.#locks.clear();
  }

  /** The power goes away, and comes back. */
  crash(random: Random): void {
    this.kill();
    const names = new Map(this.#syncedNames);
    for (const change of this.#changes) {
      if (random.next() < 0.5) change.apply(names);
    }
    for (const inode of new Set([...names.values(), ...this.#names.values()])) tear(inode, random);
    this.#names = names;
    this.#syncedNames = new Map(names);
    this.#changes = [];
  }

  /** Turns one bit of a file over, as a disk does that rots. */
  flipBit(path: string, bit: number): void {
    const inode = this.#find(path, "damage");
    inode.bytes[bit >>> 3]! ^= 1 << (bit & 7);
  }

  #find(path: string, action: string): Inode {
    const inode = this.#names.get(path);
    if (inode) return inode;
    throw new StorageError("NotFound", `Cannot ${action} ${path}: there is no such file`);
  }

  #name(path: string, inode: Inode): void {
    this.#change(path, (names) => names.set(path, inode));
  }

  #change(path: string, apply: NameChange["apply"]): void {
    apply(this.#names);
    this.#changes.push({ directory: path.slice(0, Math.max(0, path.lastIndexOf("/"))), apply });
  }
}

/** A file of {@link MemoryStorage}, written at its end. */
class MemoryFile implements AppendFile {
  readonly #path: string;
  readonly #inode: Inode;
  readonly #aheadBytes: number;
  readonly #life: () => number;
  readonly #openedIn: number;
  #end: number;
  #isClosed = false;

  constructor(path: string, inode: Inode, aheadBytes: number, life: () => number) {
    this.#path = path;
    this.#inode = inode;
    this.#aheadBytes = aheadBytes;
    this.#life = life;
    this.#openedIn = life();
    this.#end = inode.length;
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async write(data: Uint8Array): Promise<void> {
    this.#checkOpen();
    const end = this.#end + data.length;
    if (end > this.#inode.length) extend(this.#inode, end + this.#aheadBytes);
    this.#inode.bytes.set(data, this.#end);
    this.#end = end;
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async sync(): Promise<void> {
    this.#checkOpen();
    this.#inode.synced = this.#end;
  }

  close(): Promise<void> {
    const isOpen = !this.#isClosed && this.#life() === this.#openedIn;
    if (isOpen && this.#aheadBytes > 0) this.#inode.length = this.#end;
    this.#isClosed = true;
    return Promise.resolve();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw unwritable(this.#path, "it was closed");
    if (this.#life() !== this.#openedIn) throw unwritable(this.#path, "the disk crashed since");
  }
}

/** Makes a file longer, by zeros. */
function extend(inode: Inode, length: number): void {
  if (length > inode.bytes.length) {
    const grown = new Uint8Array(Math.max(length, 2 * inode.bytes.length, SECTOR_BYTES));
    grown.set(inode.bytes.subarray(0, inode.length));
    inode.bytes = grown;
  }
  inode.bytes.fill(0, inode.length, length);
  inode.length = length;
}

/** What is left of the bytes that were not synced. Sectors lie at multiples of their size. */
function tear(inode: Inode, random: Random): void {
  const { bytes, synced } = inode;
  const kind = random.next();
  const length = kind < 0.3
    ? synced
    : kind < 0.6
    ? inode.length
    : synced + Math.floor(random.next() * (inode.length - synced + 1));
  for (let at = synced; at < length; at = nextSector(at)) {
    const end = Math.min(length, nextSector(at));
    const fate = random.next();
    if (fate < 0.7) continue;
    const from = fate < 0.85 ? at : at + Math.floor(random.next() * (end - at));
    for (let index = from; index < end; index++) {
      bytes[index] = fate < 0.95 ? 0 : Math.floor(random.next() * 256);
    }
  }
  inode.length = length;
  inode.synced = length;
}

function nextSector(offset: number): number {
  return (Math.floor(offset / SECTOR_BYTES) + 1) * SECTOR_BYTES;
}

function unwritable(path: string, why: string): StorageError {
  return new StorageError("Unwritable", `Cannot write ${path}: ${why}`);
}
