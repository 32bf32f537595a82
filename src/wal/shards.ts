/**
 * Appends operations to N files by the hash of their key, each exactly once, whatever crashes.
 *
 * ```
 * shards/shard-0000.log … shard-0003.log   one operation a line
 *        index.json                        what of them counts, see shard_index.ts
 *        lock                              one process at a time
 * ```
 *
 * A batch is appended to its shards, these are synced, and then the index is replaced: that is when the
 * batch is in, in all shards at once. What a crash left behind the lengths of the index is cut off at the
 * next opening. A batch that the index names is not written again. A batch that is older, or overlaps it,
 * comes out of another log than these shards were made from, and is refused rather than left out.
 *
 * @module
 */
import { ConfigError, HandlerError } from "../errors.ts";
import type { AppendFile, BatchHandler, Storage, StorageLock } from "../ports.ts";
import type { Operation, OperationBatch } from "../types.ts";
import { toLines } from "../wire/operation_lines.ts";
import { readIndex, type ShardIndex, writeIndex } from "./shard_index.ts";
import { type KeyOf, shardOf, tabKey } from "./shard_key.ts";

/** Files that are open at the same time. */
export const MAX_SHARDS = 1024;

/** Where the shards are, and whose. */
export interface ShardOptions {
  readonly storage: Storage;
  readonly directory: string;
  /** How many files, 1 to 1024. It never changes. */
  readonly shards: number;
  /** Identity of the log whose sequence numbers come: shards belong to one. */
  readonly source: string;
  /** Before the first tab, unless told otherwise. */
  readonly keyOf?: KeyOf;
}

/**
 * Writes batches into files.
 *
 * @example
 * ```ts
 * import { MemoryStorage, ShardHandler } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const storage = new MemoryStorage();
 * const shards = await ShardHandler.open({ storage, directory: "/out", shards: 1, source: "a" });
 * const operations = [{ sequence: 0n, data: new TextEncoder().encode("key\tvalue") }];
 * const batch = { first: 0n, last: 0n, operations, bytes: 9 };
 * await shards.handle(batch);
 * await shards.handle(batch); // Once more, as after a crash.
 * await shards.close();
 *
 * const text = new TextDecoder().decode(await storage.read("/out/shard-0000.log"));
 * if (text !== "key\tvalue\n") throw new Error("not exactly once");
 * ```
 */
export class ShardHandler implements BatchHandler {
  readonly #options: Required<ShardOptions>;
  readonly #lock: StorageLock;
  #files: AppendFile[] = [];
  /** What is in the shards; unknown after a failure, until it is read again. */
  #index: ShardIndex | undefined;
  /** The last call, and whether it has ended: a batch half written must not lose the lock. */
  #call: Promise<void> = Promise.resolve();

  private constructor(options: Required<ShardOptions>, lock: StorageLock) {
    this.#options = options;
    this.#lock = lock;
  }

  /**
   * Opens the shards, makes them where there are none, and cuts off what a crash left.
   *
   * @throws {ConfigError} `Invalid` for another number of shards than there are, or another source
   * @throws {HandlerError} `Broken` when a file is not as written
   * @throws {StorageError} `Locked` when another process has them open; what the disk says
   */
  static async open(given: ShardOptions): Promise<ShardHandler> {
    const options = { keyOf: tabKey, ...given };
    const { storage, directory, shards } = options;
    if (!Number.isInteger(shards) || shards < 1 || shards > MAX_SHARDS) {
      throw invalid(`Cannot make ${shards} shards: need a whole number from 1 to ${MAX_SHARDS}`);
    }
    await storage.makeDirectory(directory);
    const handler = new ShardHandler(options, await storage.lock(`${directory}/lock`));
    try {
      await handler.#open();
      return handler;
    } catch (error) {
      await handler.close();
      throw error;
    }
  }

  /**
   * Writes a batch, or finds it written.
   *
   * @throws {HandlerError} `Rejected` when an operation holds a newline; `Broken` when the batch is none
   * that can follow, or a file is not as written
   * @throws {StorageError} what the disk says; nothing of the batch counts then
   */
  handle(batch: OperationBatch): Promise<void> {
    const handled = this.#call.then(() => this.#handle(batch));
    this.#call = handled.catch(() => {});
    return handled;
  }

  /** Closes the files when the last call has ended, and lets another process open them. */
  async close(): Promise<void> {
    await this.#call;
    await this.#closeFiles();
    await this.#lock.release();
  }

  async #handle(batch: OperationBatch): Promise<void> {
    const index = this.#index ?? await this.#open();
    if (this.#isIn(index, batch)) return;
    const lines = this.#linesOf(batch);
    // Until the end nobody knows what is where.
    this.#index = undefined;
    const writes = [...lines].map(async ([shard, data]) => {
      await this.#files[shard]!.write(data);
      await this.#files[shard]!.sync();
    });
    // All have to end: what goes on could write behind what is cut off next time.
    const failure = (await Promise.allSettled(writes)).find(({ status }) => status === "rejected");
    if (failure?.status === "rejected") throw failure.reason;
    const { storage, directory } = this.#options;
    const { first, last } = batch;
    const lengths = index.lengths.map((length, shard) => length + (lines.get(shard)?.length ?? 0));
    const next = { ...index, batch: { first, last }, lengths };
    await writeIndex(storage, directory, next);
    this.#index = next;
  }

  async #open(): Promise<ShardIndex> {
    const { storage, directory, shards, source } = this.#options;
    await this.#closeFiles();
    // An index that was renamed and not synced is there now, and may not be after a crash.
    await storage.syncDirectory(directory);
    const found = await readIndex(storage, directory);
    if (found?.batch) this.#mustBeOurs(found);
    // One without a batch was made by a process that ended before it had any.
    const index = found?.batch
      ? found
      : { source, batch: undefined, lengths: Array(shards).fill(0) };
    for (const [shard, length] of index.lengths.entries()) {
      await this.#cut(this.#path(shard), length, found !== undefined);
      this.#files.push(await storage.openAppend(this.#path(shard)));
    }
    await storage.syncDirectory(directory);
    if (index !== found) await writeIndex(storage, directory, index);
    this.#index = index;
    return index;
  }

  async #cut(path: string, length: number, isIndexed: boolean): Promise<void> {
    const { storage, directory } = this.#options;
    const size = await storage.size(path) ?? 0;
    if (!isIndexed && size > 0) {
      throw broken(`${path} has ${size} bytes, and there is no index of ${directory}`);
    }
    if (size < length) throw broken(`${path} has ${size} bytes, and had ${length}`);
    if (size > length) await storage.truncate(path, length);
  }

  #mustBeOurs(index: ShardIndex): void {
    const { directory, shards, source } = this.#options;
    if (index.lengths.length !== shards) {
      throw invalid(
        `Cannot write ${shards} shards to ${directory}: it has ${index.lengths.length}; ` +
          "say so, or name another directory",
      );
    }
    if (index.source === source) return;
    throw invalid(
      `Cannot write to the shards in ${directory}: they belong to log ${index.source}, this is ` +
        `${source}; name another directory for another log`,
    );
  }

  #isIn({ batch: done }: ShardIndex, { first, last }: OperationBatch): boolean {
    if (!done || first > done.last) return false;
    if (first === done.first && last === done.last) return true;
    const { directory } = this.#options;
    throw broken(
      `batch ${first}-${last} came after ${done.first}-${done.last}, which is in ${directory} ` +
        "already: the log is older than the shards, or another one",
    );
  }

  #linesOf(batch: OperationBatch): Map<number, Uint8Array> {
    const { keyOf, shards } = this.#options;
    const parts = new Map<number, Operation[]>();
    for (const operation of batch.operations) {
      const shard = shardOf(keyOf(operation.data), shards);
      const part = parts.get(shard);
      if (part) part.push(operation);
      else parts.set(shard, [operation]);
    }
    return new Map([...parts].map(([shard, operations]) => [shard, toLines(batch, operations)]));
  }

  async #closeFiles(): Promise<void> {
    for (const file of this.#files) await file.close();
    this.#files = [];
  }

  #path(shard: number): string {
    return `${this.#options.directory}/shard-${`${shard}`.padStart(4, "0")}.log`;
  }
}

function invalid(message: string): ConfigError {
  return new ConfigError("Invalid", message);
}

function broken(why: string): HandlerError {
  return new HandlerError("Broken", `Cannot go on with the shards: ${why}`);
}
