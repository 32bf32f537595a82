/**
 * A batcher and the batches that are proved, in one process: what is posted is proved, each block once,
 * whatever becomes of the process and of L2.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { chance, isWhole, tellDone } from "./crash.ts";
import { batchesIn, provedInOrder } from "./cut_windows.ts";
import { landedOnce, postedTransactions, run, succeeded } from "./ethereum.ts";
import { linesOf } from "./files.ts";
import { JoinedRoles } from "./joined_roles.ts";
import { sleep } from "./reported_chain.ts";
import { BATCH_S, blocksOf } from "./sequencers.ts";

/** Windows that are looked at. */
const BATCHES = isWhole ? 20 : 4;

/** Runs `action` with a directory below one that is gone afterwards. */
function withPlace(action: (cwd: string) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    const cwd = join(directory, "roles");
    await mkdir(cwd);
    await action(cwd);
  });
}

const KILLED =
  "crash: montana run --role batcher,superblock, killed at random, posts each block once, and has it proved once";
test(KILLED, { skip: skipWithoutAnvil(KILLED) }, async () => {
  await withPlace(async (cwd) => {
    const seed = Number(process.env["MONTANA_SEED"] ?? Date.now() % 1_000_000);
    const random = chance(seed);
    await using roles = await JoinedRoles.begin(
      cwd,
      random,
      "--min-batch-bytes 0 --batch-interval 3s",
    );
    const { l1, l2, settlement, clock, batcher, derive } = roles.place;
    const last = roles.batchNow + BATCHES - 1;
    let kills = 0;
    for (; roles.batchNow <= last; kills++) {
      await sleep(random(500, 5000));
      await roles.kill();
      // Once for longer than a window, so that its blocks are reported when it is over.
      await sleep(kills === 1 ? 1200 * BATCH_S : random(0, 1500));
      roles.startAgain();
    }
    const why = `MONTANA_SEED=${seed}: ${roles.said}`;
    await roles.untilAccepted(last);
    const stopped = await roles.stop();
    equal(stopped.code, 0, why);
    match(stopped.stderr, /^batcher: SIGTERM: posting .*[^]*^superblock: SIGTERM: ending/m);
    roles.speaksByRole();

    // Block 0 is the genesis, and posted by nobody.
    const chain = (await blocksOf(l2)).slice(1);
    const proved = await provedInOrder(roles.member, { settlement, clock, taken: chain, last });
    const posted = await postedTransactions({ anvil: l1, batcher });
    await landedOnce({ anvil: l1, batcher }, posted.length);
    succeeded(await run(derive("derived.jsonl", "--once"), { cwd }));
    const derived = linesOf(await readFile(join(cwd, "derived.jsonl"), "utf8"));
    const times = derived.map((line) => JSON.parse(line).timestamp);
    deepEqual(times, chain.slice(0, times.length).map(({ timestamp }) => timestamp), why);
    ok(times.length >= proved.blocks, `${times.length} blocks were posted`);
    tellDone(
      KILLED,
      `${kills} kills; ${proved.batches} batches of ${proved.blocks} blocks proved, ` +
        `${times.length} blocks posted in ${posted.length}; MONTANA_SEED=${seed}`,
    );
  });
});

const REORGANISED =
  "montana run --role batcher,superblock has the blocks proved that L2 has after a reorganisation";
test(REORGANISED, { skip: skipWithoutAnvil(REORGANISED) }, async () => {
  await withPlace(async (cwd) => {
    // Nothing is sealed, so that all may be replaced.
    await using roles = await JoinedRoles.begin(cwd, chance(1), "--batch-interval 1h");
    const { l2, settlement, clock } = roles.place;
    const last = roles.batchNow;
    await roles.until("block 4 is reported", async () => await l2.head() >= 4n);
    await sleep(1500);
    await l2.rpc("anvil_reorg", [2, []]);
    await roles.until("blocks are replaced", () => /no longer count/.test(roles.said));
    await roles.untilAccepted(last);
    const chain = (await blocksOf(l2)).slice(1);
    equal((await roles.stop()).code, 0, roles.said);

    await provedInOrder(roles.member, { settlement, clock, taken: chain, last });
    const [batch] = await batchesIn(roles.member, clock);
    for (const { number, hash } of batch!.blocks) {
      const block = await l2.rpc("eth_getBlockByNumber", [`0x${number.toString(16)}`, false]);
      equal(`0x${Buffer.from(hash).toString("hex")}`, block.hash, `block ${number}`);
    }
  });
});

const BEFORE =
  "montana run --role batcher,superblock has proved what its batcher posted alone, out of the node once more";
test(BEFORE, { skip: skipWithoutAnvil(BEFORE) }, async () => {
  await withPlace(async (cwd) => {
    const flags = "--min-batch-bytes 0 --batch-interval 1s";
    await using roles = await JoinedRoles.begin(cwd, chance(2), flags);
    const { l1, l2, settlement, clock, batcher } = roles.place;
    const posted = async () => (await postedTransactions({ anvil: l1, batcher })).length;
    await roles.until("a batch is posted", async () => await posted() > 0);
    await roles.kill();
    roles.startAgain("batcher");
    // It writes down what it tells of: more than was taken, and reported, before.
    await roles.until("it has posted what it took alone", () => {
      const goingOn = /^going on [^;\n]*(?:; (\d+))?/m.exec(roles.said);
      const posted = roles.said.matchAll(/^[\d:.]+ batch \d+: (\d+) block/gm)
        .reduce((sum, [, blocks]) => sum + Number(blocks), 0);
      return goingOn !== null && posted >= Number(goingOn[1] ?? 0) + 4;
    });
    await roles.kill();
    roles.startAgain();
    const last = roles.batchNow;
    await roles.untilAccepted(last);
    const chain = (await blocksOf(l2)).slice(1);
    equal((await roles.stop()).code, 0, roles.said);
    await provedInOrder(roles.member, { settlement, clock, taken: chain, last });
    match(
      roles.said,
      /^batcher: reading blocks up to \d+ once more, which were posted while nobody reported them$/m,
    );
  });
});
