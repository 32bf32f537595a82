/**
 * A batcher and the batches that are proved, in one process: what is posted is proved, each block once,
 * whatever becomes of the process and of L2.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { randomInt } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { chance, isWhole, tellDone } from "./crash.ts";
import { batchesIn, provedInOrder } from "./cut_windows.ts";
import {
  INBOX,
  landedOnce,
  postedTransactions,
  programsOn,
  run,
  start,
  succeeded,
} from "./ethereum.ts";
import { linesOf } from "./files.ts";
import { skipUnlessShown } from "./half.ts";
import { type CollectingBatch, JoinedRoles } from "./joined_roles.ts";
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
test(
  KILLED,
  { skip: skipUnlessShown("executable", KILLED) || skipWithoutAnvil(KILLED) },
  async () => {
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
  },
);

const REORGANISED =
  "montana run --role batcher,superblock has the blocks proved that L2 has after a reorganisation, and ends where that is too late";
test(
  REORGANISED,
  { skip: skipUnlessShown("source", REORGANISED) || skipWithoutAnvil(REORGANISED) },
  async () => {
    await withPlace(async (cwd) => {
      // Nothing is sealed, so that all may be replaced.
      await using roles = await JoinedRoles.begin(cwd, chance(1), "--batch-interval 1h");
      const { l2, settlement, clock } = roles.place;
      // Of a batch that has room still, so that it is open when they are replaced.
      let collecting: CollectingBatch | undefined;
      await roles.until("some blocks of a batch are reported", async () => {
        collecting = await roles.collecting();
        const blocks = collecting?.blocks.length ?? 0;
        return blocks >= 3 && blocks <= BATCH_S / 2;
      });
      const { id: last, blocks: [, second] } = collecting!;
      await l2.rpc("anvil_reorg", [Number(await l2.head()) - second!.block_number + 1, []]);
      await roles.until("blocks are replaced", () => /no longer count/.test(roles.said));
      await roles.untilAccepted(last);
      const chain = (await blocksOf(l2)).slice(1);
      const hashes = new Map<bigint, string>();
      for (const number of chain.map((block) => BigInt(block.number))) {
        const block = await l2.rpc("eth_getBlockByNumber", [`0x${number.toString(16)}`, false]);
        hashes.set(number, block.hash);
      }
      await l2.rpc("anvil_reorg", [Number(await l2.head()) - 1, []]);
      const { code, stderr } = await roles.ended();
      equal(code, 5, stderr);
      match(
        stderr,
        /^batcher: error: Reorganised: Cannot report L2's blocks: .* see which one counts$/m,
      );
      match(stderr, /^superblock: batcher failed: ending/m);

      await provedInOrder(roles.member, { settlement, clock, taken: chain, last });
      const batches = await batchesIn(roles.member, clock);
      const batch = batches.find(({ window }) => window.batchNumber === BigInt(last));
      for (const { number, hash } of batch!.blocks) {
        equal(toHex(hash), hashes.get(number), `block ${number}`);
      }
    });
  },
);

const BEFORE =
  "montana run --role batcher,superblock has proved what its batcher posted alone, out of the node once more";
test(BEFORE, { skip: skipUnlessShown("source", BEFORE) || skipWithoutAnvil(BEFORE) }, async () => {
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

const ALL =
  "montana run --role prover,superblock,batcher,deriver posts, checks and derives the blocks of an L2, all in one process";
test(ALL, { skip: skipUnlessShown("executable", ALL) || skipWithoutAnvil(ALL) }, async () => {
  await withDirectory(async (cwd) => {
    const short = { blockTimeS: 1, slotsInAnEpoch: 1 };
    await using l1 = await startAnvil(short);
    await using l2 = await startAnvil({ ...short, chainId: 1001 });
    const { batcher } = await programsOn(l1.url, cwd);
    const { timestamp } = await l2.rpc("eth_getBlockByNumber", ["0x0", false]);
    const port = await freePort();
    const prover = `http://127.0.0.1:${port}`;
    await using roles = start([
      ...["run", "--role", "prover,superblock,batcher,deriver", "--data-dir", "data"],
      ...["--l1", l1.url, "--inbox", INBOX, "--batcher", batcher, "--key-file", "batcher.key"],
      ...["--block-time", "1s", "--batcher-confirmations", "1", "--deriver-confirmations", "0"],
      ...["--batcher-l2", l2.url, "--l2-chain-id", "1001", "--min-batch-bytes", "0"],
      ...["--batch-interval", "1s", "--level", "5", "--out", "derived.jsonl", "--archive", "blobs"],
      // Block 0 cannot be checked: see the head of `tests/l1/anvil.ts`.
      ...["--start-block", "3"],
      ...["--prover-l2", l2.url, "--prover-listen", `${port}`, "--publisher-for", "1001"],
      ...["--prover", prover, "--superblock-prover", prover, "--publisher", prover],
      ...["--proof-type", "execute", "--proof-poll", "100ms"],
      ...["--set", `l1_listener.genesis_time=${Number(timestamp) - 20}`],
      ...["slot_duration=1s", "slots_per_epoch=2", "batch_factor=2", "poll_interval=500ms"]
        .flatMap((each) => ["--set", `l1_listener.${each}`]),
      ...["max_batch_size=4", "batch_timeout=20s", "late_block_grace=1s"]
        .flatMap((each) => ["--set", `batch_manager.${each}`]),
    ], { cwd });
    const completed = () => [...roles.stderr.matchAll(/^superblock: .* 1001-(\d+) is completed/gm)];
    await roles.until("three batches are completed", () => completed().length >= 3);
    await roles.until("six blocks are derived", () => {
      return sumOf(roles.stderr, /^deriver: .* derived batch \d+: (\d+) block/gm) >= 6;
    });
    roles.send("SIGTERM");
    const { code, stderr } = await roles.ended;
    equal(code, 0, stderr);
    const ends = [...stderr.matchAll(/^(\w+): SIGTERM: /gm)].map(([, role]) => role);
    deepEqual(ends, ["deriver", "batcher", "superblock", "prover"]);
    match(
      stderr,
      /^prover: chain 1001 handed in superblock \d+: no proof, after execution checks/m,
    );
  });
});

/** One that nobody has now, and that nobody is given: those are above, on Linux and on macOS. */
async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    const port = randomInt(20_000, 32_768);
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

function sumOf(text: string, number: RegExp): number {
  return [...text.matchAll(number)].reduce((all, [, each]) => all + Number(each), 0);
}
