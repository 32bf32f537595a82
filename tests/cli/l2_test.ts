import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { SeededRandom } from "../../src/local/memory.ts";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { type Fault, startFaultProxy } from "../l1/fault_proxy.ts";
import { chainOf, oneOfEachType, send, signedBlob, signedTransfer } from "../l2/anvil_l2.ts";
import { isWhole } from "./crash.ts";
import { linesOf } from "./files.ts";
import { failed, run, start, succeeded } from "./montana.ts";

const skip = skipWithoutAnvil("montana batcher from a node");
const CHAIN = 901;
const ROUNDS = isWhole ? 25 : 4;
const BATCHER =
  "--l1 l1 --max-blocks-per-batch 7 --compressor none --poll-interval 10ms --min-batch-bytes 0";
const DERIVER = "deriver --l1 l1 --out derived.jsonl --once";

/** Timestamp and transactions of each block that was derived. */
async function derivedIn(cwd: string): Promise<string[]> {
  succeeded(await run(DERIVER, { cwd }));
  const lines = linesOf(await readFile(join(cwd, "derived.jsonl"), "utf8"));
  return lines.map((line) => {
    const { timestamp, transactions } = JSON.parse(line);
    return [timestamp, ...transactions].join();
  });
}

async function hashOf(raw: string): Promise<string> {
  const { keccak256 } = await import("viem");
  return keccak256(raw as `0x${string}`);
}

test("montana batcher takes all types of transactions from a node, as they were signed", {
  skip,
}, async () => {
  await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
  const signed = [
    ...await oneOfEachType(CHAIN, 0),
    // The authorisation took a nonce as well.
    ...await Promise.all([7, 8, 9].map((nonce) => signedTransfer(CHAIN, nonce))),
  ];
  const raws = new Map<string, string>();
  for (const { raw } of signed) raws.set(await hashOf(raw), raw);
  await l2.mine(2);
  await send(l2, signed.slice(0, 4));
  await l2.mine();
  await send(l2, signed.slice(4, 6));
  await l2.mine();
  await send(l2, signed.slice(6));
  await l2.mine(7);

  await withDirectory(async (cwd) => {
    const batcher = `batcher --l2 ${l2.url} ${BATCHER} --once`;
    const posted = await run(`${batcher} --json`, { cwd });
    const { batches_submitted, blocks_processed, deposits_left_out } = JSON.parse(
      succeeded(posted),
    );
    deepEqual([batches_submitted, blocks_processed, deposits_left_out], [2, 11, 0]);
    const chain = await chainOf(l2, raws);
    deepEqual(await derivedIn(cwd), chain);
    equal(chain.join().split("0x").length - 1, signed.length, "not all were in blocks");

    // From L1 alone: it knows what stands there.
    await l2.mine(5);
    const more = await run(batcher, { cwd });
    match(succeeded(more), /^posted 1 batch, 5 blocks/);
    match(more.stderr, /^going on with batch 2, after 11 blocks$/m);
    match(succeeded(await run(batcher, { cwd })), /^posted 0 batches, 0 blocks/);
    deepEqual(await derivedIn(cwd), await chainOf(l2, raws));

    // What it makes of blobs is no root: that is told, and another word for it taken.
    const blob = await signedBlob(CHAIN, 10);
    raws.set(await hashOf(blob.raw), blob.raw);
    await send(l2, [blob]);
    await l2.mine();
    const refused = await run(batcher, { cwd });
    failed(refused, 75, /Connection: Cannot use L2 block 17 of .*: its transactions root is 0x/);
    const trusting = await run(`${batcher} --l2-trust-hashes`, { cwd });
    match(succeeded(trusting), /^posted 1 batch, 1 block/);
    deepEqual(await derivedIn(cwd), await chainOf(l2, raws));
  });
});

test("montana batcher follows a node, goes on by its journal, and steps back with the L2", {
  skip,
}, async () => {
  await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
  await withDirectory(async (cwd) => {
    const flags = `${BATCHER} --data-dir data --batch-interval 1h`;
    const batcher = `batcher --l2 ${l2.url} ${flags}`;
    await l2.mine(10);
    {
      // Seven are posted, three wait for more.
      await using running = start(batcher, { cwd });
      await running.untilSaid("batch 0: 7 blocks");
      await running.untilSaid(/took|batch 0/);
      running.send("SIGKILL");
      await running.ended;
    }
    // While nobody looks, two of the three that wait become others.
    await l2.rpc("anvil_reorg", [2, []]);
    await l2.mine(4);
    {
      await using running = start(`${batcher} --log-level debug`, { cwd });
      await running.untilSaid("batch 1: 7 blocks");
      // And while it looks: three that wait become others.
      await l2.mine(5);
      await running.untilSaid("took 5 blocks");
      await l2.rpc("anvil_reorg", [3, []]);
      await running.untilSaid(
        "L2 was reorganised above block 16: 3 blocks taken before are replaced",
      );
      await l2.mine(2);
      await running.untilSaid("batch 2: 7 blocks");
      running.send("SIGTERM");
      succeeded(await running.ended);
    }
    deepEqual(await derivedIn(cwd), await chainOf(l2, new Map()));

    // What is posted cannot be replaced: it says which blocks, and stops.
    await l2.rpc("anvil_reorg", [9, []]);
    await l2.mine(2);
    const outcome = await run(`${batcher} --once`, { cwd });
    failed(outcome, 5, /L2 no longer has block 21, which sealed batches up to 2 hold/);
  });
});

for (const flags of ["", "--data-dir data"]) {
  const how = flags === "" ? "without --data-dir" : `with ${flags}`;

  test(`montana batcher from a node loses and doubles nothing where it is killed, ${how}`, {
    skip,
  }, async () => {
    await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
    const raws = new Map<string, string>();
    const random = new SeededRandom(5);
    await withDirectory(async (cwd) => {
      const batcher = `batcher --l2 ${l2.url} ${BATCHER} ${flags}`;
      let nonce = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const some = await Promise.all([0, 1, 2].map((at) => signedTransfer(CHAIN, nonce + at)));
        nonce += some.length;
        for (const { raw } of some) raws.set(await hashOf(raw), raw);
        await send(l2, some);
        await l2.mine(40);
        await using running = start(batcher, { cwd });
        await running.untilSaid(/batch \d+:/);
        await new Promise((resolve) => setTimeout(resolve, 60 * random.next()));
        running.send("SIGKILL");
        equal((await running.ended).code, null);
      }
      succeeded(await run(`${batcher} --once`, { cwd }));
      deepEqual(await derivedIn(cwd), await chainOf(l2, raws));
      equal(raws.size, 3 * ROUNDS);
    });
  });
}

test("montana batcher waits for a node that is down, and says so", { skip }, async () => {
  await withDirectory(async (cwd) => {
    let url: string;
    {
      await using gone = await startAnvil({ noMining: true, chainId: CHAIN });
      url = gone.url;
    }
    await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
    await l2.mine(7);
    const failedOver = await run(`batcher --l2 ${url} --l2 ${l2.url} ${BATCHER} --once`, { cwd });
    match(succeeded(failedOver), /^posted 1 batch, 7 blocks/);
    match(failedOver.stderr, new RegExp(`${new URL(url).host}.*the connection was refused`));

    await using proxy = await startFaultProxy(l2.url);
    proxy.always("*", { fault: "hang up" });
    await using running = start(`batcher --l2 ${proxy.url} ${BATCHER}`, { cwd });
    await running.untilSaid(/waiting for L2: Connection: .*the connection broke/);
    proxy.heal();
    await l2.mine(7);
    await running.untilSaid("batch 1: 7 blocks");
    // While it runs it tries again as well.
    proxy.always("*", { fault: "hang up" });
    await running.untilSaid(/warning: Connection: .*the connection broke.*trying again/);
    proxy.heal();
    await l2.mine(7);
    await running.untilSaid("batch 2: 7 blocks");
    running.send("SIGTERM");
    succeeded(await running.ended);
  });
});

test("montana batcher refuses another chain, and flags that are for nodes", { skip }, async () => {
  await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
  await withDirectory(async (cwd) => {
    const batcher = `batcher --l2 ${l2.url} ${BATCHER} --once`;
    failed(await run(`${batcher} --l2-chain-id 5`, { cwd }), 5, /chain/);
    const wrong: readonly (readonly [string, RegExp])[] = [
      ["--l2 blocks.jsonl --l2-head safe", /Cannot use --l2-head with an L2 in a file/],
      ["--l2 blocks.jsonl --start-block 4", /Cannot use --start-block with an L2 in a file/],
      [`--l2 blocks.jsonl --l2 ${l2.url}`, /Cannot use --l2 blocks.jsonl beside a URL/],
      [
        "--l2 localhost:8545",
        /a node is named http:\/\/localhost:8545, a file or directory \.\/localhost:8545/,
      ],
      ["--l2 a.jsonl --l2 b.jsonl", /Cannot use 2 --l2: need one file, or URLs of nodes/],
      [
        `--l2 ${l2.url} --l2-head newest`,
        /--l2-head "newest": need one of unsafe, safe, finalized/,
      ],
      [`--l2 ${l2.url} --start-block x`, /--start-block "x": need a whole number/],
      ["--l2 env:NOT_THERE", /Cannot use --l2 env:NOT_THERE: there is no such environment/],
      ["--l2 ftp://127.0.0.1/secretsecret", /need http:\/\/HOST/],
    ];
    for (const [flags, why] of wrong) {
      const outcome = await run(`batcher ${flags} ${BATCHER} --once`, { cwd });
      ok(outcome.code === 2 || outcome.code === 78, outcome.stderr);
      match(outcome.stderr, why);
    }
    const above = await run(`${batcher} --start-block 999 --l2-chain-id 0x${CHAIN.toString(16)}`, {
      cwd,
    });
    match(succeeded(above), /^posted 0 batches/);
    match(above.stderr, /^took no block: --start-block 999 is above the unsafe head, block 0$/m);
    const bounded = `--start-block 3 --l2-head finalized --l2-chain-id ${CHAIN}`;
    await l2.mine(70);
    // Final is what lies 64 blocks deep.
    match(succeeded(await run(`${batcher} ${bounded}`, { cwd })), /^posted 1 batch, 4 blocks/);
  });
});

test("what the URL of an L2 holds besides its host is shown and kept nowhere", {
  skip,
}, async () => {
  await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
  await l2.mine(3);
  await using proxy = await startFaultProxy(l2.url);
  const secret = "zq7xk";
  const url = `${proxy.url.replace("://", `://${secret}-user:${secret}-pass@`)}` +
    `/v3/${secret}-path?apikey=${secret}-query`;
  const faults: readonly (Fault | undefined)[] = [
    { fault: "error", message: `cannot serve ${url} with ${secret}-path`, code: -32000 },
    { fault: "answer", result: `<html>${url.length}</html>` },
    { fault: "hang up" },
    { fault: "status", status: 403 },
    undefined,
  ];
  await withDirectory(async (cwd) => {
    const flags = [...`${BATCHER} --data-dir data --once --log-level debug`.split(" ")];
    let said = "";
    for (const fault of faults) {
      proxy.always("*", fault);
      const args = ["batcher", "--l2", "env:L2_URL", ...flags];
      const outcome = await run(args, { cwd, env: { L2_URL: url } });
      equal(outcome.code === 0, fault === undefined, outcome.stderr);
      said += outcome.stderr + new TextDecoder().decode(outcome.stdout);
    }
    match(said, new RegExp(new URL(url).host));
    equal(said.includes(secret), false, said);
    const files = await readdir(cwd, { recursive: true, withFileTypes: true });
    for (const file of files.filter((each) => each.isFile())) {
      const text = await readFile(join(file.parentPath, file.name), "latin1");
      equal(text.includes(secret), false, file.name);
    }
  });
});

test("montana doctor looks at nodes of L2, and into their newest blocks", { skip }, async () => {
  await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
  await send(l2, await Promise.all([0, 1].map((nonce) => signedTransfer(CHAIN, nonce))));
  await l2.mine(70);
  const findings = async (flags: string, code: number) => {
    const outcome = await run(`doctor --json ${flags}`);
    equal(outcome.code, code, outcome.stderr);
    const all = JSON.parse(new TextDecoder().decode(outcome.stdout));
    return all.filter(({ check }: { check: string }) => check.startsWith("l2"));
  };
  const [good] = await findings(`--l2 ${l2.url}`, 0);
  equal(good.check, `l2 ${new URL(l2.url).host}`);
  equal(
    good.found,
    "chain 901, unsafe 70, safe 38, finalized 6; the last 8 blocks with 0 transactions held " +
      "against their hashes",
  );
  const [down, other] = await findings(
    `--l2 http://127.0.0.1:1 --l2 ${l2.url} --l2-chain-id 5`,
    4,
  );
  match(down.found, /^Unreachable: /);
  match(other.found, /its chain id is 901, need 5/);
  await using proxy = await startFaultProxy(l2.url);
  proxy.rewrite(
    "eth_getBlockByNumber",
    (block, [, isWhole]) => isWhole ? { ...block, gasUsed: "0x7" } : block,
  );
  const [liar] = await findings(`--l2 ${proxy.url}`, 4);
  match(liar.found, /Cannot use L2 block 63 of .*: its hash is 0x.*, its header makes 0x/);
  match(liar.fix, /ask another node/);
});
