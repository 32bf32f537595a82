import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { OutputRoots } from "../../src/l2/output_roots.ts";
import { aggregated, reportBytes, reportOf } from "../../src/provers/execution_check.ts";
import { OpSuccinctProver } from "../../src/provers/op_succinct.ts";
import { RangeChecker } from "../../src/provers/range_check.ts";
import { L2OutputSource } from "../../src/provers/rpc_outputs.ts";
import { brokenRule } from "../../src/provers/settlement.ts";
import { sealSuperblock } from "../../src/provers/superblock_hash.ts";
import { systemClock as clock, systemRandom as random } from "../../src/runtime.ts";
import { serveExecuteProver } from "../../src/service/prover_api.ts";
import { RangeProverApi } from "../../src/service/range_prover_api.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import { type Anvil, skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";

const skip = skipWithoutAnvil("execution checks of blocks of anvil");
const PASSER = "0x4200000000000000000000000000000000000016";

/** Blocks 1 to 8, with a message passer that has something in its storage from block 4 on. */
async function startL2(): Promise<Anvil> {
  const anvil = await startAnvil({ noMining: true, chainId: 1001 });
  await anvil.mine(3);
  const word = (value: number) => `0x${`${value}`.padStart(64, "0")}`;
  await anvil.rpc("anvil_setStorageAt", [PASSER, word(1), word(5)]);
  await anvil.rpc("anvil_setCode", [PASSER, "0x6001"]);
  await anvil.mine(5);
  return anvil;
}

function rpcOf({ url }: Anvil): JsonRpc {
  return new HttpJsonRpc({ url, clock });
}

/** A node whose answers are changed on the way. */
function lying(
  rpc: JsonRpc,
  lie: (method: string, params: readonly unknown[], answer: Record<string, unknown>) => unknown,
): JsonRpc {
  return {
    name: rpc.name,
    async request(method, params) {
      const answer = await rpc.request(method, params);
      if (typeof answer !== "object" || answer === null) return answer;
      return lie(method, params, answer as Record<string, unknown>);
    },
  };
}

test(
  "An output root is keccak of state root, message passer and block hash",
  { skip },
  async () => {
    await using anvil = await startL2();
    const rpc = rpcOf(anvil);
    const { concat, keccak256 } = await import("viem");
    const roots = new OutputRoots({ l2: rpc });
    for (const number of [2n, 6n]) {
      const tag = `0x${number.toString(16)}`;
      const { stateRoot, hash } = await anvil.rpc("eth_getBlockByNumber", [tag, false]) as {
        stateRoot: `0x${string}`;
        hash: `0x${string}`;
      };
      // Without an account it is the root of an empty trie.
      const { storageHash } = await anvil.rpc("eth_getProof", [PASSER, [], tag]) as {
        storageHash: `0x${string}`;
      };
      const expected = keccak256(concat([`0x${"00".repeat(32)}`, stateRoot, storageHash, hash]));
      const made = await roots.at(number);
      deepEqual([made.number, toHex(made.hash), toHex(made.outputRoot)], [number, hash, expected]);
      const source = new L2OutputSource({ roots, l1: rpc });
      equal(toHex(await source.outputRoot(number)), expected);
      equal((await source.l1Head()).length, 32);
    }
    await rejects(roots.at(99n), {
      isRetryable: true,
      message: /output root of L2 block 99 of .*: it has none/,
    });
  },
);

test("An output root is not made on a node's word alone", { skip }, async () => {
  await using anvil = await startL2();
  const rpc = rpcOf(anvil);
  const seventh = await rpc.request("eth_getBlockByNumber", ["0x7", false]);
  const lies: readonly [RegExp, Parameters<typeof lying>[1]][] = [
    [
      /header .*hash|hash .*header/,
      (method, _, answer) =>
        method === "eth_getBlockByNumber" ? { ...answer, stateRoot: toHex(noise(32, 1)) } : answer,
    ],
    [
      /accountProof: node 0 is not the one/,
      (method, _, answer) =>
        method === "eth_getProof"
          ? { ...answer, accountProof: ["0xc0", ...answer.accountProof as string[]] }
          : answer,
    ],
    [
      /accountProof: it ends after \d+ nodes/,
      (method, _, answer) =>
        method === "eth_getProof"
          ? { ...answer, accountProof: (answer.accountProof as string[]).slice(0, -1) }
          : answer,
    ],
    [
      /it is block 7/,
      (method, _, answer) => method === "eth_getBlockByNumber" ? seventh : answer,
    ],
  ];
  for (const [why, lie] of lies) {
    const l2 = lying(
      rpc,
      (method, params, answer) => lie(method, params, answer),
    );
    await rejects(new OutputRoots({ l2 }).at(6n), { code: "Invalid", message: why });
  }
  const storageHash = toHex(noise(32, 2));
  const l2 = lying(rpc, (_, __, answer) => ({ ...answer, storageHash }));
  const honest = (await new OutputRoots({ l2: rpc }).at(6n)).outputRoot;
  deepEqual((await new OutputRoots({ l2 }).at(6n)).outputRoot, honest, "it is read from the proof");
  const trusting = new OutputRoots({ l2, trustsHashes: true });
  equal(toHex((await trusting.at(6n)).outputRoot) === toHex(honest), false);
});

test("Blocks of a range are held against their hashes and each other", { skip }, async () => {
  await using anvil = await startL2();
  const rpc = rpcOf(anvil);
  const report = await new RangeChecker({ endpoints: [rpc], clock, random }).check({
    start: 2n,
    end: 8n,
  });
  deepEqual([report.kind, report.chainId, report.start.number, report.end.number], [
    "range",
    1001n,
    2n,
    8n,
  ]);
  deepEqual(reportOf(reportBytes(report)), report);
  const fifth = await rpc.request("eth_getBlockByNumber", ["0x5", true]) as Record<string, unknown>;
  const lies: readonly [RegExp, (number: string, answer: Record<string, unknown>) => unknown][] = [
    [/L2 block 5 .*hash/s, (_, answer) => ({ ...answer, gasUsed: "0x1" })],
    [/L2 block 5/, () => null],
    [/L2 block 6/, () => ({ ...fifth, number: "0x6" })],
  ];
  for (const [why, lie] of lies) {
    const l2 = lying(rpc, (method, [tag], answer) => {
      const isLie = method === "eth_getBlockByNumber" &&
        /block (\d)/.exec(why.source)?.[1] === `${tag}`.slice(2);
      return isLie ? lie(`${tag}`, answer) : answer;
    });
    const checker = new RangeChecker({ endpoints: [l2], clock, random });
    await rejects(checker.check({ start: 2n, end: 8n }), (error: Error) => {
      equal(error instanceof RpcError, true);
      match(error.message, why);
      return true;
    });
  }
});

test("Ranges are aggregated where each begins at the end of the one before", () => {
  const at = (number: bigint, branch = 0) => ({
    number,
    hash: noise(32, Number(number) + branch),
    outputRoot: noise(32, 100 + Number(number)),
  });
  const range = (start: bigint, end: bigint, branch = 0) => ({
    kind: "range" as const,
    chainId: 1001n,
    start: at(start, branch),
    end: at(end),
    checked: ["something"],
  });
  const l1Head = noise(32, 7);
  const whole = aggregated([range(2n, 4n), range(4n, 8n)], l1Head);
  deepEqual([whole.start, whole.end, whole.l1Head], [at(2n), at(8n), l1Head]);
  deepEqual(reportOf(reportBytes(whole)), whole);
  const wrong: readonly [RegExp, Parameters<typeof aggregated>[0]][] = [
    [/there are no ranges/, []],
    [/range 1 begins at block 5 .* the one before ends at block 4/, [range(2n, 4n), range(5n, 8n)]],
    [/range 1 begins at block 4/, [range(2n, 4n), range(4n, 8n, 50)]],
    [/of chain 7/, [range(2n, 4n), { ...range(4n, 8n), chainId: 7n }]],
    [/part 0 is an aggregation/, [whole]],
  ];
  for (const [why, ranges] of wrong) {
    const error = (() => {
      try {
        return aggregated(ranges, l1Head);
      } catch (error) {
        return error;
      }
    })();
    match(String(error), why);
  }
});

test(
  "montana prover's answers over op-succinct's paths say that nothing was proved",
  { skip },
  async () => {
    await using anvil = await startL2();
    const told: unknown[] = [];
    const ranges = new RangeChecker({ endpoints: [rpcOf(anvil)], clock, random });
    const parts = { clock, ranges, onRangeChecked: (...each: unknown[]) => void told.push(each) };
    const server = await serveExecuteProver(parts, { host: "127.0.0.1", port: 0 });
    try {
      const prover = new OpSuccinctProver({
        url: server.name,
        clock,
        acceptsExecutionChecks: true,
      });
      const settled = async (id: string, by = prover) => {
        for (;;) {
          const status = await by.status(id);
          if (status.state !== "pending") return status;
          await clock.sleep(2);
        }
      };
      const proofs: Uint8Array[] = [];
      for (const [start, end] of [[2n, 5n], [5n, 8n]] as const) {
        const status = await settled(await prover.requestRange({ start, end }));
        equal(status.state === "proved" && status.isExecutionCheck, true);
        if (status.state === "proved") proofs.push(status.proof);
      }
      const id = await prover.requestAggregation(proofs, noise(32, 3));
      const status = await settled(id);
      if (status.state !== "proved") throw new Error(status.state);
      const { start, end, checked } = reportOf(status.proof);
      deepEqual([start.number, end.number], [2n, 8n]);
      equal(checked.length, 6);
      const json = await (await fetch(`${server.name}/status/${id}`)).json();
      deepEqual([json.fulfillment_status, json.execution_status], [3, 1]);
      match(json.execution_check.not_checked.join(), /executing the blocks/);
      deepEqual(told.at(-1), ["aggregation of 2 ranges", undefined]);

      // Who wants proofs is not given anything else.
      const strict = new OpSuccinctProver({ url: server.name, clock });
      await rejects(strict.status(id), {
        code: "Refused",
        kind: "critical",
        message: /an execution check/,
      });
      const beyond = await settled(await prover.requestRange({ start: 5n, end: 99n }));
      match(
        beyond.state === "failed" ? beyond.reason : beyond.state,
        /unfulfillable: .*L2 block 9/,
      );
      const swapped = await settled(
        await prover.requestAggregation(proofs.toReversed(), noise(32, 3)),
      );
      match(swapped.state === "failed" ? swapped.reason : "", /range 1 begins at block 2/);
      deepEqual(await prover.status("00".repeat(32)), { state: "unknown" });
      await rejects(prover.requestAggregation([noise(64, 1)], noise(32, 3)), {
        code: "Refused",
        message: /no execution check/,
      });
      await rejects(prover.requestRange({ start: 8n, end: 8n }), {
        code: "Refused",
        message: /1 to 86400/,
      });

      // What was aggregated must be what the outputs say, and the superblock holds.
      const header = { number: 1n, slot: 1n, timestamp: 1n, parentHash: new Uint8Array(32) };
      const previous = await sealSuperblock(header, []);
      const last = {
        chainId: 1001n,
        slot: 2n,
        number: 8n,
        hash: end.hash,
        parentHash: new Uint8Array(),
      };
      const next = await sealSuperblock({
        ...header,
        number: 2n,
        timestamp: 2n,
        parentHash: previous.hash,
      }, [last]);
      const claim = {
        chainId: 1001n,
        preRoot: start.outputRoot,
        postRoot: end.outputRoot,
        l2BlockNumber: 8n,
        proof: status.proof,
      };
      const rules = { previous, next, previousRollups: [], rollups: [] };
      equal(await brokenRule({ ...rules, aggregations: [claim] }), undefined);
      const other = await sealSuperblock(next, [{ ...last, hash: noise(32, 8) }]);
      const broken: readonly [RegExp, Parameters<typeof brokenRule>[0]][] = [
        [/l2PreRoot of chain 1001/, {
          ...rules,
          aggregations: [{ ...claim, preRoot: noise(32, 1) }],
        }],
        [/l2PostRoot of chain 1001/, {
          ...rules,
          aggregations: [{ ...claim, postRoot: noise(32, 1) }],
        }],
        [/l2BlockNumber is 9, not 8/, {
          ...rules,
          aggregations: [{ ...claim, l2BlockNumber: 9n }],
        }],
        [/a check of chain 1001/, { ...rules, aggregations: [{ ...claim, chainId: 7n }] }],
        [/the superblock ends chain 1001/, { ...rules, next: other, aggregations: [claim] }],
      ];
      for (const [why, transition] of broken) {
        match(await brokenRule(transition) ?? "none", /^outputs = what was aggregated/);
        match(await brokenRule(transition) ?? "none", why);
      }
      // Into a proof of another prover nobody can look here.
      equal(
        await brokenRule({ ...rules, aggregations: [{ ...claim, proof: noise(99, 1) }] }),
        undefined,
      );
    } finally {
      await server.close();
    }
  },
);

test("Without an L2, montana prover refuses ranges, and says why", async () => {
  const server = await serveExecuteProver({ clock }, { host: "127.0.0.1", port: 0 });
  try {
    const prover = new OpSuccinctProver({ url: server.name, clock, acceptsExecutionChecks: true });
    await rejects(prover.requestRange({ start: 1n, end: 2n }), {
      code: "Refused",
      message: /started without --l2/,
    });
    equal((await fetch(`${server.name}/v1/proofs/status/0x00`)).status, 404);
    equal(
      (await fetch(`${server.name}/request_span_proof`, { method: "POST", body: "{" })).status,
      422,
    );
  } finally {
    await server.close();
  }
});

test("A range stays under way while no node answers, and is looked at then", async () => {
  let wake = () => {};
  const clock = { now: () => 0, sleep: () => new Promise<void>((done) => wake = done) };
  const faults = ["Unreachable", "Timeout", "Busy"] as const;
  const told: string[] = [];
  let tries = 0;
  const ranges = {
    check: () => {
      const code = faults[tries++];
      if (code) return Promise.reject(new RpcError(code, `Cannot ask: ${code}`));
      return Promise.reject(new RpcError("Invalid", "Cannot check L2 block 2: it is another one"));
    },
  };
  const api = new RangeProverApi({
    clock,
    ranges,
    onChecked: (what, failure) => told.push(`${what}: ${failure}`),
    onAway: (what, reason) => told.push(`${what} waits: ${reason}`),
  });
  const ask = async (method: string, path: string, body = "") => {
    const answer = await api.answer({
      method,
      url: URL.parse(`http://localhost${path}`)!,
      contentType: undefined,
      body: () => Promise.resolve(new TextEncoder().encode(body)),
    });
    return answer?.body as Record<string, unknown>;
  };
  const { proof_id } = await ask("POST", "/request_span_proof", `{"start":1,"end":3}`);
  const path = `/status/${toHex(Uint8Array.from(proof_id as number[])).slice(2)}`;
  const status = async () => Number((await ask("GET", path)).fulfillment_status);
  const turn = () => new Promise((done) => setTimeout(done));
  for (const at of faults.keys()) {
    while (tries <= at) await turn();
    equal(await status(), 2);
    await turn();
    wake();
  }
  while (await status() === 2) await turn();
  equal(await status(), 4);
  deepEqual(told, [
    "range of blocks 2 to 3 waits: Unreachable: Cannot ask: Unreachable",
    "range of blocks 2 to 3: Invalid: Cannot check L2 block 2: it is another one",
  ]);
  await api.close();
});

test("A proof of an account leads from the state root, or is none", async () => {
  const { storageRootOf } = await import("../../src/l2/account_proof.ts");
  const { RLP } = await (await import("../../src/l1/deps.ts")).rlp();
  const { keccak_256 } = await (await import("../../src/l1/deps.ts")).keccak();
  const address = fromHex(PASSER, "address", 20);
  const key = keccak_256(address);
  const storageRoot = noise(32, 4);
  const account = RLP.encode([1, 2, storageRoot, noise(32, 5)]);
  // A trie with one leaf: an even path behind 0x20.
  const leaf = RLP.encode([Uint8Array.of(0x20, ...key), account]);
  deepEqual(await storageRootOf({ stateRoot: keccak_256(leaf), address }, [leaf]), storageRoot);
  // An extension of one nibble (odd), a branch, and a leaf of 62 (even).
  const below = RLP.encode([Uint8Array.of(0x20, ...key.subarray(1)), account]);
  const branch = RLP.encode(
    Array.from(
      { length: 17 },
      (_, at) => at === (key[0]! & 15) ? keccak_256(below) : new Uint8Array(),
    ),
  );
  const extension = RLP.encode([Uint8Array.of(0x10 | key[0]! >> 4), keccak_256(branch)]);
  const place = { stateRoot: keccak_256(extension), address };
  deepEqual(await storageRootOf(place, [extension, branch, below]), storageRoot);
  await rejects(storageRootOf(place, [extension, below]), {
    code: "InvalidHeader",
    message: /node 1/,
  });
  await rejects(storageRootOf(place, [extension, branch]), { message: /ends after 2 nodes/ });
  await rejects(storageRootOf(place, []), { message: /ends after 0 nodes/ });
  const nonsense = RLP.encode([Uint8Array.of(0x20, ...key), RLP.encode([1])]);
  await rejects(storageRootOf({ stateRoot: keccak_256(nonsense), address }, [nonsense]), {
    message: /holds no account/,
  });
  // Nobody is at another address: the trie goes elsewhere.
  const other = { ...place, address: noise(20, 6) };
  equal(toHex(await storageRootOf(other, [extension])), toHex(keccak_256(Uint8Array.of(0x80))));
});
