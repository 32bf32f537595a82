/**
 * Batches that no try could hand over, each a file of JSON lines in a directory, for a person to look at
 * and to add again. First comes what happened, then one line an operation:
 *
 * ```
 * {"first":"40","last":"41","operations":2,"attempts":6,"error":"Failed: …","at":1700000000000}
 * {"sequence":"40","text":"a\tb"}
 * {"sequence":"41","hex":"0xff00"}
 * ```
 *
 * An operation that is no UTF-8 is in hexadecimal. The file is named by the batch's identity: written
 * again after a crash, it takes the place of itself.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { Clock, Storage } from "../ports.ts";
import type { Operation, OperationBatch } from "../types.ts";
import { toHex } from "../wire/hex.ts";
import { writeWholeFile } from "./whole_file.ts";

/** What became of a batch. */
export interface Death {
  readonly batch: OperationBatch;
  readonly attempts: number;
  readonly error: unknown;
}

/**
 * A directory of dead batches.
 *
 * @example
 * ```ts
 * import { DeadLetters, MemoryStorage, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const storage = new MemoryStorage();
 * const dead = new DeadLetters(storage, "/dead", systemClock);
 * const operations = [{ sequence: 7n, data: new TextEncoder().encode("a") }];
 * const batch = { first: 7n, last: 7n, operations, bytes: 1 };
 * const path = await dead.keep({ batch, attempts: 6, error: new Error("no taker") });
 * if (path !== "/dead/7-7.jsonl" || await dead.count() !== 1) throw new Error("not kept");
 * ```
 */
export class DeadLetters {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #clock: Clock;
  #isMade = false;

  constructor(storage: Storage, directory: string, clock: Clock) {
    this.#storage = storage;
    this.#directory = directory;
    this.#clock = clock;
  }

  /**
   * Keeps a batch; it survives a power loss when this resolves.
   *
   * @returns the path of its file
   * @throws {StorageError} when it cannot be written
   */
  async keep({ batch, attempts, error }: Death): Promise<string> {
    if (!this.#isMade) await this.#storage.makeDirectory(this.#directory);
    this.#isMade = true;
    const { first, last, operations } = batch;
    const head = {
      first: `${first}`,
      last: `${last}`,
      operations: operations.length,
      attempts,
      error: describeError(error),
      at: this.#clock.now(),
    };
    const lines = [head, ...operations.map(lineOf)].map((each) => JSON.stringify(each) + "\n");
    const name = `${first}-${last}.jsonl`;
    const data = new TextEncoder().encode(lines.join(""));
    await writeWholeFile(this.#storage, this.#directory, name, data);
    return `${this.#directory}/${name}`;
  }

  /** How many batches are kept. */
  async count(): Promise<number> {
    const names = await this.#storage.list(this.#directory);
    return names.filter((name) => name.endsWith(".jsonl")).length;
  }
}

function lineOf({ sequence, data }: Operation) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    return { sequence: `${sequence}`, text };
  } catch {
    return { sequence: `${sequence}`, hex: toHex(data) };
  }
}
