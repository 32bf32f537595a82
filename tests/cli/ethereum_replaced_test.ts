/**
 * An L1 that is another one after an outage, behind the same URL.
 *
 * @module
 */
import { match, strictEqual as equal } from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { run, start, succeeded, withProxy } from "./ethereum.ts";
import { sourceText } from "./files.ts";
import { failed } from "./montana.ts";

const L2 = "l2.jsonl";
const FLAGS = "--data-dir data --da calldata --compressor none --max-blocks-per-batch 4 " +
  "--batch-interval 500ms --block-time 250ms --poll-interval 50ms";

for (const isLonger of [false, true]) {
  const what = isLonger ? "longer" : "shorter";
  const name = `montana batcher sends nothing to another L1, ${what} than before, after an outage`;
  test(name, { skip: skipWithoutAnvil(name) }, async () => {
    await withProxy(async ({ anvil, cwd, post, batcher: address }, proxy) => {
      await writeFile(join(cwd, L2), sourceText(8));
      await anvil.mine(10);
      await using batcher = start(post(L2, FLAGS), { cwd, timeoutMs: 30_000 });
      await batcher.until(
        "two are confirmed",
        async () => Number(await anvil.rpc("eth_getTransactionCount", [address, "latest"])) === 2,
      );
      await batcher.untilSaid(/batch 1: /);

      await using other = await startAnvil({ blockTimeS: 0.25 });
      if (isLonger) await other.mine(100);
      proxy.goTo(other.url);
      await appendFile(join(cwd, L2), sourceText(8, { first: 8 }));
      failed(await batcher.ended, 5, /WrongL1: Cannot go on with .*: this is another L1/);
      match(batcher.stderr, /its block \d+ is 0x[\da-f]{64}, and was 0x/);
      const sent = await other.rpc("eth_getTransactionCount", [address, "pending"]);
      equal(Number(sent), 0);

      // The L1 of before is back.
      proxy.goTo(anvil.url);
      succeeded(await run(post(L2, `${FLAGS} --once`), { cwd }));
    }, { blockTimeS: 0.25, slotsInAnEpoch: 1 });
  });
}
