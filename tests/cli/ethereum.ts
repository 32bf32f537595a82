/**
 * The program on a real L1: anvil, a key in a file, and what to look at afterwards.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { type Anvil, ANVIL_ACCOUNTS, type AnvilOptions, startAnvil } from "../l1/anvil.ts";
import { type FaultProxy, startFaultProxy } from "../l1/fault_proxy.ts";
import { sameBlocks } from "./files.ts";
import { run, type Running, type RunOptions, start, succeeded } from "./montana.ts";

/** Where batches go in these tests. */
export const INBOX = "0xff00000000000000000000000000000000008453";

/** How the programs are called. */
export interface Programs {
  /** Address of the key. */
  readonly batcher: string;
  /** Arguments of a batcher of `l2`. */
  post(l2: string, flags?: string): string[];
  /** Arguments of a deriver into `out`. */
  derive(out: string, flags?: string): string[];
  /** Arguments of a verification against `l2`. */
  verify(l2: string, flags?: string): string[];
}

/** A directory with a key in it, and an L1. */
export interface EthereumPlace extends Programs {
  readonly cwd: string;
  readonly anvil: Anvil;
  /** URL of the L1, or of what stands before it. */
  readonly url: string;
}

/** Where batches are looked for. */
export interface PostedPlace {
  readonly anvil: Pick<Anvil, "rpc" | "head">;
  /** Who posted them. */
  readonly batcher: string;
}

/** Runs `action` with an anvil that makes a block each second unless told otherwise. */
export async function withEthereum(
  action: (place: EthereumPlace) => Promise<void>,
  options: AnvilOptions = { blockTimeS: 1 },
  before?: (anvil: Anvil) => Promise<{ readonly url: string } & AsyncDisposable>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    await using anvil = await startAnvil(options);
    await using proxy = await before?.(anvil);
    const url = proxy?.url ?? anvil.url;
    await action({ cwd, anvil, url, ...await programsOn(url, cwd) });
  });
}

/** The programs on the L1 at `url`, with a key in `cwd`. */
export async function programsOn(url: string, cwd: string): Promise<Programs> {
  const { address, key } = ANVIL_ACCOUNTS[0]!;
  await writeFile(join(cwd, "batcher.key"), toHex(key) + "\n");
  await chmod(join(cwd, "batcher.key"), 0o600);
  const batcher = toHex(address);
  const l1 = ["--l1", url, "--beacon", url, "--inbox", INBOX];
  const words = (flags: string) => flags.split(" ").filter((word) => word !== "");
  return {
    batcher,
    post: (l2, flags = "") => [
      ...["batcher", "--l2", l2, ...l1, "--key-file", "batcher.key"],
      ...["--block-time", "1s", "--confirmations", "2", ...words(flags)],
    ],
    derive: (out, flags = "") => [
      ...["deriver", "--out", out, ...l1, "--batcher", batcher, "--block-time", "1s"],
      ...words(/--(head|confirmations)/.test(flags) ? flags : `${flags} --confirmations 0`),
    ],
    verify: (l2, flags = "") => [
      ...["verify", "--l2", l2, ...l1, "--batcher", batcher, "--confirmations", "0"],
      ...words(flags),
    ],
  };
}

/** The same with a proxy before the anvil, whose blocks are a quarter of a second apart unless told. */
export async function withProxy(
  action: (place: EthereumPlace, proxy: FaultProxy) => Promise<void>,
  options: AnvilOptions = { blockTimeS: 0.25 },
): Promise<void> {
  let proxy: FaultProxy;
  await withEthereum(
    (place) => action(place, proxy),
    options,
    async (anvil) => proxy = await startFaultProxy(anvil.url),
  );
}

/** Posts what `source` holds, derives it, and makes sure that its blocks come back as they were. */
export async function thereAndBack(
  { cwd, post, derive }: EthereumPlace,
  source: string,
  flags: string,
  options: Partial<RunOptions> = {},
): Promise<string> {
  const posted = await run(post(source, `--once --data-dir data ${flags}`), { cwd, ...options });
  ok(/^posted \d+ batch/.test(succeeded(posted)), posted.stderr);
  succeeded(await run(derive("derived.jsonl", "--once"), { cwd }));
  await sameBlocks(join(cwd, "derived.jsonl"), source);
  return posted.stderr;
}

/** A transaction of the batcher, as anvil tells it. */
export interface PostedTransaction {
  readonly hash: string;
  readonly nonce: bigint;
  readonly type: number;
  readonly blobs: number;
  readonly block: bigint;
  readonly batch: bigint;
  readonly input: string;
}

/** All that is in blocks from the batcher to the inbox, in order. */
export async function postedTransactions({ anvil, batcher }: PostedPlace) {
  const found: PostedTransaction[] = [];
  const head = await anvil.head();
  for (let number = 0n; number <= head; number++) {
    const block = await anvil.rpc("eth_getBlockByNumber", [`0x${number.toString(16)}`, true]);
    for (const each of block.transactions) {
      if (each.from !== batcher || each.to !== INBOX) continue;
      found.push({
        hash: each.hash,
        nonce: BigInt(each.nonce),
        type: Number(each.type),
        blobs: each.blobVersionedHashes?.length ?? 0,
        block: number,
        batch: Buffer.from(each.input.slice(2), "hex").readBigUInt64LE(),
        input: each.input,
      });
    }
  }
  return found;
}

/** Makes sure that batches 0, 1, 2 … stand on L1, each once, under nonces 0, 1, 2 … */
export async function landedOnce(place: PostedPlace, batches: number): Promise<void> {
  const posted = await postedTransactions(place);
  const inOrder = posted.map((_, index) => BigInt(index));
  deepEqual(posted.map(({ batch }) => batch), inOrder, "each batch once, in order");
  deepEqual(posted.map(({ nonce }) => nonce), inOrder, "each nonce");
  equal(posted.length, batches, "batches");
}

/**
 * Makes sure of what may never be sent: another payload under a nonce, a batch under two nonces, or two
 * replacements within the interval.
 *
 * @returns how many replacements there were
 */
export function sentWithCare({ sent }: FaultProxy, bumpIntervalMs: number): number {
  const payloads = new Map<bigint, string>();
  const nonces = new Map<string, bigint>();
  const hashes = new Set<string>();
  const newestMs = new Map<bigint, number>();
  let replacements = 0;
  for (const { tx, hash, atMs } of sent) {
    const { nonce } = tx;
    const payload = [tx.to, tx.input, ...tx.blobHashes].map(toHex).join();
    equal(payload, payloads.get(nonce) ?? payload, `two payloads for nonce ${nonce}`);
    equal(nonce, nonces.get(payload) ?? nonce, "a batch under two nonces");
    payloads.set(nonce, payload);
    nonces.set(payload, nonce);
    if (hashes.has(toHex(hash))) continue;
    hashes.add(toHex(hash));
    const beforeMs = newestMs.get(nonce);
    newestMs.set(nonce, atMs);
    if (beforeMs === undefined) continue;
    replacements += 1;
    ok(atMs - beforeMs >= bumpIntervalMs, `nonce ${nonce} replaced after ${atMs - beforeMs} ms`);
  }
  return replacements;
}

/** Waits until it has looked at L1 so many times more. */
export async function asksAgain(batcher: Running, proxy: FaultProxy, looks: number): Promise<void> {
  const before = proxy.count("eth_getTransactionCount");
  await batcher.until(
    `${looks} looks`,
    () => proxy.count("eth_getTransactionCount") >= before + looks,
  );
}

export { run, start, succeeded };
