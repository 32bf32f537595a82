/**
 * Measures, in a process of its own, how late a 5 ms timer of the main thread is while workers compress
 * batches; prints what it saw as JSON. `lag.ts` runs it under every runtime.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- standard output is what it is run for
import process from "node:process";
import { someBlocks } from "./blocks.ts";
import { batchAll } from "./pipelines.ts";
import { runtimeName } from "../../src/runtime.ts";

const INTERVAL_MS = 5;

/** How late a timer was over a while, in milliseconds. */
export interface Lag {
  readonly most: number;
  readonly p99: number;
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
  #dueMs = performance.now() + INTERVAL_MS;
  #timer = setTimeout(() => this.#tick(), INTERVAL_MS);

  #tick(): void {
    this.#delays.push(performance.now() - this.#dueMs);
    this.#dueMs = performance.now() + INTERVAL_MS;
    this.#timer = setTimeout(() => this.#tick(), INTERVAL_MS);
  }

  /** A timer that is late and has not fired yet counts too. */
  stop(): Lag {
    clearTimeout(this.#timer);
    this.#delays.push(Math.max(0, performance.now() - this.#dueMs));
    const sorted = this.#delays.sort((a, b) => a - b);
    const p99 = sorted[Math.floor(0.99 * (sorted.length - 1))]!;
    return { most: sorted.at(-1)!, p99, ticks: sorted.length };
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
