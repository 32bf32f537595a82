/**
 * The batcher while its node fails: it waits, or ends where it was to end by itself, says why, and loses
 * nothing.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { type Fault, startFaultProxy } from "../l1/fault_proxy.ts";
import { isWhole } from "./crash.ts";
import {
  type EthereumPlace,
  landedOnce,
  postedTransactions,
  run,
  sentWithCare,
  start,
  succeeded,
  withProxy,
} from "./ethereum.ts";
import { joinLines, linesOf, sameBlocks, sourceText } from "./files.ts";
import { failed, hasNoTrace } from "./montana.ts";

const BUMP_MS = 1000;
const FLAGS = "--data-dir data --da calldata --max-blocks-per-batch 1 --compressor none " +
  `--batch-interval 100ms --block-time 250ms --bump-interval ${BUMP_MS}ms`;
const LINES = linesOf(sourceText(40));
const SEND = "eth_sendRawTransaction";

/** A batcher whose source grows. */
class Work {
  readonly #place: EthereumPlace;
  given = 0;

  constructor(place: EthereumPlace) {
    this.#place = place;
  }

  get path(): string {
    return join(this.#place.cwd, "l2.jsonl");
  }

  async give(blocks: number): Promise<void> {
    await appendFile(this.path, joinLines(LINES.slice(this.given, this.given += blocks)));
  }

  args(flags = ""): string[] {
    return this.#place.post("l2.jsonl", `${FLAGS} ${flags}`);
  }

  /** Makes sure that all that was given stands on L1 once, and comes back. */
  async isThere(): Promise<void> {
    const { cwd, derive } = this.#place;
    succeeded(await run(this.args("--once"), { cwd }));
    succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), this.path);
    await landedOnce(this.#place, this.given);
  }
}

const DOWN: readonly (readonly [string, Fault, RegExp])[] = [
  ["hangs up", { fault: "hang up" }, /the connection broke/],
  ["is too busy", { fault: "status", status: 429 }, /it answered 429/],
  ["fails", { fault: "status", status: 503 }, /it answered 503/],
  ...(isWhole ? [["hangs", { fault: "hang" }, /no answer within 10000 ms/] as const] : []),
];

for (const [what, fault, why] of DOWN) {
  const name = `crash: montana batcher waits for a node that ${what}, ends when told, and goes on`;
  test(name, { skip: skipWithoutAnvil(name) }, async () => {
    await withProxy(async (place, proxy) => {
      const { cwd } = place;
      const work = new Work(place);
      await work.give(2);

      // From the start: who is to end by itself does, the other waits.
      proxy.always("*", fault);
      failed(await run(work.args("--once"), { cwd }), 75, why);
      await endsWhileItWaits(work.args(), place, why);
      proxy.heal();

      // In the middle, as the first was sent.
      for (const flags of ["--once", ""]) {
        await using batcher = start(work.args(`${flags} --shutdown-timeout 1s`), { cwd });
        await batcher.until("it sends", () => proxy.count(SEND) > 0);
        proxy.always("*", fault);
        await batcher.untilSaid(why);
        if (flags === "--once") {
          failed(await batcher.ended, 75, why);
        } else {
          batcher.send("SIGTERM");
          const { code, stderr } = await batcher.ended;
          equal(code, 3, stderr);
        }
        proxy.heal();
        proxy.calls.length = 0;
        await work.give(1);
      }

      // And back again, while it runs.
      await using batcher = start(work.args(), { cwd });
      proxy.always("*", fault);
      await batcher.untilSaid(why);
      proxy.heal();
      await batcher.untilSaid(/answers again/);
      await batcher.untilSaid(/batch 3:/);
      batcher.send("SIGTERM");
      succeeded(await batcher.ended);
      await work.isThere();
      sentWithCare(proxy, BUMP_MS);
    });
  });
}

const HALF = "montana batcher posts behind a node that fails every other call";
test(HALF, { skip: skipWithoutAnvil(HALF) }, async () => {
  await withProxy(async (place, proxy) => {
    const work = new Work(place);
    await work.give(3);
    let calls = 0;
    proxy.byPlan(() => calls++ % 2 === 0 ? { fault: "status", status: 503 } : undefined);
    await using batcher = start(work.args(), { cwd: place.cwd });
    await batcher.untilSaid(/batch 2:/);
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    proxy.heal();
    const { cwd, derive } = place;
    succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), work.path);
    const batches = (await postedTransactions(place)).map(({ batch }) => Number(batch));
    deepEqual(batches, [0, 1, 2], "each batch once, in order");
  }, { blockTimeS: 1 });
});

async function endsWhileItWaits(
  args: readonly string[],
  { cwd }: EthereumPlace,
  why: RegExp,
): Promise<void> {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using batcher = start([...args, "--shutdown-timeout", "1s"], { cwd });
    await batcher.untilSaid(why);
    batcher.send(signal);
    const outcome = await batcher.ended;
    equal(outcome.code, 3, outcome.stderr);
    hasNoTrace(outcome);
    match(outcome.stderr, /start again/);
  }
}

const STORM = "crash: montana batcher posts all once through a storm of faults";
test(STORM, { skip: skipWithoutAnvil(STORM) }, async () => {
  await withProxy(async (place, proxy) => {
    const { cwd } = place;
    const work = new Work(place);
    const seeds = isWhole ? [1, 2, 3, 4, 5, 6, 7, 8] : [1];
    for (const seed of seeds) {
      proxy.byChance(seed, 0.2, WEATHER);
      await using batcher = start(work.args(), { cwd });
      await work.give(4);
      await batcher.untilSaid(new RegExp(`batch ${work.given - 1}:`));
      batcher.send("SIGTERM");
      succeeded(await batcher.ended);
      proxy.heal();
    }
    await work.isThere();
    sentWithCare(proxy, BUMP_MS);
    const met = new Set(proxy.calls.map(({ fault }) => fault));
    ok(met.size > WEATHER.length / 2, [...met].join());
  });
});

const EACH = "montana batcher waits at each call of its start until the node answers";
test(EACH, { skip: skipWithoutAnvil(EACH) }, async () => {
  await withProxy(async (place, proxy) => {
    const work = new Work(place);
    await work.give(2);
    const seen = new Map<string, number>();
    proxy.byPlan((method) => {
      const calls = (seen.get(method) ?? 0) + 1;
      seen.set(method, calls);
      // In the beginning every other one of each kind.
      return calls < 6 && calls % 2 === 1 ? { fault: "status", status: 503 } : undefined;
    });
    await using batcher = start(work.args(), { cwd: place.cwd });
    await batcher.untilSaid(/batch 1:/);
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    proxy.heal();
    await work.isThere();
  });
});

const WEATHER: readonly Fault[] = [
  { fault: "status", status: 429, retryAfterS: 0 },
  { fault: "status", status: 500 },
  { fault: "status", status: 503 },
  { fault: "hang up" },
  { fault: "lose" },
  { fault: "cut" },
  { fault: "duplicate" },
  { fault: "swallow" },
  { fault: "delay", ms: 50 },
];

const SWALLOWS = "montana batcher sends again what its node swallowed";
test(SWALLOWS, { skip: skipWithoutAnvil(SWALLOWS) }, async () => {
  await withProxy(async (place, proxy) => {
    const work = new Work(place);
    await work.give(2);
    proxy.always(SEND, { fault: "swallow" });
    await using batcher = start(work.args("--once"), { cwd: place.cwd });
    await batcher.until("it sent six times", () => proxy.count(SEND) >= 6);
    proxy.heal();
    succeeded(await batcher.ended);
    await work.isThere();
    sentWithCare(proxy, BUMP_MS);
  });
});

const LOST =
  "montana batcher lands what was sent though the answers are lost, or the calls doubled";
test(LOST, { skip: skipWithoutAnvil(LOST) }, async () => {
  await withProxy(async (place, proxy) => {
    const work = new Work(place);
    await work.give(3);
    const [lose, duplicate] = [{ fault: "lose" }, { fault: "duplicate" }] as const;
    proxy.next(SEND, lose, duplicate, lose, duplicate);
    succeeded(await run(work.args("--once"), { cwd: place.cwd }));
    await work.isThere();
    equal(sentWithCare(proxy, BUMP_MS), 0, "nothing was to be replaced");
  });
});

const SECOND = "montana batcher goes on at its second node when the first dies";
test(SECOND, { skip: skipWithoutAnvil(SECOND) }, async () => {
  await withProxy(async (place, proxy) => {
    await using second = await startFaultProxy(place.anvil.url);
    const work = new Work(place);
    await work.give(3);
    // The first has taken one, and then says nothing any more.
    proxy.byPlan(() => proxy.count(SEND) > 0 ? { fault: "hang up" } : undefined);
    const args = work.args(`--once --l1 ${second.url}`);
    const outcome = await run(args, { cwd: place.cwd });
    succeeded(outcome);
    match(outcome.stderr, new RegExp(`failed: .*; asking ${new URL(second.url).host}`));
    ok(second.count(SEND) > 0, "the second was sent to");
    proxy.heal();
    await work.isThere();
  });
});

const OTHER = "montana batcher uses no node of another chain, and refuses where there is no other";
test(OTHER, { skip: skipWithoutAnvil(OTHER) }, async () => {
  await withProxy(async (place, proxy) => {
    await using second = await startFaultProxy(place.anvil.url);
    const work = new Work(place);
    await work.give(1);
    proxy.always("eth_chainId", { fault: "answer", result: "0x1" });
    const { cwd } = place;
    failed(
      await run(work.args("--once --chain-id 31337"), { cwd }),
      78,
      /chain id is 1, need 31337/,
    );
    const both = await run(work.args(`--once --chain-id 31337 --l1 ${second.url}`), { cwd });
    succeeded(both);
    match(both.stderr, /chain id is 1, need 31337/);
    equal(proxy.calls.every(({ method }) => method === "eth_chainId"), true);
    proxy.heal();
    await work.isThere();
  });
});
