/**
 * A batcher whose batches come too late for their sequencing window: it seals the same blocks anew, once it
 * is sure that the first are nowhere on L1, and all comes back.
 *
 * @module
 */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { SEQUENCING_WINDOW } from "../../src/config.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { isWhole } from "./crash.ts";
import { type EthereumPlace, run, start, succeeded, withProxy } from "./ethereum.ts";
import { sameBlocks, sourceText } from "./files.ts";
import { failed } from "./montana.ts";

const SEND = "eth_sendRawTransaction";
const FLAGS = "--data-dir data --max-blocks-per-batch 2 --compressor none --batch-interval 100ms " +
  "--block-time 250ms --bump-interval 1s --once";
const WINDOW = Number(SEQUENCING_WINDOW);
/** As anvil tells it. */
const FINAL_DEPTH = 64;

const isNews = (batch: string) => new RegExp(`sealed batch ${batch} anew, of the same 2 blocks`);

/** All is on L1 once, above the window, and comes back. */
async function comesBack({ anvil, cwd, derive, batcher }: EthereumPlace): Promise<void> {
  const flags = `--once --l1-start-block ${WINDOW}`;
  succeeded(await run(derive("out.jsonl", flags), { cwd }));
  await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
  // Its nonces: two that came too late and were cancelled, or never sent, and two batches.
  const nonce = BigInt(await anvil.rpc("eth_getTransactionCount", [batcher, "latest"]));
  equal(nonce, 4n);
}

for (const da of isWhole ? ["calldata", "blobs"] : ["calldata"]) {
  const name =
    `crash: montana batcher in ${da} ends with 75 when a window ends, and the next one seals anew`;
  test(name, { skip: skipWithoutAnvil(name) }, async () => {
    await withProxy(async (place, proxy) => {
      const { anvil, cwd, post } = place;
      const flags = `${FLAGS} --da ${da}`;
      await writeFile(join(cwd, "l2.jsonl"), sourceText(4));
      proxy.always(SEND, { fault: "swallow" });
      await using batcher = start(post("l2.jsonl", `${flags} --shutdown-timeout 1s`), { cwd });
      await batcher.until("it sends", () => proxy.count(SEND) > 1);
      await anvil.mine(WINDOW + FINAL_DEPTH);
      failed(await batcher.ended, 75, /WindowExpired: .*Nothing is lost. Start again/);
      proxy.heal();
      const outcome = await run(post("l2.jsonl", flags), { cwd });
      succeeded(outcome);
      for (const batch of ["0", "1"]) match(outcome.stderr, isNews(batch));
      await comesBack(place);
      const told = succeeded(await run(["explain", "batch", "0", "--data-dir", "data"], { cwd }));
      match(told, /sealed batch 0 anew/);
    });
  });
}

const FINAL =
  "montana batcher seals nothing anew before that is final, says so, and ends when told";
test(FINAL, { skip: skipWithoutAnvil(FINAL) }, async () => {
  await withProxy(async (place, proxy) => {
    const { anvil, cwd, post } = place;
    const flags = `${FLAGS} --da calldata`;
    await writeFile(join(cwd, "l2.jsonl"), sourceText(4));
    proxy.always(SEND, { fault: "swallow" });
    await using killed = start(post("l2.jsonl", flags), { cwd });
    await killed.until("it sends both", () => proxy.sent.length > 1);
    killed.send("SIGKILL");
    await killed.ended;
    await anvil.mine(WINDOW);

    const waits = /waiting until L1 block \d+ is final: batch 0 came too late/;
    await using told = start(post("l2.jsonl", flags), { cwd });
    await told.untilSaid(waits);
    told.send("SIGTERM");
    const { code, stderr } = await told.ended;
    equal(code, 3, stderr);

    await using batcher = start(post("l2.jsonl", flags), { cwd });
    await batcher.untilSaid(waits);
    ok(!isNews("0").test(batcher.stderr), batcher.stderr);
    proxy.heal();
    await anvil.mine(FINAL_DEPTH);
    await anvil.rpc("evm_setIntervalMining", [1]);
    succeeded(await batcher.ended);
    await comesBack(place);
  }, { noMining: true });
});
