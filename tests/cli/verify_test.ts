import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { RpcBlockSource } from "../../src/l2/rpc_block_source.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { systemClock, systemRandom } from "../../src/runtime.ts";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { withNode } from "../l2/l2_server.ts";
import { l1AttributesDeposit, ScriptedL2, transfers } from "../l2/scripted_l2.ts";
import { joinLines, lineOf } from "./files.ts";
import { failed, hasNoTrace, type Outcome, run, start, succeeded, textOf } from "./montana.ts";

const signed = await transfers(6);
const deposit = l1AttributesDeposit(9n, new Uint8Array(32).fill(9));
/** A deposit first, as on the OP stack; then up to four transfers. */
const some = (number: bigint) => [deposit, ...signed.slice(0, Number(number % 5n))];

/** Block 7 holds one transfer in the place of another. */
const otherInSeven = (number: bigint) =>
  number === 7n ? [deposit, signed[0]!, signed[5]!] : some(number);

const BATCHER = "batcher --l1 l1 --compressor none --max-blocks-per-batch 8 --once";
const VERIFY = "verify --l1 l1 --log-level warn";

/** All blocks of a node, as a batcher takes them. */
async function blocksOf(node: ScriptedL2): Promise<L2Block[]> {
  const source = new RpcBlockSource({
    endpoints: [node],
    l1: new MemoryL1(),
    clock: systemClock,
    random: systemRandom,
  });
  const blocks: L2Block[] = [];
  while (!source.isExhausted) blocks.push(...await source.pendingBlocks());
  await source.close();
  return blocks;
}

/** Posts blocks that know neither numbers nor hashes. */
async function postWithoutNumbers(cwd: string, blocks: readonly L2Block[]): Promise<void> {
  const lines = blocks.map(({ timestamp, transactions }) => lineOf({ timestamp, transactions }));
  await writeFile(join(cwd, "blocks.jsonl"), joinLines(lines));
  succeeded(await run(`${BATCHER} --l2 blocks.jsonl`, { cwd }));
}

function answered(outcome: Outcome, code: number) {
  equal(outcome.code, code, outcome.stderr);
  hasNoTrace(outcome);
  return JSON.parse(textOf(outcome));
}

/** Nodes whose chains were posted from the first of them, and compared with `l2`. */
async function posted(
  source: ScriptedL2,
  action: (verify: (l2: ScriptedL2, flags?: string) => Promise<Outcome>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    await withNode(source, async (url) => {
      succeeded(await run(`${BATCHER} --l2 ${url}`, { cwd }));
    });
    await action(async (l2, flags = "") => {
      let outcome: Outcome | undefined;
      await withNode(l2, async (url) => {
        outcome = await run(`${VERIFY} --l2 ${url} ${flags}`, { cwd });
      });
      return outcome!;
    });
  });
}

test("montana verify finds an L2 equal to what was posted from it, as a whole and in part", async () => {
  await posted(new ScriptedL2(30, { transactions: some }), async (verify) => {
    const l2 = new ScriptedL2(40, { transactions: some });
    match(succeeded(await verify(l2)), /^blocks 1 to 30: 30 blocks with 60 transactions the same/);
    const { verdict, from, to, same, firstDifference } = answered(
      await verify(l2, "--from 5 --to 21 --json"),
      0,
    );
    deepEqual([verdict, from, to, same, firstDifference], ["same", "5", "21", 17, null]);
  });
});

test("montana verify names the transaction that is another one, and says how much differs", async () => {
  await posted(new ScriptedL2(30, { transactions: some }), async (verify) => {
    const other = new ScriptedL2(30, { transactions: otherInSeven });
    const outcome = await verify(other);
    equal(outcome.code, 4, outcome.stderr);
    const gave = signed[1]!["hash"];
    const has = signed[5]!["hash"];
    // Block 7, and those behind it that begin a batch: their parents are others.
    match(
      textOf(outcome),
      /^blocks 1 to 30: 26 blocks .* the same on L1 and L2, 4 blocks are not$/m,
    );
    match(
      textOf(outcome),
      new RegExp(
        `^first: block 7, transaction 1: L1 gives ${gave} \\(\\d+ bytes\\), L2 has ${has} ` +
          `\\(\\d+ bytes\\) \\(batch 0 in L1 block \\d+\\)$`,
        "m",
      ),
    );
    const { verdict, different, firstDifference } = answered(await verify(other, "--json"), 4);
    const { kind, block, transaction, batch, l1, l2 } = firstDifference;
    deepEqual([verdict, different, kind], ["different", 4, "transaction"]);
    deepEqual([block, transaction, batch, l1, l2], ["7", 1, "0", gave, has]);
    // All before it are the same.
    equal(answered(await verify(other, "--to 6 --json"), 0).same, 6);
  });
});

test("montana verify names the block that L1 does not give", async () => {
  const node = new ScriptedL2(20, { transactions: some });
  const blocks = await blocksOf(node);
  await withDirectory(async (cwd) => {
    await postWithoutNumbers(cwd, blocks.filter(({ number }) => number !== 5n));
    await withNode(node, async (url) => {
      const answer = answered(await run(`${VERIFY} --l2 ${url} --json`, { cwd }), 4);
      const { same, different, firstDifference: { kind, block, text } } = answer;
      deepEqual([same, different, kind, block], [19, 1, "not on L1", "5"]);
      match(
        text,
        /^block 5 with 0 transactions \(timestamp \d+\): L1 gives blocks behind it, and not/,
      );
      // Without hashes, the others are found by their timestamps alone.
      equal(answered(await run(`${VERIFY} --l2 ${url} --from 6 --json`, { cwd }), 0).same, 15);
    });
  });
});

test("montana verify names the block that L2 does not have", async () => {
  const node = new ScriptedL2(20, { transactions: some });
  const blocks = await blocksOf(node);
  await withDirectory(async (cwd) => {
    const more = { timestamp: blocks[8]!.timestamp + 1n, transactions: [Uint8Array.of(2, 3)] };
    await postWithoutNumbers(cwd, blocks.toSpliced(9, 0, more));
    await withNode(node, async (url) => {
      const answer = answered(await run(`${VERIFY} --l2 ${url} --json`, { cwd }), 4);
      const { same, different, firstDifference: { kind, block, batch, text } } = answer;
      deepEqual([same, different, kind, block, batch], [20, 1, "not on L2", "10", "1"]);
      match(text, /^before block 10: L1 gives a block of timestamp \d+ with 1 transaction that L2/);
    });
  });
});

test("montana verify ends with 75 where L2 or L1 ends too early, and all else is the same", async () => {
  await posted(new ScriptedL2(30, { transactions: some }), async (verify) => {
    const behind = new ScriptedL2(25, { transactions: some });
    const l2 = answered(await verify(behind, "--json"), 75);
    deepEqual([l2.verdict, l2.same, l2.reason], [
      "incomplete",
      25,
      "L2 has none after block 25 yet, and L1 gives more",
    ]);
    failed(
      await verify(behind, "--from 26"),
      75,
      /from block 26 on: the unsafe head of .* block 25/,
    );

    const ahead = new ScriptedL2(50, { transactions: some });
    const l1 = await verify(ahead, "--to 40");
    equal(l1.code, 75, l1.stderr);
    match(textOf(l1), /the same on L1 and L2; L1 gives none after block 30 yet, of 40$/m);
    const beyond = await verify(ahead, "--from 35");
    equal(beyond.code, 75, beyond.stderr);
    match(textOf(beyond), /^nothing was compared; L1 gives 30 blocks, all before block 35$/m);
  });
});

test("montana verify tells another chain", async () => {
  await posted(new ScriptedL2(20, { transactions: some }), async (verify) => {
    const other = new ScriptedL2(20, { transactions: some });
    other.reorganise(20);
    const { different, firstDifference } = answered(await verify(other, "--json"), 4);
    // Block 1 stands on the same genesis: what differs is what two more batches begin behind.
    deepEqual([different, firstDifference.kind, firstDifference.block], [2, "parent", "9"]);
    equal(firstDifference.l2, toHex(other.hash(8n)));
    match(firstDifference.text, /it may be another chain, or another way of it/);
    const chain = new ScriptedL2(20, { transactions: some, chainId: 5 });
    failed(await verify(chain, "--l2-chain-id 901"), 5, /its chain id is 5, need 901/);
  });
});

test("montana verify waits for no L1 or L2 that is not there, and refuses what cannot be", async () => {
  await withDirectory(async (cwd) => {
    await withNode(new ScriptedL2(3), async (url) => {
      const cases: [string, number, RegExp][] = [
        [`--l2 ${url} --from 5 --to 4`, 2, /Cannot use --from 5 with --to 4/],
        [`--l2 ${url} --from x`, 2, /Cannot use --from "x": need a whole number/],
        ["--l2 blocks.jsonl", 2, /Cannot verify against --l2 blocks.jsonl: need the URL/],
        [`--l2 ${url}`, 1, /NotFound: .*l1/],
        ["--l2 http://127.0.0.1:1", 75, /Unreachable/],
        ["--l2 http://node:99999", 78, /Cannot use --l2: need http:\/\/HOST or https:\/\/HOST/],
      ];
      for (const [flags, code, why] of cases) {
        failed(await run(`${VERIFY} ${flags}`, { cwd }), code, why);
      }
    });
    // What a node did stands before what came of it.
    const { stderr } = await run(`${VERIFY} --l2 http://127.0.0.1:1`, { cwd });
    match(stderr, /127\.0\.0\.1:1 failed: [^]*\nerror: Unreachable/);
  });
});

test("montana verify ends at a signal, and says how far it came", async () => {
  const node = new ScriptedL2(30, { transactions: some });
  await withDirectory((cwd) =>
    withNode(node, async (url) => {
      succeeded(await run(`${BATCHER} --l2 ${url}`, { cwd }));
      let release = () => {};
      const released = new Promise<void>((resolve) => release = resolve);
      let isHeld = false;
      node.answer = (_, [tag], answer) => {
        if (tag !== "0x9") return answer;
        isHeld = true;
        return released.then(() => answer);
      };
      await using verify = start(`${VERIFY} --l2 ${url} --from 1`, { cwd });
      await verify.until("it asks", () => isHeld);
      verify.send("SIGTERM");
      await verify.untilSaid("SIGTERM: ending after this batch");
      release();
      const outcome = await verify.ended;
      equal(outcome.code, 3, outcome.stderr);
      match(textOf(outcome), /^blocks 1 to \d+: \d+ blocks .*; it was stopped$/m);
    })
  );
});
