/**
 * Operations of a run and what must become of them: each acknowledged one is handled once, in order for
 * its key.
 *
 * @module
 */
import { HandlerError } from "../../src/errors.ts";
import type { BatchHandler, Clock, Storage } from "../../src/ports.ts";
import type { OperationBatch } from "../../src/types.ts";
import type { Run } from "./run.ts";

const decoder = new TextDecoder();

/** What is known of all operations of a run. */
export class Operations {
  readonly #run: Run;
  readonly #isAcknowledged: boolean[] = [];
  readonly #seen = new Set<number>();
  readonly #handled = new Set<number>();
  /** Those of batches that the handler rejected, or refused too often. */
  readonly #dead = new Set<number>();
  /** Batches by their first sequence, as the handler saw them. */
  readonly #batches = new Map<bigint, { readonly last: bigint; readonly text: string }>();
  #lastBatch = -1n;

  constructor(run: Run) {
    this.#run = run;
  }

  /** How many were acknowledged. */
  acknowledged = 0;

  /** A new one: `key`, a tab, and a number that no other has. */
  make(key: number, size: number): { readonly number: number; readonly data: Uint8Array } {
    const number = this.#isAcknowledged.push(false) - 1;
    const text = `key ${key}\t${number}\t${".".repeat(size)}`;
    return { number, data: new TextEncoder().encode(text) };
  }

  acknowledge(number: number): void {
    this.#isAcknowledged[number] = true;
    this.acknowledged += 1;
  }

  /** The handler is called. */
  see(batch: OperationBatch): void {
    const run = this.#run;
    const { first, last, operations } = batch;
    for (const number of numbersOf(batch)) this.#seen.add(number);
    const text = operations.map(({ data }) => decoder.decode(data)).join("\n");
    const known = this.#batches.get(first);
    const isSame = known === undefined || known.last === last && known.text === text;
    run.check(isSame, `batch ${first}-${last} came before as another one`);
    run.check(first > this.#lastBatch || known !== undefined, `batch ${first}-${last} overlaps`);
    this.#batches.set(first, { last, text });
    if (last > this.#lastBatch) this.#lastBatch = last;
  }

  handled(batch: OperationBatch): void {
    for (const number of numbersOf(batch)) this.#handled.add(number);
  }

  buried(batch: OperationBatch): void {
    for (const number of numbersOf(batch)) this.#dead.add(number);
  }

  /** All that were acknowledged by now. */
  get promised(): readonly number[] {
    return this.#isAcknowledged.flatMap((isAcknowledged, number) => isAcknowledged ? [number] : []);
  }

  /** These have been handled, or are dead. */
  checkDone(numbers: readonly number[], what: string): void {
    const left = numbers.filter((each) => !this.#handled.has(each) && !this.#dead.has(each));
    this.#run.check(left.length === 0, `${what}, and operation ${left[0]} was not handled`);
  }

  /** What stands in the shards and among the dead is what was added, and all that was acknowledged. */
  async verify(disk: Storage, shards: string, dead: string): Promise<void> {
    const run = this.#run;
    const found = new Set<number>();
    for (const name of (await disk.list(shards)).filter((name) => name.endsWith(".log"))) {
      const last = new Map<string, number>();
      for (const line of await linesOf(disk, `${shards}/${name}`)) {
        const [key, number] = this.#parse(line);
        run.check(!found.has(number), `operation ${number} is in the shards twice`);
        run.check((last.get(key) ?? -1) < number, `operation ${number} of ${key} is out of order`);
        found.add(number);
        last.set(key, number);
      }
    }
    const buried = new Set<number>();
    for (const name of (await disk.list(dead)).filter((name) => name.endsWith(".jsonl"))) {
      const [, ...lines] = await linesOf(disk, `${dead}/${name}`);
      for (const line of lines) buried.add(this.#parse(JSON.parse(line).text)[1]);
    }
    for (const number of this.promised) {
      run.check(found.has(number) || buried.has(number), `operation ${number} is lost`);
    }
    for (const number of buried) {
      run.check(this.#seen.has(number), `operation ${number} is dead, and was never handed over`);
    }
  }

  #parse(line: string): [key: string, number: number] {
    const [key, number] = line.split("\t");
    this.#run.check(
      /^key \d+\t\d+\t\.*$/.test(line) && Number(number) < this.#isAcknowledged.length,
      `${line.slice(0, 100)} was never added`,
    );
    return [key!, Number(number)];
  }
}

function numbersOf({ operations }: OperationBatch): number[] {
  return operations.map(({ data }) => Number(decoder.decode(data).split("\t")[1]));
}

async function linesOf(disk: Storage, path: string): Promise<string[]> {
  const text = decoder.decode(await disk.read(path));
  return text.split("\n").slice(0, -1);
}

/** A handler that fails, hangs and is slow, in front of one that does not. */
export function unreliableHandler(
  run: Run,
  inner: BatchHandler,
  { operations, clock }: { readonly operations: Operations; readonly clock: Clock },
): BatchHandler {
  let calls = 0;
  const failed = (what: string, code: "Failed" | "Rejected" = "Failed") => {
    run.note("handler", what);
    return new HandlerError(code, `Cannot handle: it ${what}, so it was planned`);
  };
  const handle = async (batch: OperationBatch, signal: AbortSignal) => {
    if (run.chance(0.3)) await clock.sleep(run.around(1, 500), signal);
    if (run.mishap(0.08)) throw failed("fails");
    if (run.mishap(0.02)) throw failed("rejects", "Rejected");
    if (run.mishap(0.02)) throw new Error("so it was planned");
    if (run.mishap(0.03)) {
      run.note("handler", "hangs");
      await clock.sleep(Infinity, signal);
      throw failed("was aborted");
    }
    if (run.mishap(0.02)) {
      run.note("handler", "hears nothing");
      await clock.sleep(run.around(100, 100_000));
    }
    await inner.handle(batch, signal);
    operations.handled(batch);
    if (run.mishap(0.05)) throw failed("handles, and does not say so");
  };
  return {
    async handle(batch, signal) {
      run.check(++calls === 1, "the handler is called twice at a time");
      try {
        operations.see(batch);
        await handle(batch, signal);
      } finally {
        calls -= 1;
      }
    },
  };
}
