/**
 * A log on a disk that fails, against a model of what it promises. One number makes one run; the same
 * number makes the same run.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { WalError } from "../../src/errors.ts";
import {
  FaultyStorage,
  type StorageCall,
  type StorageFault,
} from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { Wal, type WalRecord } from "../../src/wal/log.ts";
import type { Storage } from "../../src/ports.ts";
import { noise } from "../helpers.ts";

/** Where the log of a run stands. */
export const DIRECTORY = "/data/log";

/** What one run came to, as text: equal for equal seeds. */
export interface Trace {
  readonly lines: readonly string[];
  readonly acknowledged: number;
  readonly crashes: number;
}

/** How a run differs from the usual. */
export interface SimulationOptions {
  /** A disk with a defect, in place of one that does as it says. */
  readonly disk?: (disk: Storage) => Storage;
  /** The same of the log. */
  readonly log?: (log: Wal) => Wal;
}

/** Starts of the program in one run. */
const LIVES = 6;

/** Runs one seed; throws where a promise is broken, with the seed in the message. */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<Trace> {
  const run = new Simulation(seed, options);
  try {
    for (let life = 0; life < LIVES; life++) await run.live();
    await run.lastLook();
    return run;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${seed}: ${message}\n${run.lines.join("\n")}`, { cause: error });
  }
}

class Simulation implements Trace {
  readonly lines: string[] = [];
  acknowledged = 0;
  crashes = 0;
  readonly #random: SeededRandom;
  readonly #disk = new MemoryStorage();
  readonly #options: SimulationOptions;
  /** What was ever appended as each record, and may be there; the acknowledged one must. */
  readonly #possible = new Map<bigint, Uint8Array[]>();
  readonly #kept = new Map<bigint, Uint8Array>();
  /** The highest checkpoint that was acknowledged, and the highest that was asked for. */
  #checkpoint = 0n;
  #asked = 0n;

  constructor(seed: number, options: SimulationOptions) {
    this.#random = new SeededRandom(seed);
    this.#options = options;
  }

  /** From one start of the program to its end, good or bad. */
  async live(): Promise<void> {
    const storage = new FaultyStorage(this.#disk, this.#plan());
    const { disk, log: defect } = this.#options;
    const opened = await this.#open(disk?.(storage) ?? storage);
    const log = opened && (defect?.(opened) ?? opened);
    if (log) {
      await this.#look(log);
      for (let step = this.#below(12); step > 0 && !storage.isDown; step--) await this.#step(log);
      if (!storage.isDown && this.#chance(0.5)) await log.close();
    }
    if (storage.isDown && this.#chance(0.7)) {
      this.#disk.crash(this.#random);
      this.crashes += 1;
      this.#say("power loss");
    } else {
      this.#disk.kill();
      this.#say("end");
    }
  }

  /** All that was promised, on a disk without faults. */
  async lastLook(): Promise<void> {
    const log = await Wal.open({ storage: this.#disk, directory: DIRECTORY }, this.#config());
    await this.#verify(log);
    const names = await this.#disk.list(DIRECTORY);
    deepEqual(names.filter((name) => name.endsWith(".tmp")), [], "stale temporary files");
    await log.append(7, noise(5));
    await log.close();
  }

  async #open(storage: Storage): Promise<Wal | undefined> {
    try {
      const log = await Wal.open({
        storage,
        directory: DIRECTORY,
        log: (event) => this.#say(event.event),
      }, this.#config());
      this.#say(`opened: ${log.checkpointed} to ${log.nextSequence}`);
      return log;
    } catch (error) {
      this.#say(`not opened: ${codeOf(error)}`);
      return undefined;
    }
  }

  async #step(log: Wal): Promise<void> {
    const kind = this.#random.next();
    if (kind < 0.75) {
      const count = this.#chance(0.5) ? 1 : 1 + this.#below(6);
      await Promise.all(Array.from({ length: count }, () => this.#append(log)));
    } else if (kind < 0.9) {
      await this.#checkpointAt(log);
    } else {
      await this.#look(log);
    }
  }

  /** As {@link #verify}, on a disk that may not let itself be read. */
  async #look(log: Wal): Promise<void> {
    await this.#verify(log).catch((error) => {
      if (!(error instanceof WalError)) throw error;
      this.#say(`not read: ${codeOf(error)}`);
    });
  }

  async #append(log: Wal): Promise<void> {
    const size = this.#chance(0.1) ? this.#below(3000) : this.#below(200);
    const payload = noise(size, Math.floor(this.#random.next() * 2 ** 32));
    const expected = log.nextSequence;
    this.#possible.set(expected, [...this.#possible.get(expected) ?? [], payload]);
    try {
      const sequence = await log.append(1 + this.#below(255), payload);
      deepEqual(sequence, expected, "sequences are given in the order of the calls");
      this.#kept.set(sequence, payload);
      this.#possible.set(sequence, [payload]);
      this.acknowledged += 1;
      this.#say(`record ${sequence}, ${size} bytes`);
    } catch (error) {
      this.#say(`not appended: ${codeOf(error)}`);
    }
  }

  async #checkpointAt(log: Wal): Promise<void> {
    const span = Number(log.nextSequence - log.checkpointed);
    const sequence = log.checkpointed + BigInt(this.#below(span + 1));
    if (sequence > this.#asked) this.#asked = sequence;
    try {
      await log.checkpoint(sequence);
      if (sequence > this.#checkpoint) this.#checkpoint = sequence;
      this.#say(`checkpoint ${sequence}`);
    } catch (error) {
      this.#say(`no checkpoint: ${codeOf(error)}`);
    }
  }

  /** Each acknowledged record from the checkpoint on is there, in order, once, as it was. */
  async #verify(log: Wal): Promise<void> {
    ok(log.checkpointed >= this.#checkpoint, `the checkpoint went back to ${log.checkpointed}`);
    ok(log.checkpointed <= this.#asked, `the checkpoint went on to ${log.checkpointed}`);
    const highest = [...this.#kept.keys()].reduce((a, b) => a > b ? a : b, -1n);
    ok(log.nextSequence > highest, `record ${highest} is lost: the next is ${log.nextSequence}`);
    let next = log.checkpointed;
    const found: WalRecord[] = [];
    for await (const record of log.read()) {
      deepEqual(record.sequence, next, "in order, once");
      const possible = this.#possible.get(record.sequence) ?? [];
      const isOne = possible.some((payload) => sameBytes(payload, record.payload));
      ok(isOne, `record ${record.sequence} is not what was appended`);
      found.push(record);
      next += 1n;
    }
    ok(next > highest || highest < log.checkpointed, `record ${highest} is not read`);
    // What was found is not taken back by a later crash: somebody may have acted on it.
    for (const { sequence, payload } of found) {
      this.#kept.set(sequence, payload);
      this.#possible.set(sequence, [payload]);
    }
  }

  /** Faults of one life: at most one crash, and now and then a full or broken disk. */
  #plan(): (call: StorageCall) => StorageFault | undefined {
    const crashAt = this.#chance(0.6) ? 1 + this.#below(60) : Infinity;
    const isRough = this.#chance(0.3);
    return ({ number, method, bytes = 0 }) => {
      const written = this.#below(bytes + 1);
      if (number === crashAt) return { crash: true, written };
      if (!isRough || !this.#chance(0.08)) return undefined;
      if (method === "read" || method === "list" || method === "size") {
        return { error: "Unreadable" };
      }
      return { error: this.#chance(0.6) ? "NoSpace" : "Unwritable", written };
    };
  }

  #config() {
    const aheadBytes = this.#chance(0.5) ? this.#below(3000) : 0;
    return { segmentBytes: 512 + this.#below(3000), maxRecordBytes: 4000, aheadBytes };
  }

  #say(line: string): void {
    this.lines.push(line);
  }

  #below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }
}

function codeOf(error: unknown): string {
  ok(error instanceof WalError, `an error of no class: ${error}`);
  ok(error.code !== "Corrupted", error.message);
  return error.code;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
