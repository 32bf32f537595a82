/**
 * Two batchers that are started at once with one account and one source, as by a mistake of those who run
 * them: each batch is paid for once all the same. That is not so in every round yet (README, Limits), and
 * until it is, only `deno task crash` shows it.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { isWhole, tellDone } from "./crash.ts";
import { type EthereumPlace, postedTransactions, run, succeeded, withProxy } from "./ethereum.ts";
import { sameBlocks, sourceText } from "./files.ts";

const FLAGS = "--once --da calldata --max-blocks-per-batch 1 --compressor none --block-time 250ms";
const BLOCKS = 12;

/** Starts one until it has nothing left to do, as a service manager does. @returns how often it stopped */
async function untilDone({ cwd, post }: EthereumPlace, directory: string): Promise<number> {
  for (let stops = 0;; stops++) {
    const outcome = await run(post("l2.jsonl", `${FLAGS} --data-dir ${directory}`), { cwd });
    if (outcome.code !== 75) {
      succeeded(outcome);
      return stops;
    }
    match(outcome.stderr, /One program alone may use/);
  }
}

function skipInGate(test: string): string | false {
  if (isWhole) return false;
  const why = "some rounds in a hundred fail, see Limits in README.md; deno task crash runs it";
  process.stdout.write(`skipped: ${test}: ${why}\n`);
  return why;
}

const TWO = "crash: two montana batchers of one account, started at once, pay for each batch once";
test(TWO, { skip: skipInGate(TWO) || skipWithoutAnvil(TWO) }, async () => {
  const stops: number[] = [];
  for (let round = 0; round < 10; round++) {
    await withProxy(async (place, proxy) => {
      await writeFile(join(place.cwd, "l2.jsonl"), sourceText(BLOCKS));
      // The first transaction of each waits for that of the other.
      let waiting = 2;
      proxy.byPlan((method) =>
        method === "eth_sendRawTransaction" && waiting-- > 0
          ? { fault: "delay", ms: 300 }
          : undefined
      );
      const each = [untilDone(place, "one"), untilDone(place, "two")];
      stops.push(...await Promise.all(each));
      const { cwd, derive } = place;
      succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
      await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
      const numbers = (await postedTransactions(place)).map(({ batch }) => Number(batch));
      deepEqual(numbers.toSorted((a, b) => a - b), Array.from({ length: BLOCKS }, (_, at) => at));
    }, { blockTimeS: 0.25, slotsInAnEpoch: 1 });
  }
  tellDone(TWO, `stopped ${stops.join(", ")} times`);
});
