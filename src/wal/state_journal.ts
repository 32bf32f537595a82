/**
 * A state that changes, in a log of its own: the last few are kept, so that there is one to step back
 * to.
 *
 * @module
 */
import { forgetBefore, openLog, replay } from "./journal_log.ts";
import { fromJsonPayload, toJsonPayload } from "./json_payload.ts";
import type { Wal, WalConfig, WalParts } from "./log.ts";

const STATE = 1;

/** What a {@link StateJournal} keeps. */
export interface StateJournalOptions<T> {
  /** How many states a restart finds at most. */
  readonly keep: number;
  /** Whether what was read has all that its user needs. */
  readonly isWhole: (value: Partial<T>) => boolean;
}

/**
 * The states that were saved, the newest last. A state is an object of texts, numbers, bigints, bytes,
 * and lists and objects of them.
 *
 * @example
 * ```ts
 * import { MemoryStorage, StateJournal } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * interface Position { readonly next: bigint }
 * const parts = { storage: new MemoryStorage(), directory: "position" };
 * const options = { keep: 2, isWhole: ({ next }: Partial<Position>) => typeof next === "bigint" };
 *
 * const journal = await StateJournal.open<Position>(parts, options);
 * for (const next of [1n, 2n, 3n]) await journal.save({ next });
 * await journal.close();
 *
 * const again = await StateJournal.open<Position>(parts, options);
 * if (again.states.map(({ next }) => next).join() !== "2,3") throw new Error("not the last two");
 * await again.close();
 * ```
 */
export class StateJournal<T extends object> {
  readonly #wal: Wal;
  readonly #keep: number;
  #states: { readonly sequence: bigint; readonly state: T }[] = [];

  private constructor(wal: Wal, keep: number) {
    this.#wal = wal;
    this.#keep = keep;
  }

  /**
   * Opens it, and begins one where there is none.
   *
   * @throws {WalError} what opening a log throws; `Corrupted` for a state that is none
   */
  static async open<T extends object>(
    parts: WalParts,
    { keep, isWhole }: StateJournalOptions<T>,
    config: Partial<WalConfig> = {},
  ): Promise<StateJournal<T>> {
    return await openLog(parts, config, async (wal) => {
      const journal = new StateJournal<T>(wal, keep);
      await replay(wal, ({ sequence, payload }) => {
        journal.#states.push({ sequence, state: parseState<T>(payload, isWhole) });
      }, { called: (sequence) => `the state in ${parts.directory}, record ${sequence}` });
      return journal;
    });
  }

  /** Those kept, the newest last. */
  get states(): readonly T[] {
    return this.#states.slice(-this.#keep).map(({ state }) => state);
  }

  /** Resolves when `state` is the one that a restart finds. */
  async save(state: T): Promise<void> {
    const sequence = await this.#wal.append(STATE, toJsonPayload(state));
    this.#states.push({ sequence, state });
    // Not one by one: each checkpoint is a write of its own.
    if (this.#states.length < 2 * this.#keep) return;
    this.#states = this.#states.slice(-this.#keep);
    await forgetBefore(this.#wal, this.#states[0]!.sequence);
  }

  async close(): Promise<void> {
    await this.#wal.close();
  }
}

function parseState<T>(payload: Uint8Array, isWhole: (value: Partial<T>) => boolean): T {
  const value = fromJsonPayload(payload);
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (isObject && isWhole(value as Partial<T>)) return value as T;
  throw new TypeError("it lacks what a state needs");
}
