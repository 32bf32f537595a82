/**
 * What tests of the flows and of the embedded defaults share: blocks, batches, faults, directories.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { NoopCompressor } from "../src/compress/noop.ts";
import { DEFAULT_BATCHER, DEFAULT_INBOX, type LocalL1 } from "../src/local/inbox.ts";
import { type L1TransactionDraft, makeBlock } from "../src/local/l1_block.ts";
import { SeededRandom } from "../src/local/memory.ts";
import type { DerivationPipeline } from "../src/pipeline/deriver.ts";
import type { Compressor, Log, LogEvent } from "../src/ports.ts";
import type { BatchHeader, CompressedBatch, L2Block } from "../src/types.ts";
import { CHECK_SIZE, headerFor, standardCodec } from "../src/wire/batch.ts";
import { toBlobs } from "../src/wire/blob.ts";
import { seal } from "../src/wire/envelope.ts";
import { toHex } from "../src/wire/hex.ts";
import { batchCalldata, blobCalldata } from "../src/wire/inbox.ts";

/** Runs `action` with a directory that is gone afterwards. */
export async function withDirectory<T>(action: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), "montana-test-"));
  try {
    return await action(path);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** For `{ skip }` of a test that needs a file of the system; prints why it is skipped without it. */
export function skipWithout(path: string, test: string): string | false {
  if (existsSync(path)) return false;
  process.stdout.write(`skipped: ${test}: there is no ${path} here\n`);
  return `there is no ${path} here`;
}

/** Bytes that do not compress, the same for the same seed. */
export function noise(length: number, seed = 0): Uint8Array {
  const random = new SeededRandom(seed);
  return Uint8Array.from({ length }, () => Math.floor(random.next() * 256));
}

/** Blocks that know neither number nor hash: 2 s apart, one transaction of `size` bytes each. */
export function plainBlocks(count: number, { first = 0, size = 20 } = {}): L2Block[] {
  return Array.from({ length: count }, (_, index) => ({
    timestamp: BigInt(1000 + 2 * (first + index)),
    transactions: [noise(size, first + index)],
  }));
}

/** Blocks with numbers from `first`, linked by their hashes. */
export function linkedBlocks(count: number, { first = 0, size = 20 } = {}): L2Block[] {
  return plainBlocks(count, { first, size }).map((block, index) => ({
    ...block,
    number: BigInt(first + index),
    hash: l2Hash(first + index),
    parentHash: l2Hash(first + index - 1),
  }));
}

/** The hash that {@link linkedBlocks} gives to block `number`. */
export function l2Hash(number: number): Uint8Array {
  return noise(32, 1000 + number);
}

/** What travels of blocks, as text, so that a difference is short to read. */
export function content(blocks: readonly L2Block[]): string[] {
  return blocks.map(({ timestamp, transactions }) =>
    `${timestamp}:${transactions.map((each) => toHex(each)).join(",")}`
  );
}

/** Keeps the events of a flow. */
export class Events {
  readonly all: LogEvent[] = [];
  readonly log: Log = (event) => void this.all.push(event);

  /** Those with this name. */
  of<Name extends LogEvent["event"]>(name: Name): Extract<LogEvent, { event: Name }>[] {
    return this.all.filter((each) => each.event === name) as Extract<LogEvent, { event: Name }>[];
  }
}

/** What goes wrong with a call: an error instead of it, or after it was done. */
export type Fault = Error | { readonly after: Error };

/** `port`, with calls that fail as `fault` says. */
export function flaky<Port extends object>(
  port: Port,
  fault: (method: string) => Fault | undefined,
): Port {
  return new Proxy(port, {
    get(target, key) {
      const member = Reflect.get(target, key, target);
      if (typeof member !== "function") return member;
      return (...values: unknown[]) => {
        const wrong = fault(String(key));
        if (wrong instanceof Error) return Promise.reject(wrong);
        const result = member.apply(target, values);
        if (!wrong) return result;
        return Promise.resolve(result).then(() => Promise.reject(wrong.after));
      };
    },
  });
}

/** `port`, with some members replaced. */
export function withMembers<Port extends object>(port: Port, members: Partial<Port>): Port {
  return new Proxy(port, {
    get(target, key) {
      if (Object.hasOwn(members, key)) return members[key as keyof Port];
      const member = Reflect.get(target, key, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

/** For {@link flaky}: the faults of each method, one a call; `undefined` lets the call through. */
export function inTurn(
  faults: Readonly<Record<string, (Fault | undefined)[]>>,
): (method: string) => Fault | undefined {
  return (method) => faults[method]?.shift();
}

/** Hash of block 0 of a `MemoryL1`. */
export const GENESIS_HASH: Uint8Array = makeBlock(undefined, [], 0n).hash;

/** A batch as a batcher posts it; a header field given here replaces the right one. */
export async function makeBatch(
  blocks: readonly L2Block[],
  header: Partial<BatchHeader> = {},
  compressor: Compressor = new NoopCompressor(),
): Promise<CompressedBatch> {
  const right = headerFor({
    batchNumber: 0n,
    l1Origin: 0n,
    l1OriginCheck: GENESIS_HASH.slice(0, CHECK_SIZE),
    parentCheck: new Uint8Array(CHECK_SIZE),
  }, blocks);
  const whole = { ...right, ...header };
  return {
    batchNumber: whole.batchNumber,
    data: await seal(standardCodec.encode(whole, blocks), compressor),
  };
}

/** How {@link draftOf} posts a batch. */
export interface DraftOptions {
  readonly da?: "blobs" | "calldata";
  readonly from?: Uint8Array;
  readonly to?: Uint8Array;
}

/** The transaction that carries a batch. */
export function draftOf(batch: CompressedBatch, options: DraftOptions = {}): L1TransactionDraft {
  const { da = "calldata", from = DEFAULT_BATCHER, to = DEFAULT_INBOX } = options;
  return da === "blobs"
    ? { from, to, input: blobCalldata(batch.batchNumber), blobs: toBlobs(batch.data) }
    : { from, to, input: batchCalldata(batch), blobs: [] };
}

/** Posts batches together in one L1 block. */
export async function post(l1: LocalL1, ...batches: readonly CompressedBatch[]): Promise<void> {
  await l1.mine(batches.map((batch) => draftOf(batch)), 0n);
}

/** Adds empty L1 blocks. */
export async function mineEmpty(l1: LocalL1, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await l1.mine([], 0n);
}

/** Steps until caught up; each verdict with its batch number, and the reason of a drop. */
export async function stepAll(deriver: DerivationPipeline): Promise<string[]> {
  const verdicts: string[] = [];
  for (;;) {
    const result = await deriver.step();
    if (!result) return verdicts;
    if (result.verdict === "reset") throw new Error("this L1 was not to be reorganised");
    const reason = result.verdict === "drop" ? ` ${result.reason}` : "";
    verdicts.push(`${result.verdict} ${result.batch.batchNumber}${reason}`);
  }
}

/**
 * Runs TypeScript in a process of its own, under the runtime that runs this.
 *
 * @param under a program that starts it, with its arguments
 */
export function runScript(
  directory: string,
  code: string,
  input?: string | Uint8Array,
  under: readonly string[] = [],
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const path = join(directory, `script-${++scripts}.ts`);
  writeFileSync(path, code);
  const args = process.versions.bun ? [path] : ["run", "-A", "--no-check", path];
  const [file, ...others] = [...under, process.execPath, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(file!, others, { stdio: "pipe" });
    const out: Record<"stdout" | "stderr", string> = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => out[name] += text);
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...out }));
    child.stdin.end(input);
  });
}

let scripts = 0;
