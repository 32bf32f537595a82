/**
 * The program on a real L1, killed between sealing and confirmation: at its calls to a node, before the node
 * has them or after it, and at its calls to storage. Each life goes on where the one before was killed.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import type { FaultProxy } from "../l1/fault_proxy.ts";
import { chance, isWhole, placesUpTo, tellDone } from "./crash.ts";
import {
  type EthereumPlace,
  landedOnce,
  run,
  sentWithCare,
  start,
  succeeded,
  withProxy,
} from "./ethereum.ts";
import { joinLines, linesOf, sameBlocks, sourceText } from "./files.ts";

const dyingMontana = fileURLToPath(new URL("dying_montana.ts", import.meta.url));
const SEND = "eth_sendRawTransaction";
const RECEIPT = "eth_getTransactionReceipt";
const BUMP_MS = 1000;
const FLAGS = "--data-dir data --once --max-blocks-per-batch 1 --compressor none " +
  `--block-time 250ms --bump-interval ${BUMP_MS}ms`;

/** Each life gets so many blocks more, each of them a batch, */
const BLOCKS_A_LIFE = 2;
/** unless short lives before it have left so many: the last one is to post them all in its time. */
const ENOUGH_BLOCKS = 8;

/** Lives of one batcher, each of which gets blocks, and an end in which all is looked at. */
class Lives {
  readonly #place: EthereumPlace;
  readonly #proxy: FaultProxy;
  readonly #lines: readonly string[];
  #given = 0;
  lived = 0;
  killed = 0;

  constructor(place: EthereumPlace, proxy: FaultProxy, lives: number) {
    this.#place = place;
    this.#proxy = proxy;
    this.#lines = linesOf(sourceText(BLOCKS_A_LIFE * (lives + 1)));
  }

  /** One life; `kill` is told its process, and arranges for its end. */
  async live(flags: string, kill: (end: () => void) => void): Promise<void> {
    const { cwd, post } = this.#place;
    await this.#give();
    await using batcher = start(post("l2.jsonl", `${FLAGS} ${flags}`), { cwd });
    kill(() => batcher.send("SIGKILL"));
    this.#count(await batcher.ended);
    this.#proxy.heal();
  }

  /** One that kills itself at a call to storage. */
  async liveUntilCall(flags: string, call: number): Promise<void> {
    const { cwd, post } = this.#place;
    await this.#give();
    const args = post("l2.jsonl", `${FLAGS} ${flags}`);
    this.#count(await run(args, { cwd, entry: dyingMontana, env: { DIE_AT_CALL: `${call}` } }));
  }

  /** The last one ends by itself. @returns what was killed and sent */
  async end(flags: string): Promise<{ figures: string; replacements: number }> {
    const { cwd, post, derive } = this.#place;
    await this.#give();
    succeeded(await run(post("l2.jsonl", `${FLAGS} ${flags}`), { cwd }));
    succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
    await landedOnce(this.#place, this.#given);
    const replacements = sentWithCare(this.#proxy, BUMP_MS);
    const figures = `${this.killed} of ${this.lived} killed, ${this.#proxy.sent.length} sent, ` +
      `${replacements} of them replacements, ${this.#given} batches landed once`;
    return { figures, replacements };
  }

  async #give(): Promise<void> {
    const { anvil, batcher } = this.#place;
    const landed = Number(await anvil.rpc("eth_getTransactionCount", [batcher, "latest"]));
    if (this.#given - landed >= ENOUGH_BLOCKS) return;
    const next = this.#lines.slice(this.#given, this.#given += BLOCKS_A_LIFE);
    await appendFile(join(this.#place.cwd, "l2.jsonl"), joinLines(next));
  }

  #count({ code, stderr }: { code: number | null; stderr: string }): void {
    ok(code === null || code === 0, stderr);
    this.lived += 1;
    if (code === null) this.killed += 1;
  }
}

/** At which call, counted from the start of a life; and whether the node still gets it. */
type Moment = readonly [method: string, call: number, isPassedOn: boolean];

const MOMENTS: readonly Moment[] = [
  [SEND, 1, false],
  [SEND, 1, true],
  [SEND, 2, false],
  [SEND, 2, true],
  // The first call behind the answer to the second send.
  ["behind a send", 2, false],
  [RECEIPT, 1, false],
  ["behind a receipt", 1, true],
  ["behind a receipt", 2, false],
];

/** A life with blobs costs seconds, as its KZG gets ready: the gate tries some of them so. */
const WITH_BLOBS = isWhole ? MOMENTS : [MOMENTS[3]!, MOMENTS[6]!];

for (const [kind, moments] of [["calldata", MOMENTS], ["blobs", WITH_BLOBS]] as const) {
  const name =
    `crash: montana batcher, killed at each step of a submission of ${kind}, posts all once`;
  test(name, { skip: skipWithoutAnvil(name) }, async () => {
    await withProxy(async (place, proxy) => {
      const lives = new Lives(place, proxy, moments.length);
      for (const moment of moments) {
        await lives.live(`--da ${kind}`, (end) => endAt(proxy, moment, end));
      }
      const { figures } = await lives.end(`--da ${kind}`);
      ok(lives.killed >= moments.length - 1, figures);
      tellDone(name, figures);
    });
  });
}

const BUMPS =
  "crash: montana batcher, killed while no block comes, replaces once an interval at most";
test(BUMPS, { skip: skipWithoutAnvil(BUMPS) }, async () => {
  await withProxy(async (place, proxy) => {
    const random = chance(5);
    const rounds = isWhole ? 40 : 4;
    const lives = new Lives(place, proxy, rounds);
    for (let round = 0; round < rounds; round++) {
      // Each second life is long enough for a replacement.
      const lifeMs = round % 2 === 0 ? random(1, BUMP_MS / 2) : random(BUMP_MS, 2 * BUMP_MS);
      await lives.live("--da calldata", (end) => {
        proxy.byPlan((method) => {
          // As it begins to look after what it sent.
          if (method === "eth_getTransactionCount") setTimeout(end, lifeMs);
          return undefined;
        });
      });
    }
    await place.anvil.rpc("evm_setIntervalMining", [1]);
    const { figures, replacements } = await lives.end("--da calldata");
    ok(lives.killed > 0 && replacements > 0, figures);
    tellDone(BUMPS, figures);
  }, { noMining: true });
});

const CALLS = "crash: montana batcher, killed at any call to its node, posts all once";
test(CALLS, { skip: skipWithoutAnvil(CALLS) }, async () => {
  await withProxy(async (place, proxy) => {
    const places = placesUpTo(80, 4);
    const lives = new Lives(place, proxy, 2 * places.length);
    for (const [index, call] of places.entries()) {
      for (const isPassedOn of isWhole ? [false, true] : [index % 2 === 0]) {
        await lives.live("--da calldata", (end) => endAt(proxy, ["any", call, isPassedOn], end));
      }
    }
    const { figures } = await lives.end("--da calldata");
    ok(lives.killed > lives.lived / 2, figures);
    tellDone(CALLS, figures);
  });
});

const STORAGE =
  "crash: montana batcher, killed at its calls to storage over Ethereum, posts all once";
test(STORAGE, { skip: skipWithoutAnvil(STORAGE) || withoutEntry(STORAGE) }, async () => {
  await withProxy(async (place, proxy) => {
    const places = placesUpTo(120, 4);
    const lives = new Lives(place, proxy, places.length);
    for (const call of places) await lives.liveUntilCall("--da blobs", call);
    const { figures } = await lives.end("--da blobs");
    ok(lives.killed > lives.lived / 2, figures);
    tellDone(STORAGE, figures);
  });
});

function withoutEntry(name: string): string | false {
  if (!process.env["MONTANA_CLI"]) return false;
  const reason = "an executable has no entry of ours";
  process.stdout.write(`skipped: ${name}: ${reason}\n`);
  return reason;
}

/** Ends the process at a moment. */
function endAt(proxy: FaultProxy, [wanted, call, isPassedOn]: Moment, end: () => void): void {
  const seen = new Map<string, number>();
  const count = (name: string) => seen.set(name, (seen.get(name) ?? 0) + 1);
  let before = "";
  let isOver = false;
  proxy.byPlan((method) => {
    if (isOver) return { fault: "hang up" };
    count("any");
    count(method);
    if (before === SEND) count("behind a send");
    if (before === RECEIPT) count("behind a receipt");
    before = method;
    if (seen.get(wanted) !== call) return undefined;
    isOver = true;
    end();
    return isPassedOn ? undefined : { fault: "hang up" };
  });
}
