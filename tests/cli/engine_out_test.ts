/**
 * `montana deriver` into an execution client, which is a process of its own: this one.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { L2Block } from "../../src/types.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { content, noise, withDirectory } from "../helpers.ts";
import { statusOf, ToyExecutionClient } from "../l2/toy_execution_client.ts";
import { joinLines, lineOf } from "./files.ts";
import { failed, run, type Running, start, succeeded } from "./montana.ts";

const SECRET = noise(32, 7);
const COUNT = 24;
const BATCHER =
  "batcher --l2 blocks.jsonl --l1 l1 --once --max-blocks-per-batch 3 --compressor none --log-level none";

/** Blocks of a sequencer, with the hashes that any client gives them that builds the same. */
async function sequenced(count: number, seed = 0): Promise<L2Block[]> {
  await using sequencer = await ToyExecutionClient.start();
  for (let index = 0; index < count; index++) {
    await sequencer.build(1000 + 2 * index, [toHex(noise(20, seed + index))]);
  }
  return sequencer.chain.slice(1).map(({ payload }) => ({
    number: BigInt(String(payload.blockNumber)),
    hash: fromHex(payload.blockHash, "hash"),
    parentHash: fromHex(payload.parentHash, "parentHash"),
    timestamp: BigInt(String(payload.timestamp)),
    transactions: (payload.transactions as string[]).map((each) => fromHex(each, "transaction")),
  }));
}

interface Place {
  readonly cwd: string;
  readonly toy: ToyExecutionClient;
  readonly blocks: readonly L2Block[];
  /** Words of a deriver into the client. */
  readonly deriver: string;
}

/** A directory with a posted L1, and a client that has nothing yet. */
async function inPlace(action: (place: Place) => Promise<void>): Promise<void> {
  const blocks = await sequenced(COUNT);
  await using toy = await ToyExecutionClient.start({ secret: SECRET });
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), joinLines(blocks.map(lineOf)));
    await writeFile(join(cwd, "jwt.hex"), toHex(SECRET) + "\n", { mode: 0o600 });
    succeeded(await run(BATCHER, { cwd }));
    const deriver = `deriver --l1 l1 --out ${toy.url} --jwt-secret jwt.hex --poll-interval 10ms`;
    await action({ cwd, toy, blocks, deriver });
  });
}

/** The client has the very blocks of the sequencer. */
function hasAll({ toy, blocks }: Place): void {
  deepEqual(toy.content, content(blocks));
  equal(toy.chain.at(-1)!.payload.blockHash, toHex(blocks.at(-1)!.hash!));
}

test("montana deriver --out URL has an execution client build the very blocks of the sequencer", async () => {
  await inPlace(async (place) => {
    const { cwd, toy, deriver } = place;
    const outcome = await run(`${deriver} --once --json`, { cwd });
    const metrics = JSON.parse(succeeded(outcome));
    equal(metrics.blocks_derived, COUNT);
    hasAll(place);
    match(outcome.stderr, /blocks go to 127\.0\.0\.1:\d+ behind its block 0; its head is 0/);
    // The head of a directory is safe at once, and final.
    deepEqual(toy.numbers, { safe: COUNT, finalized: COUNT });

    // A second run passes over all of it.
    const built = toy.methods.filter((method) => method.startsWith("engine_newPayload")).length;
    equal(built, COUNT);
    succeeded(await run(`${deriver} --once`, { cwd }));
    hasAll(place);
    equal(toy.methods.filter((method) => method.startsWith("engine_newPayload")).length, built);
  });
});

for (const flags of ["", "--data-dir data"]) {
  const how = flags === "" ? "without --data-dir" : `with ${flags}`;

  test(`montana deriver hands each block to a client once, where it is killed, ${how}`, async () => {
    await inPlace(async (place) => {
      const { cwd, toy, deriver } = place;
      const killed = async (method: string, calls: number, fault: "hang" | { after: "hang" }) => {
        const before = toy.methods.length;
        const real = Array.from({ length: calls }, () => "real" as const);
        toy.answer(method, ...real, fault);
        await using running = start(`${deriver} ${flags}`, { cwd });
        await stuck(running, toy, method);
        running.send("SIGKILL");
        equal((await running.ended).code, null);
        ok(toy.methods.length > before);
      };
      await killed("engine_forkchoiceUpdated", 4, { after: "hang" });
      await killed("engine_newPayload", 3, { after: "hang" });
      await killed("engine_getPayload", 5, "hang");
      await killed("engine_newPayload", 2, "hang");
      succeeded(await run(`${deriver} ${flags} --once`, { cwd }));
      hasAll(place);
    });
  });
}

/** Waits until the client has come to what it does not answer. */
function stuck(running: Running, toy: ToyExecutionClient, method: string): Promise<void> {
  return running.until(`${method} hangs`, () => toy.script.get(method)!.length === 0);
}

test("montana deriver --data-dir goes on where a client that crashed still has blocks", async () => {
  await inPlace(async (place) => {
    const { cwd, toy, deriver } = place;
    succeeded(await run(`${deriver} --data-dir data --once`, { cwd }));
    toy.lose(10);
    succeeded(await run(`${deriver} --data-dir data --once`, { cwd }));
    hasAll(place);

    toy.lose(COUNT);
    failed(
      await run(`${deriver} --data-dir data --once`, { cwd }),
      1,
      /Changed: Cannot go on with 127.*it has none of the blocks.*another --data-dir/,
    );
    await rm(join(cwd, "data"), { recursive: true });
    succeeded(await run(`${deriver} --data-dir data --once`, { cwd }));
    hasAll(place);
  });
});

test("montana deriver waits for a client that syncs, and ends in time with --once", async () => {
  await inPlace(async (place) => {
    const { cwd, toy, deriver } = place;
    const syncing = { result: { payloadStatus: statusOf("SYNCING"), payloadId: null } };
    toy.answer("engine_forkchoiceUpdated", syncing, syncing);
    const outcome = await run(`${deriver} --once`, { cwd });
    succeeded(outcome);
    match(
      outcome.stderr,
      /warning: the client answers SYNCING to engine_forkchoiceUpdated: asking again/,
    );
    hasAll(place);
  });
});

test("montana deriver leaves a batch out whose parent the client does not have", async () => {
  await inPlace(async (place) => {
    const { cwd, toy, deriver } = place;
    // Another gas limit makes other blocks: the second batch names a parent that is not there.
    const outcome = await run(`${deriver} --gas-limit 40000000 --once`, { cwd });
    equal(outcome.code, 75, outcome.stderr);
    match(outcome.stderr, /warning: dropped batch 1 .*its parent starts with/);
    equal(toy.content.length, 3);
    succeeded(await run(`${deriver} --gas-limit 40000000 --parent-check off --once`, { cwd }));
    deepEqual(toy.content, content(place.blocks));
  });
});

test("montana deriver says what is wrong with an execution client", async () => {
  await inPlace(async ({ cwd, toy, deriver }) => {
    await writeFile(join(cwd, "other.hex"), toHex(noise(32, 8)), { mode: 0o600 });
    failed(
      await run(deriver.replace("jwt.hex", "other.hex") + " --once", { cwd }),
      1,
      /Unsupported: .*it answered 401 to our token: both sides need the same --jwt-secret/,
    );
    await chmod(join(cwd, "other.hex"), 0o644);
    failed(await run(deriver.replace("jwt.hex", "other.hex") + " --once", { cwd }), 78, /TooOpen/);
    failed(
      await run(`deriver --l1 l1 --out ${toy.url} --once`, { cwd }),
      2,
      /Cannot use an execution client as --out without --jwt-secret/,
    );
    failed(
      await run("deriver --l1 l1 --out o.jsonl --jwt-secret jwt.hex --once", { cwd }),
      2,
      /Cannot use --jwt-secret with --out o\.jsonl: it is for an execution client/,
    );
    failed(
      await run(`${deriver} --first-block 5 --once`, { cwd }),
      1,
      /Changed: Cannot go on behind block 4: it is not there, its head is 0/,
    );
    const nobody =
      "deriver --l1 l1 --out http://127.0.0.1:1/key-in-path --jwt-secret jwt.hex --once";
    const outcome = await run(nobody, { cwd });
    failed(outcome, 75, /Unreachable: Cannot ask 127\.0\.0\.1:1/);
    ok(!outcome.stderr.includes("key-in-path"));
  });
  await using plain = await ToyExecutionClient.start({ secret: SECRET, isOp: false });
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), joinLines((await sequenced(3)).map(lineOf)));
    await writeFile(join(cwd, "jwt.hex"), toHex(SECRET), { mode: 0o600 });
    succeeded(await run(BATCHER, { cwd }));
    failed(
      await run(`deriver --l1 l1 --out ${plain.url} --jwt-secret jwt.hex --once`, { cwd }),
      1,
      /Unsupported: .*does not take `transactions` as a payload attribute, as op-geth and op-reth do/,
    );
  });
});
