import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { MemoryJobQueue } from "../../src/local/memory_job_queue.ts";
import type { LogEvent } from "../../src/ports.ts";
import { brokenRule } from "../../src/provers/settlement.ts";
import { merkleRootOf, sealSuperblock } from "../../src/provers/superblock_hash.ts";
import type { Transition } from "../../src/provers/superblock_json.ts";
import { SuperblockProver } from "../../src/provers/superblock_prover.ts";
import type { NetworkProofInput, SuperblockBlock } from "../../src/proving.ts";
import { systemClock as clock } from "../../src/runtime.ts";
import { serveExecuteProver } from "../../src/service/prover_api.ts";
import { ProofPipeline } from "../../src/superblock/proof_pipeline.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import { batchOf } from "../superblock/batches.ts";
import { FakeProver, FakePublisher, OUTPUTS } from "../superblock/proof_world.ts";
import { SimulatedClock } from "../simulation/clock.ts";

function block(chainId: bigint, number: bigint): SuperblockBlock {
  const hashOf = (at: bigint) => noise(32, Number(chainId * 1000n + at));
  return { chainId, slot: 1n, number, hash: hashOf(number), parentHash: hashOf(number - 1n) };
}

async function transition(): Promise<Transition> {
  const previous = await sealSuperblock(
    { number: 1n, slot: 639n, timestamp: 7680n, parentHash: new Uint8Array(32) },
    [],
  );
  const next = await sealSuperblock(
    { number: 2n, slot: 959n, timestamp: 11520n, parentHash: previous.hash },
    [block(7n, 5n), block(1001n, 9n), block(7n, 4n)],
  );
  const rollup = { rollupConfigHash: noise(32, 1), preRoot: noise(32, 2), postRoot: noise(32, 3) };
  return {
    previous,
    next,
    previousRollups: [rollup],
    rollups: [{ ...rollup, preRoot: rollup.postRoot, postRoot: noise(32, 4) }],
  };
}

test("a superblock's hash is that of superblock-prover", async () => {
  // keccak256 of 00…01 ‖ 00…02 ‖ zeros ‖ zeros, and the root of one leaf, by another implementation.
  const empty = await sealSuperblock(
    { number: 1n, slot: 2n, timestamp: 0n, parentHash: new Uint8Array(32) },
    [],
  );
  equal(toHex(empty.merkleRoot), `0x${"00".repeat(32)}`);
  const { keccak256 } = await import("viem");
  const bytes = `0x${"00".repeat(7)}01${"00".repeat(7)}02${"00".repeat(64)}` as const;
  equal(toHex(empty.hash), keccak256(bytes));
  const hash = (number: number) => toHex(noise(32, number)).slice(2);
  const leaf = (chain: string, seed: number, number: string) =>
    keccak256(`0x${chain}${hash(seed)}${number.padStart(16, "0")}`).slice(2);
  const leaves = [leaf("07", 7004, "04"), leaf("07", 7005, "05"), leaf("03e9", 1001009, "09")];
  const root = await merkleRootOf([block(7n, 4n), block(7n, 5n), block(1001n, 9n)]);
  const left = keccak256(`0x${leaves[0]}${leaves[1]}`).slice(2);
  const right = keccak256(`0x${leaves[2]}${leaves[2]}`).slice(2);
  equal(toHex(root), keccak256(`0x${left}${right}`));
});

test("each settlement rule is held", async () => {
  const whole = await transition();
  equal(await brokenRule(whole), undefined);
  const { previous, next } = whole;
  // As the bytes of the chains' ids are ordered: 03e9 before 07.
  deepEqual(next.blocks.map(({ chainId }) => chainId), [1001n, 7n, 7n]);
  const [first, second, third] = next.blocks;
  const swapped = [second!, first!, third!];
  const stranger = await sealSuperblock(next, [
    first!,
    second!,
    { ...third!, parentHash: noise(32, 99) },
  ]);
  const broken: readonly [RegExp, Partial<Transition>][] = [
    [/^number \+ 1: superblock 3/, { next: { ...next, number: 3n } }],
    [/^parent hash/, { next: { ...next, parentHash: noise(32, 9) } }],
    [/^parent hash/, { previous: { ...previous, slot: 638n } }],
    [/^slot: 638/, { next: { ...next, slot: 638n } }],
    [/^timestamp: 7680/, { next: { ...next, timestamp: 7680n } }],
    [/^merkle order: block 9/, { next: { ...next, blocks: swapped } }],
    [/^merkle root/, { next: { ...next, blocks: [first!] } }],
    [/^block parents: block 5/, { next: stranger }],
    [/^pre-root = last post-root/, { rollups: [{ ...whole.rollups[0]!, preRoot: noise(32, 8) }] }],
  ];
  for (const [why, change] of broken) {
    match(await brokenRule({ ...whole, ...change }) ?? "none", why);
  }
});

test("the execute prover marks what it answers as an execution check", async () => {
  const checked: unknown[] = [];
  const onChecked = (...each: unknown[]) => void checked.push(each);
  const server = await serveExecuteProver({ clock, onChecked }, { host: "127.0.0.1", port: 0 });
  try {
    const health = await (await fetch(`${server.name}/health`)).json();
    equal(health.status, "healthy");
    const prover = new SuperblockProver({ url: server.name, clock, proofType: "execute" });
    const { previous, next } = await transition();
    const input: NetworkProofInput = { previous, next, chainId: 1001n, aggregationVKey: {} };
    const settled = async (id: string) => {
      for (;;) {
        const status = await prover.status(id);
        if (status.state !== "pending") return status;
        await clock.sleep(1);
      }
    };
    const id = await prover.request(input);
    const isExecutionCheck = true;
    deepEqual(await settled(id), { state: "proved", proof: new Uint8Array(), isExecutionCheck });
    const { result } = await (await fetch(`${server.name}/proof/${id}`)).json();
    equal(result.proof, null);
    equal(result.execution_check.superblock_hash, toHex(next.hash));
    const wrong = await prover.request({ ...input, next: { ...next, number: 7n } });
    const failed = await settled(wrong);
    match(failed.state === "failed" ? failed.reason : "", /execution check failed, number \+ 1/);
    deepEqual(await prover.status("unknown"), { state: "unknown" });
    deepEqual(checked[0], [2n, undefined]);

    const groth16 = new SuperblockProver({ url: server.name, clock });
    const refusal = await groth16.request(input).catch((error) => error);
    match(refusal.message, /proves nothing/);
    const nonsense = await fetch(`${server.name}/proof`, { method: "POST", body: "{}" });
    equal(nonsense.status, 422);
    match((await nonsense.json()).error, /prev_superblock/);
    equal((await fetch(`${server.name}/elsewhere`)).status, 404);
  } finally {
    await server.close();
  }
});

test("a pipeline is told that its network aggregation was an execution check", async () => {
  const server = await serveExecuteProver({ clock }, { host: "127.0.0.1", port: 0 });
  try {
    const queue = new MemoryJobQueue(clock);
    const events: LogEvent[] = [];
    const publisher = new FakePublisher();
    const prover = new FakeProver(new SimulatedClock(0));
    prover.provingMs = 0;
    const pipeline = new ProofPipeline({
      queue,
      prover,
      networkProver: new SuperblockProver({ url: server.name, clock, proofType: "execute" }),
      publisher,
      outputs: OUTPUTS,
      rollup: {
        rollupConfigHash: noise(32, 1),
        multiBlockVKey: noise(32, 2),
        proverAddress: noise(20, 3),
        aggregationVKey: {},
      },
      clock,
      log: (event) => void events.push(event),
    }, { pollIntervalMs: 2 });
    for (const number of [1n, 2n, 3n]) await pipeline.enqueue(batchOf(number));
    const end = new AbortController();
    const running = pipeline.run(end.signal);
    while (publisher.accepted.length < 3) await clock.sleep(2);
    end.abort();
    await running;
    const stages = events.filter((each) => each.event === "stage_completed");
    const checks = stages.filter(({ isExecutionCheck }) => isExecutionCheck);
    deepEqual(checks.map(({ stage }) => stage), Array(3).fill("network_agg"));
    equal(events.some(({ event }) => event === "job_retry"), false);
  } finally {
    await server.close();
  }
});
