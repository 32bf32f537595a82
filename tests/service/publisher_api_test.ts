import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { SharedPublisher } from "../../src/provers/shared_publisher.ts";
import type { ProofSubmission } from "../../src/proving.ts";
import { systemClock as clock } from "../../src/runtime.ts";
import { serveExecuteProver } from "../../src/service/prover_api.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";

const SUBMISSION: ProofSubmission = {
  superblockNumber: 5n,
  superblockHash: noise(32, 1),
  chainId: 1001n,
  startBlock: 20n,
  outputs: {
    l1Head: noise(32, 2),
    l2PreRoot: noise(32, 3),
    l2PostRoot: noise(32, 4),
    l2BlockNumber: 24n,
    rollupConfigHash: noise(32, 5),
    multiBlockVKey: noise(32, 6),
    proverAddress: noise(20, 7),
  },
  aggregationVKey: { vkey: "0x01" },
  proof: Uint8Array.of(1, 2, 3),
};

function standInTest(
  name: string,
  check: (parts: {
    readonly publisher: SharedPublisher;
    readonly url: string;
    readonly accepted: unknown[];
  }) => Promise<void>,
): void {
  test(name, async () => {
    const accepted: unknown[] = [];
    const server = await serveExecuteProver({
      clock,
      publisher: {
        requiredChainIds: [1002n, 1001n],
        onAccepted: (...each) => void accepted.push(each),
      },
    }, { host: "127.0.0.1", port: 0 });
    try {
      const publisher = new SharedPublisher({ url: server.name, clock });
      await check({ publisher, url: server.name, accepted });
    } finally {
      await server.close();
    }
  });
}

async function statusOf(url: string, hash: Uint8Array) {
  return await (await fetch(`${url}/v1/proofs/status/${toHex(hash)}`)).json();
}

standInTest(
  "The stand-in takes a proof once, and is queued when all chains have come",
  async (parts) => {
    const { publisher, url, accepted } = parts;
    const { superblockHash } = SUBMISSION;
    equal(await publisher.hasReceived(superblockHash, 1001n), false);
    await publisher.submit(SUBMISSION);
    const [, first] = Object.entries((await statusOf(url, superblockHash)).received)[0]!;
    await publisher.submit(SUBMISSION);
    equal(await publisher.hasReceived(superblockHash, 1001n), true);
    const status = await statusOf(url, superblockHash);
    deepEqual(status, {
      superblock_hash: toHex(superblockHash),
      superblock_number: 5,
      required_chain_ids: [1001, 1002],
      received: { "1001": first },
      state: "collecting",
      job_id: "",
      stand_in: true,
    });
    await publisher.submit({ ...SUBMISSION, chainId: 1002n, isExecutionCheck: true });
    const whole = await statusOf(url, superblockHash);
    equal(whole.state, "queued");
    // An execution check is handed in without a proof.
    deepEqual(accepted, [[5n, 1001n, true], [5n, 1002n, false]]);
  },
);

standInTest(
  "Defect 16: what was handed in for one superblock counts for no other",
  async (parts) => {
    const { publisher, url } = parts;
    await publisher.submit(SUBMISSION);
    const other = {
      ...SUBMISSION,
      superblockNumber: 6n,
      superblockHash: noise(32, 9),
      chainId: 1002n,
    };
    await publisher.submit(other);
    for (const { superblockHash, chainId } of [SUBMISSION, other]) {
      const { state, received, required_chain_ids } = await statusOf(url, superblockHash);
      deepEqual(Object.keys(received), [`${chainId}`]);
      // Those that happened to come are not those that must.
      deepEqual([state, required_chain_ids], ["collecting", [1001, 1002]]);
    }
    await rejects(publisher.submit({ ...SUBMISSION, superblockNumber: 7n }), {
      code: "Refused",
      message: /submit_failed, .* was handed in as superblock 5, not 7/,
    });
  },
);

standInTest(
  "Defect 17: a chain that takes no part counts for nothing; the order is that of ids",
  async (parts) => {
    const { publisher, url, accepted } = parts;
    await rejects(publisher.submit({ ...SUBMISSION, chainId: 7n }), {
      code: "Refused",
      message: /submit_failed, chain 7 is none of those that take part: 1002, 1001/,
    });
    equal(await publisher.hasReceived(SUBMISSION.superblockHash, 7n), false);
    deepEqual(accepted, []);
    for (const chainId of [1002n, 1001n]) await publisher.submit({ ...SUBMISSION, chainId });
    const { state, received } = await statusOf(url, SUBMISSION.superblockHash);
    deepEqual([state, Object.keys(received)], ["queued", ["1001", "1002"]]);
  },
);

standInTest(
  "The stand-in refuses what the publisher refuses, by its codes",
  async ({ publisher, url }) => {
    const wrong = [
      [{ superblockHash: new Uint8Array(32) }, "invalid_superblock_hash"],
      [{ superblockHash: new Uint8Array(31) }, "invalid_superblock_hash"],
      [{ outputs: { ...SUBMISSION.outputs, l1Head: new Uint8Array(3) } }, "invalid_l1_head"],
      [
        { outputs: { ...SUBMISSION.outputs, l2PreRoot: new Uint8Array(3) } },
        "invalid_aggregation_outputs",
      ],
      [
        { outputs: { ...SUBMISSION.outputs, proverAddress: new Uint8Array(3) } },
        "invalid_aggregation_outputs",
      ],
      [{ startBlock: 25n }, "invalid_l2_start_block"],
      [{ aggregationVKey: undefined }, "missing_agg_vk"],
    ] as const;
    for (const [change, code] of wrong) {
      await rejects(publisher.submit({ ...SUBMISSION, ...change }), {
        code: "Refused",
        message: new RegExp(`it answered 400: ${code}, `),
      });
    }
    const post = (body: string) => fetch(`${url}/v1/proofs/op-succinct`, { method: "POST", body });
    const { error } = await (await post("{")).json();
    equal(error.code, "invalid_json");
    match(error.timestamp, /^20\d\d-/);
    match(error.request_id, /^[\da-f-]{36}$/);
    const { l1_head: _, ...rest } = { l1_head: 0, superblock_hash: toHex(noise(32, 1)) };
    equal((await (await post(JSON.stringify(rest))).json()).error.code, "invalid_l1_head");
    const missing = await fetch(`${url}/v1/proofs/status/0x00`);
    deepEqual([missing.status, (await missing.json()).error.code], [404, "not_found"]);
  },
);
