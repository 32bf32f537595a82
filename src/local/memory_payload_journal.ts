/**
 * What a consensus client handed over, gone with the process: for tests, and for those who do not mind.
 *
 * @module
 */
import type { Forkchoice, PayloadEnvelope, PayloadJournal, PayloadRecord } from "../engine.ts";

/**
 * Keeps payloads in memory. Whoever needs to outlive a crash takes `LogPayloadJournal`.
 *
 * @example
 * ```ts
 * import { MemoryPayloadJournal } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const journal = new MemoryPayloadJournal();
 * await journal.forget(0n);
 * if (journal.size !== 0) throw new Error("nothing was taken");
 * ```
 */
export class MemoryPayloadJournal implements PayloadJournal {
  #records: readonly PayloadRecord[] = [];
  #next = 0n;

  /** How many records are kept. */
  get size(): number {
    return this.#records.length;
  }

  async *read(): AsyncIterable<PayloadRecord> {
    yield* this.#records;
  }

  taken(envelope: PayloadEnvelope): Promise<bigint> {
    return this.#add({ sequence: this.#next, envelope });
  }

  chosen(forkchoice: Forkchoice): Promise<bigint> {
    return this.#add({ sequence: this.#next, forkchoice });
  }

  forget(sequence: bigint): Promise<void> {
    this.#records = this.#records.filter((record) => record.sequence >= sequence);
    return Promise.resolve();
  }

  #add(record: PayloadRecord): Promise<bigint> {
    this.#records = [...this.#records, record];
    return Promise.resolve(this.#next++);
  }
}
