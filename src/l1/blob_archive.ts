/**
 * Blobs in a directory, so that a replica still has them when the network has forgotten them.
 *
 * ```
 * DIR/
 *   blobs/<versioned hash>.blob     131072 bytes, named by their hash in 64 hexadecimal digits
 *   blocks/000001767225600.json     the blobs of an L1 block, by the time of the block in 15 digits:
 *                                   {"number":"21","hash":"0x…","timestamp":"1767225600","blobs":["0x…"]}
 * ```
 *
 * - A blob is found by its hash alone. `blocks/` only serves whoever asks for blobs by slot: of two blocks
 *   of the same time the one noted last counts.
 * - Each file is written under a name that ends in `.tmp`, synced and renamed, so several processes may
 *   write to it. What a crash leaves under such a name may be removed.
 * - Nothing refers to a blob. To bound the archive, remove what is older than your replicas may be behind,
 *   and no blob before its transaction is final:
 *   `find DIR/blobs DIR/blocks -type f -mtime +90 -delete`.
 * - A blob is checked against its hash whenever it is read.
 *
 * @module
 */
import { SourceError, StorageError } from "../errors.ts";
import type { BlobSource, BlobStore, Kzg, L1Header } from "../ethereum.ts";
import { TEMPORARY_FILE_SUFFIX, writeWholeFile } from "../local/whole_file.ts";
import type { Storage } from "../ports.ts";
import { BLOB_SIZE } from "../wire/blob.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, parseU64, toHex } from "../wire/hex.ts";
import {
  type BlobBlock,
  type BlobFinder,
  blobMissing,
  type FoundBlobs,
  hashOfBlob,
  inOrder,
} from "./found_blobs.ts";
import { fieldsOf } from "./slots.ts";

const BLOCK_NAME = /^(\d{15})\.json$/;
const BLOB_NAME = /^[0-9a-f]{64}\.blob$/;

/** What an archive is made of. */
export interface BlobArchiveParts {
  readonly storage: Storage;
  readonly directory: string;
  readonly kzg: Pick<Kzg, "commitment">;
}

/** An L1 block, and the hashes of all blobs in it, in order. */
export interface ArchivedBlock {
  readonly number: bigint;
  readonly hash: Uint8Array;
  readonly timestamp: bigint;
  readonly blobs: readonly Uint8Array[];
}

/**
 * Keeps blobs, and gives them back.
 *
 * @example
 * ```ts
 * import { BlobArchive, MemoryStorage } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const kzg = { commitment: (blob: Uint8Array) => Promise.resolve(blob.slice(0, 48)) };
 * const archive = new BlobArchive({ storage: new MemoryStorage(), directory: "/blobs", kzg });
 * if (await archive.get(new Uint8Array(32)) !== undefined) throw new Error("it is empty");
 * ```
 */
export class BlobArchive implements BlobStore, BlobSource, BlobFinder {
  readonly directory: string;
  readonly #storage: Storage;
  readonly #kzg: Pick<Kzg, "commitment">;
  #isMade = false;

  constructor({ storage, directory, kzg }: BlobArchiveParts) {
    this.#storage = storage;
    this.directory = directory;
    this.#kzg = kzg;
  }

  get name(): string {
    return `archive ${this.directory}`;
  }

  /** @throws {StorageError} */
  async put(hash: Uint8Array, blob: Uint8Array): Promise<void> {
    const path = this.#blobPath(toHex(hash));
    await this.#make();
    if (await this.#storage.size(path) === BLOB_SIZE) {
      if (equalBytes(await this.#storage.read(path), blob)) {
        // Whoever wrote it may have been killed before this.
        return await this.#storage.syncDirectory(`${this.directory}/blobs`);
      }
    }
    await writeWholeFile(this.#storage, path, blob);
  }

  /**
   * @throws {SourceError} `Damaged` where it is no longer what its name says
   * @throws {StorageError}
   */
  async get(hash: Uint8Array): Promise<Uint8Array | undefined> {
    const name = toHex(hash);
    const path = this.#blobPath(name);
    const blob = await this.#read(path);
    if (!blob) return undefined;
    const actual = blob.length === BLOB_SIZE ? await hashOfBlob(this.#kzg, blob) : undefined;
    if (actual === name) return blob;
    const what = actual === undefined
      ? `its ${blob.length} bytes are no blob`
      : `it is blob ${actual}`;
    throw new SourceError("Damaged", `Cannot use blob ${path}: ${what}; remove it`);
  }

  /** What is damaged here counts as not kept. */
  async find(_block: unknown, hashes: readonly Uint8Array[]): Promise<FoundBlobs> {
    const blobs = new Map<string, Uint8Array>();
    for (const hash of hashes) {
      const blob = await this.get(hash).catch((error) => {
        if (error instanceof SourceError && error.code === "Damaged") return undefined;
        throw error;
      });
      if (blob) blobs.set(toHex(hash), blob);
    }
    return { blobs };
  }

  async blobs(block: BlobBlock, hashes: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    const found = await this.find(block, hashes);
    const blobs = inOrder(found, hashes);
    if (blobs) return blobs;
    const why = { who: this.name, why: "they are not kept there", reason: "unknown" as const };
    throw blobMissing(block, hashes, found, why);
  }

  /** Notes which blobs an L1 block has, so that they can be asked for by its slot. */
  async noteBlock(
    header: Pick<L1Header, "number" | "hash" | "timestamp">,
    hashes: readonly Uint8Array[],
  ): Promise<void> {
    await this.#make();
    const json = {
      number: `${header.number}`,
      hash: toHex(header.hash),
      timestamp: `${header.timestamp}`,
      blobs: hashes.map((hash) => toHex(hash)),
    };
    const bytes = new TextEncoder().encode(JSON.stringify(json) + "\n");
    await writeWholeFile(this.#storage, this.#blockPath(header.timestamp), bytes);
  }

  /**
   * The block noted last with this time.
   *
   * @throws {SourceError} `Damaged`
   */
  async blockAt(timestamp: bigint): Promise<ArchivedBlock | undefined> {
    const path = this.#blockPath(timestamp);
    const bytes = await this.#read(path);
    if (!bytes) return undefined;
    try {
      const json = fieldsOf(JSON.parse(new TextDecoder().decode(bytes)));
      const blobs: unknown[] = Array.isArray(json["blobs"]) ? json["blobs"] : [undefined];
      return {
        number: parseU64(json["number"], "number"),
        hash: fromHex(json["hash"], "hash", 32),
        timestamp: parseU64(json["timestamp"], "timestamp"),
        blobs: blobs.map((hash) => fromHex(hash, "a hash", 32)),
      };
    } catch (cause) {
      const message = `Cannot use ${path}: it does not tell the blobs of a block; remove it`;
      throw new SourceError("Damaged", message, { cause });
    }
  }

  /** Versioned hashes of all that is kept, in their order. */
  async list(): Promise<readonly Uint8Array[]> {
    const names = await this.#storage.list(`${this.directory}/blobs`);
    return names.filter((name) => BLOB_NAME.test(name))
      .map((name) => fromHex(`0x${name.slice(0, 64)}`, "hash", 32));
  }

  /**
   * The L1 blocks that were noted, by their times.
   *
   * @throws {SourceError} `Damaged`
   */
  async blocks(): Promise<readonly ArchivedBlock[]> {
    const blocks: ArchivedBlock[] = [];
    for (const name of await this.#storage.list(`${this.directory}/blocks`)) {
      const [, time] = BLOCK_NAME.exec(name) ?? [];
      const block = time === undefined ? undefined : await this.blockAt(BigInt(time));
      if (block) blocks.push(block);
    }
    return blocks;
  }

  /** Paths of what a crash left behind, or what another process is writing just now. */
  async leftovers(): Promise<readonly string[]> {
    const paths: string[] = [];
    for (const directory of [`${this.directory}/blobs`, `${this.directory}/blocks`]) {
      const names = await this.#storage.list(directory);
      const left = names.filter((name) => name.endsWith(TEMPORARY_FILE_SUFFIX));
      paths.push(...left.map((name) => `${directory}/${name}`));
    }
    return paths;
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#storage.read(path);
    } catch (error) {
      if (error instanceof StorageError && error.code === "NotFound") return undefined;
      throw error;
    }
  }

  async #make(): Promise<void> {
    if (this.#isMade) return;
    for (const name of ["blobs", "blocks"]) {
      await this.#storage.makeDirectory(`${this.directory}/${name}`);
    }
    this.#isMade = true;
  }

  #blobPath(hash: string): string {
    return `${this.directory}/blobs/${hash.slice(2)}.blob`;
  }

  #blockPath(timestamp: bigint): string {
    return `${this.directory}/blocks/${timestamp.toString().padStart(15, "0")}.json`;
  }
}
