/**
 * From a real L1 that is reorganised into an execution client, with somebody who follows the stream.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { ToyExecutionClient } from "../l2/toy_execution_client.ts";
import { StreamClient } from "../service/served_blocks.ts";
import { postedTransactions, start, succeeded, withEthereum } from "./ethereum.ts";
import { contentOf, joinLines, linesOf, sourceText } from "./files.ts";

const NAME = "montana deriver leads an execution client and a stream over reorganisations of L1";
test(NAME, { skip: skipWithoutAnvil(NAME) }, async () => {
  const secret = noise(32, 7);
  await using toy = await ToyExecutionClient.start({ secret });
  await withEthereum(async (place) => {
    const { cwd, anvil, post, derive } = place;
    const lines = linesOf(sourceText(12));
    await writeFile(join(cwd, "l2.jsonl"), "");
    await writeFile(join(cwd, "jwt.hex"), toHex(secret), { mode: 0o600 });
    const flags =
      "--data-dir data --max-blocks-per-batch 2 --batch-interval 500ms --compressor none";
    await using batcher = start(post("l2.jsonl", flags), { cwd });
    const out =
      "--data-dir back --jwt-secret jwt.hex --parent-check off --listen 0 --confirmations 1";
    await using deriver = start(derive(toy.url, out), { cwd });
    await deriver.untilSaid(/listening on (\S+)\n/);
    const [, name] = /listening on (\S+)\n/.exec(deriver.stderr)!;
    await using stream = await StreamClient.open({ name: name!, close: () => Promise.resolve() });

    let given = 0;
    const give = async (count: number) => {
      await appendFile(join(cwd, "l2.jsonl"), joinLines(lines.slice(given, given += count)));
      await deriver.until(`${given} blocks`, () => toy.content.length === given);
    };
    await anvil.mine(25);
    let retracted = 0;
    for (const depth of [2, 10]) {
      await give(4);
      const top = (await postedTransactions(place)).at(-1)!.block;
      await anvil.rpc("evm_setIntervalMining", [0]);
      const below = Math.max(depth, Number(await anvil.head() - top) + 1);
      await anvil.rpc("anvil_reorg", [below, []]);
      await anvil.rpc("evm_setIntervalMining", [1]);
      const tookBack = () => deriver.stderr.match(/took back [1-9]/g)?.length ?? 0;
      await deriver.until(`stepped back over ${below}`, () => tookBack() > retracted);
      retracted = tookBack();
    }
    await give(4);
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    await deriver.until("all is derived", () => toy.content.length === 12);
    const expected = contentOf(joinLines(lines)).map((each) => each.replace(",", ":"));
    deepEqual(toy.content, expected);

    // The safe and the final block of anvil are 32 and 64 below its head.
    await anvil.mine(100);
    await deriver.until("all is final", () => toy.numbers.finalized === 12);
    equal(toy.numbers.safe, 12);

    const seen: string[] = [];
    let wereRetracted = 0;
    for (let event = await stream.next(); event; event = await stream.next()) {
      if (event.event === "block") {
        equal(event.data.number, seen.length + 1);
        seen.push(...contentOf(JSON.stringify(event.data)));
      } else if (event.event === "retracted") {
        wereRetracted += event.data.blocks;
        seen.length = event.data.number;
      } else if (event.data.finalized === 12) break;
    }
    deepEqual(seen, contentOf(joinLines(lines)));
    ok(wereRetracted > 0);
    deriver.send("SIGTERM");
    succeeded(await deriver.ended);
  });
});
