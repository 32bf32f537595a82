/**
 * A directory that behaves like an L1: numbered blocks with hashes and parents, blobs, safe and
 * finalised heads. Anyone may write and read it by these rules.
 *
 * ```
 * DIR/
 *   l1.json                     {"format":"montana-l1","version":1,"safeConfirmations":0,
 *                                "finalizedConfirmations":0}
 *   heads.json                  {"latest":{"number":7,"hash":"0x…"},"safe":{…},"finalized":{…}}
 *   blocks/000000000007.json    one block; the number in 12 digits
 *   blobs/<sha256>.blob         131072 bytes, named by their hash in 64 hexadecimal digits
 * ```
 *
 * - A block is JSON: `number`, `hash`, `parentHash`, `timestamp`, and `transactions` of `hash`, `type` (3
 *   with blobs, 2 without), `from`, `to`, `input`, `blobHashes`. `l1_block.ts` tells how hashes are made.
 * - Block 0 has no transactions and a parent of zeros.
 * - A writer writes the blobs first, then the block, then the heads. Each file is written under a
 *   temporary name ending in `.tmp`, synced, and renamed; a block is linked instead, which fails where
 *   the number is taken: then the writer makes the next one. So two writers cannot overwrite each other.
 * - A reader takes `heads.json` as the least that must be there, and looks whether further blocks follow.
 * - Nothing here is ever rewritten, so by default a block is safe and final once it is there.
 *   `safeConfirmations` and `finalizedConfirmations` make it wait for that many blocks on top.
 *
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { CodecError, SourceError } from "../errors.ts";
import { equalBytes } from "../wire/bytes.ts";
import { BLOB_SIZE } from "../wire/blob.ts";
import { parseU64, toHex } from "../wire/hex.ts";
import {
  createFile,
  makeDirectory,
  probeWritable,
  readError,
  replaceFile,
  syncDirectory,
  systemCode,
  writeError,
} from "./disk.ts";
import type { L1Head, LocalL1 } from "./inbox.ts";
import {
  blobHash,
  formatBlock,
  type L1Block,
  type L1TransactionDraft,
  makeBlock,
  parseBlock,
} from "./l1_block.ts";

const FORMAT = "montana-l1";
const VERSION = 1;

/** How deep a block must lie in a new directory to be called safe, and final. */
export interface L1DirectoryOptions {
  readonly safeConfirmations?: number;
  readonly finalizedConfirmations?: number;
}

interface Settings {
  readonly safeConfirmations: bigint;
  readonly finalizedConfirmations: bigint;
}

/** An L1 in a directory. */
export class L1Directory implements LocalL1 {
  readonly path: string;
  readonly #settings: Settings;
  /** The highest block seen; it only grows, and is where looking for more begins. */
  #latest: bigint | undefined;

  private constructor(path: string, settings: Settings) {
    this.path = path;
    this.#settings = settings;
  }

  /**
   * Opens the L1 in `path`.
   *
   * @throws {SourceError} `NotFound` when there is none, `Damaged` when it is something else
   */
  static async open(path: string): Promise<L1Directory> {
    const text = await readFile(join(path, "l1.json"), "utf8").catch(async (cause) => {
      if (systemCode(cause) !== "ENOENT") throw readError("L1 directory", path, cause);
      const names = await readdir(path).catch((cause) => {
        throw readError("L1 directory", path, cause);
      });
      // Whoever makes it may have come between the two looks.
      if (names.includes("l1.json")) return await readFile(join(path, "l1.json"), "utf8");
      const others = names.filter((name) => !isOfCreation(name));
      throw new SourceError(
        others.length > 0 ? "Damaged" : "NotFound",
        `Cannot use ${path} as an L1: it has no l1.json` +
          (others.length > 0 ? `, but ${others.length} other entries` : ", and nothing else"),
      );
    });
    return new L1Directory(path, parseSettings(text, join(path, "l1.json")));
  }

  /**
   * Opens the L1 in `path` to write, and makes one with block 0 where the directory is missing or empty.
   * What it finds survives a power loss from here on, whoever wrote it.
   */
  static async openOrCreate(
    path: string,
    timestamp: bigint,
    options: L1DirectoryOptions = {},
  ): Promise<L1Directory> {
    const l1 = await L1Directory.open(path).catch((error) => {
      if (!(error instanceof SourceError && error.code === "NotFound")) throw error;
      return L1Directory.#create(path, timestamp, options);
    });
    try {
      // A writer may have been killed before it synced the names of its files.
      await makeDirectory(path);
      for (const each of [path, join(path, "blocks"), join(path, "blobs")]) {
        await syncDirectory(each);
      }
    } catch (cause) {
      throw writeError("L1 directory", path, cause);
    }
    return l1;
  }

  static async #create(
    path: string,
    timestamp: bigint,
    { safeConfirmations = 0, finalizedConfirmations = 0 }: L1DirectoryOptions,
  ): Promise<L1Directory> {
    const settings = {
      format: FORMAT,
      version: VERSION,
      safeConfirmations,
      finalizedConfirmations,
    };
    try {
      await makeDirectory(join(path, "blocks"));
      await makeDirectory(join(path, "blobs"));
      await createFile(blockPath(path, 0n), formatBlock(makeBlock(undefined, [], timestamp)));
      await createFile(join(path, "l1.json"), JSON.stringify(settings) + "\n");
    } catch (cause) {
      throw writeError("L1 directory", path, cause);
    }
    const l1 = await L1Directory.open(path);
    await l1.#writeHeads();
    return l1;
  }

  async head(tag: L1Head): Promise<bigint> {
    let latest = this.#latest ?? await this.#readLatest();
    while (await this.#hasBlock(latest + 1n)) latest += 1n;
    this.#latest = latest;
    return this.#headAt(tag, latest);
  }

  async block(number: bigint): Promise<L1Block> {
    const path = blockPath(this.path, number);
    const text = await readFile(path, "utf8").catch((cause) => {
      if (systemCode(cause) !== "ENOENT") throw readError("L1 block", path, cause);
      throw damaged(`L1 block ${number}`, path, "the file is missing", cause);
    });
    let block: L1Block;
    try {
      block = parseBlock(text);
    } catch (cause) {
      if (!(cause instanceof CodecError)) throw cause;
      throw damaged(`L1 block ${number}`, path, cause.message, cause);
    }
    if (block.number === number) return block;
    throw damaged(`L1 block ${number}`, path, `it holds block ${block.number}`);
  }

  async blob(hash: Uint8Array): Promise<Uint8Array> {
    const path = blobPath(this.path, hash);
    const blob = await readFile(path).catch((cause) => {
      if (systemCode(cause) !== "ENOENT") throw readError("blob", path, cause);
      throw damaged("blob", path, "the file is missing", cause);
    });
    if (blob.length !== BLOB_SIZE) {
      throw damaged("blob", path, `it has ${blob.length} bytes, need ${BLOB_SIZE}`);
    }
    const actual = blobHash(blob);
    if (!equalBytes(actual, hash)) {
      throw damaged("blob", path, `its content hashes to ${toHex(actual)}`);
    }
    return new Uint8Array(blob.buffer, blob.byteOffset, blob.byteLength);
  }

  async mine(
    drafts: readonly L1TransactionDraft[],
    timestamp: bigint,
    check?: (parent: L1Block) => Promise<void>,
  ): Promise<L1Block> {
    try {
      for (const draft of drafts) await this.#writeBlobs(draft.blobs);
      for (;;) {
        const parent = await this.block(await this.head("latest"));
        await check?.(parent);
        const block = makeBlock(parent, drafts, timestamp);
        if (!await createFile(blockPath(this.path, block.number), formatBlock(block))) continue;
        await this.#writeHeads();
        return block;
      }
    } catch (cause) {
      if (cause instanceof SourceError) throw cause;
      throw writeError("L1 directory", this.path, cause);
    }
  }

  async check(): Promise<void> {
    try {
      await probeWritable(this.path);
    } catch (cause) {
      throw writeError("L1 directory", this.path, cause);
    }
  }

  async #writeBlobs(blobs: readonly Uint8Array[]): Promise<void> {
    for (const blob of blobs) {
      const hash = blobHash(blob);
      const path = blobPath(this.path, hash);
      if (await createFile(path, blob)) continue;
      // It was posted before. Whoever reads this batch must find it whole.
      await this.blob(hash).catch(() => replaceFile(path, blob));
    }
  }

  async #writeHeads(): Promise<void> {
    const latest = await this.head("latest");
    const entry = async (tag: L1Head) => {
      const { number, hash } = await this.block(this.#headAt(tag, latest));
      return { number: Number(number), hash: toHex(hash) };
    };
    const heads = {
      latest: await entry("latest"),
      safe: await entry("safe"),
      finalized: await entry("finalized"),
    };
    await replaceFile(join(this.path, "heads.json"), JSON.stringify(heads) + "\n");
  }

  /** The least that must be there: what `heads.json` says, or the highest number where it is gone. */
  async #readLatest(): Promise<bigint> {
    const path = join(this.path, "heads.json");
    const text = await readFile(path, "utf8").catch((cause) => {
      if (systemCode(cause) === "ENOENT") return undefined;
      throw readError("L1 heads", path, cause);
    });
    if (text === undefined) return await this.#highestBlock();
    let latest: bigint;
    try {
      latest = parseU64(JSON.parse(text).latest.number, "latest.number");
    } catch (cause) {
      throw damaged(
        "L1 heads",
        path,
        'need {"latest":{"number":…}}; remove it, and it is made again',
        cause,
      );
    }
    if (await this.#hasBlock(latest)) return latest;
    const missing = `it names block ${latest}, and ${blockPath(this.path, latest)} is missing`;
    const advice = "bring that back, or remove the heads if there never was one";
    throw damaged("L1 heads", path, `${missing}; ${advice}`);
  }

  async #highestBlock(): Promise<bigint> {
    const path = join(this.path, "blocks");
    const names = await readdir(path).catch((cause) => {
      throw readError("L1 blocks", path, cause);
    });
    const numbers = names.filter((name) => /^\d{12}\.json$/.test(name)).sort();
    return BigInt(numbers.at(-1)?.slice(0, 12) ?? 0);
  }

  async #hasBlock(number: bigint): Promise<boolean> {
    const path = blockPath(this.path, number);
    try {
      await stat(path);
      return true;
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return false;
      throw readError("L1 block", path, cause);
    }
  }

  #headAt(tag: L1Head, latest: bigint): bigint {
    const { safeConfirmations, finalizedConfirmations } = this.#settings;
    const depth = { latest: 0n, safe: safeConfirmations, finalized: finalizedConfirmations }[tag];
    return latest > depth ? latest - depth : 0n;
  }
}

function blockPath(directory: string, number: bigint): string {
  return join(directory, "blocks", `${number.toString().padStart(12, "0")}.json`);
}

function blobPath(directory: string, hash: Uint8Array): string {
  return join(directory, "blobs", `${toHex(hash).slice(2)}.blob`);
}

/** Whether it may lie in a directory whose making is under way, or was cut off: see `openOrCreate()`. */
function isOfCreation(name: string): boolean {
  return name === "blocks" || name === "blobs" || name.endsWith(".tmp");
}

function parseSettings(text: string, path: string): Settings {
  let json: Record<string, unknown> | undefined;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw damaged("L1 settings", path, "it is no JSON", cause);
  }
  if (json?.format !== FORMAT || json.version !== VERSION) {
    throw damaged("L1 settings", path, `need format "${FORMAT}", version ${VERSION}`);
  }
  const depth = (key: keyof Settings) => {
    const value = json[key];
    if (Number.isSafeInteger(value) && (value as number) >= 0) return BigInt(value as number);
    throw damaged("L1 settings", path, `${key} must be a whole number of 0 or more`);
  };
  return {
    safeConfirmations: depth("safeConfirmations"),
    finalizedConfirmations: depth("finalizedConfirmations"),
  };
}

function damaged(what: string, path: string, why: string, cause?: unknown): SourceError {
  return new SourceError("Damaged", `Cannot read ${what} from ${path}: ${why}`, { cause });
}
