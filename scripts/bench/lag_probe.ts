/**
 * Measures, in a process of its own, how late a 5 ms timer of the main thread is while workers compress
 * batches; prints what it saw as JSON. `lag.ts` runs it under every runtime.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- standard output is what it is run for
import { readFileSync } from "node:fs";
import process from "node:process";
import { runtimeName } from "../../src/runtime.ts";
import { someBlocks } from "./blocks.ts";
import { batchAll } from "./pipelines.ts";

const INTERVAL_MS = 5;

/** How late a timer was over a while, in milliseconds. */
export interface Lag {
  readonly most: number;
  readonly p99: number;
  /** The most, less what the thread waited for a processor; `null` where the system does not tell. */
  readonly mostByUs: number | null;
  readonly ticks: number;
}

/** What the probe prints. */
export interface Probe {
  readonly runtime: string;
  readonly batches: number;
  readonly blobs: number;
  readonly idle: Lag;
  readonly starting: Lag;
  readonly working: Lag;
}

class LagMeter {
  readonly #delays: number[] = [];
  #mostByUs = 0;
  #waitedMs = waitedMs();
  #dueMs = performance.now() + INTERVAL_MS;
  #timer = setTimeout(() => this.#tick(), INTERVAL_MS);

  #tick(): void {
    this.#look();
    this.#dueMs = performance.now() + INTERVAL_MS;
    this.#timer = setTimeout(() => this.#tick(), INTERVAL_MS);
  }

  #look(): void {
    const delayMs = Math.max(0, performance.now() - this.#dueMs);
    const before = this.#waitedMs;
    this.#waitedMs = waitedMs();
    this.#delays.push(delayMs);
    const byOthersMs = (this.#waitedMs ?? 0) - (before ?? 0);
    this.#mostByUs = Math.max(this.#mostByUs, delayMs - byOthersMs);
  }

  /** A timer that is late and has not fired yet counts too. */
  stop(): Lag {
    clearTimeout(this.#timer);
    this.#look();
    const sorted = this.#delays.sort((a, b) => a - b);
    return {
      most: sorted.at(-1)!,
      p99: sorted[Math.floor(0.99 * (sorted.length - 1))]!,
      mostByUs: this.#waitedMs === undefined ? null : this.#mostByUs,
      ticks: sorted.length,
    };
  }
}

/** How long the main thread has been ready to run and had no processor. */
function waitedMs(): number | undefined {
  try {
    const path = `/proc/self/task/${process.pid}/schedstat`;
    return Number(readFileSync(path, "utf8").split(" ")[1]) / 1e6;
  } catch {
    return undefined;
  }
}

async function main(isShort: boolean): Promise<void> {
  const blocks = someBlocks(isShort);
  const resting = new LagMeter();
  await new Promise((resolve) => setTimeout(resolve, isShort ? 50 : 1000));
  const idle = resting.stop();

  let meter = new LagMeter();
  let starting: Lag | undefined;
  const { batches } = await batchAll(blocks, {
    maxBlobs: 6,
    workers: 2,
    level: isShort ? 5 : 11,
    onWarm: () => {
      starting = meter.stop();
      meter = new LagMeter();
    },
  });
  const working = meter.stop();
  const blobs = Math.max(...batches.map((each) => Math.ceil(each.compressedBytes / 130_044)));
  const probe: Probe = {
    runtime: runtimeName(),
    batches: batches.length,
    blobs,
    idle,
    starting: starting!,
    working,
  };
  console.log(JSON.stringify(probe));
}

if (import.meta.main) await main(process.argv.includes("--short"));
