import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
import { blobBaseFeeOf, RpcChain } from "../../src/l1/chain.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { systemClock } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { type Anvil, ANVIL_ACCOUNTS, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { excessFor } from "./blob_fee_play.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "./fault_proxy.ts";
import { GWEI, sending } from "./sending.ts";
import { sentTransaction } from "./sent_transaction.ts";

const skip = skipWithoutAnvil("faults between a program and a node");

/** Runs `action` with anvil that mines when told, and a proxy in front of it. */
async function withProxy(
  action: (world: { anvil: Anvil; proxy: FaultProxy; chain: RpcChain }) => Promise<void>,
  timeoutMs = 60_000,
): Promise<void> {
  await using anvil = await startAnvil({ noMining: true });
  await using proxy = await startFaultProxy(anvil.url);
  const node = new HttpJsonRpc({ url: proxy.url, clock: systemClock, timeoutMs });
  await action({ anvil, proxy, chain: new RpcChain(node) });
}

test("the proxy passes on what has no fault, beacon endpoints too", { skip }, async () => {
  await withProxy(async ({ anvil, proxy, chain }) => {
    const { raw, signed } = await sending({ blobs: 1 });
    deepEqual(await chain.send(raw), signed.hash);
    await anvil.mine();
    equal((await chain.block(1n))!.transactions.length, 1);
    for (const path of ["genesis", "blobs/1", "blobs/99", "blobs/1?versioned_hashes=0xzz"]) {
      const [there, here] = await Promise.all([anvil.url, proxy.url].map(async (url) => {
        const response = await fetch(`${url}/eth/v1/beacon/${path}`);
        return [response.status, await response.text()];
      }));
      deepEqual(here, there);
    }
    equal((await fetch(`${proxy.url}/eth/v1/config/spec`)).status, 404);
    deepEqual(proxy.calls.map(({ method }) => method), [
      "eth_sendRawTransaction",
      "eth_getBlockByNumber",
      "GET /eth/v1/beacon/genesis",
      ...Array(3).fill("GET /eth/v1/beacon/blobs"),
      "GET /eth/v1/config/spec",
    ]);
    deepEqual(proxy.calls[0]!.params, [toHex(signed.hash)]);
    await rejects(chain.send(Uint8Array.of(9, 9)), { code: "Answered" });
  });
});

test("each fault is what its name says, for the call it is meant for", { skip }, async () => {
  await withProxy(async ({ proxy, chain }) => {
    const faults: [Fault, object | bigint][] = [
      [{ fault: "status", status: 503 }, { code: "Busy" }],
      [{ fault: "status", status: 429, retryAfterS: 3 }, { code: "Busy" }],
      [{ fault: "status", status: 403 }, { code: "Refused" }],
      [{ fault: "hang" }, { code: "Timeout" }],
      [{ fault: "hang up" }, { code: "Unreachable" }],
      [{ fault: "lose" }, { code: "Unreachable" }],
      [{ fault: "cut" }, { code: "Invalid" }],
      [{ fault: "error", message: "nonce too low" }, { code: "Answered" }],
      [{ fault: "answer", result: "0x5" }, 5n],
      [{ fault: "delay", ms: 1 }, 31337n],
      [{ fault: "duplicate" }, 31337n],
    ];
    for (const [fault, outcome] of faults) {
      proxy.next("eth_chainId", undefined, fault);
      equal(await chain.chainId(), 31337n);
      await chain.tip();
      if (typeof outcome === "bigint") equal(await chain.chainId(), outcome, fault.fault);
      else await rejects(chain.chainId(), outcome, fault.fault);
      equal(proxy.calls.at(-1)!.fault, fault.fault);
      equal(await chain.chainId(), 31337n);
    }
    proxy.always("*", { fault: "status", status: 500 });
    await rejects(chain.tip(), { code: "Busy" });
    equal((await fetch(`${proxy.url}/eth/v1/beacon/genesis`)).status, 500);
    proxy.heal();
    equal(await chain.tip(), GWEI);
    proxy.rewrite("eth_maxPriorityFeePerGas", (tip) => `0x${(BigInt(tip) * 50n).toString(16)}`);
    equal(await chain.tip(), 50n * GWEI);
    proxy.rewrite("GET /eth/v1/beacon/genesis", () => ({ data: {} }));
    equal(await (await fetch(`${proxy.url}/eth/v1/beacon/genesis`)).text(), `{"data":{}}`);
  }, 200);
});

test("a send is swallowed, lost behind its arrival, or arrives twice", { skip }, async () => {
  await withProxy(async ({ anvil, proxy, chain }) => {
    const { raw, signed } = await sending({ blobs: 1, form: "legacy" });
    proxy.next("eth_sendRawTransaction", { fault: "swallow" }, { fault: "lose" });
    deepEqual(await chain.send(raw), signed.hash);
    equal(await chain.knows(signed.hash), false);
    await rejects(chain.send(raw), { code: "Unreachable" });
    equal(await chain.knows(signed.hash), true);
    await rejects(chain.send(raw), { code: "Answered", message: "transaction already imported" });
    const second = await sending({ nonce: 1n });
    proxy.next("eth_sendRawTransaction", { fault: "duplicate" });
    deepEqual(await chain.send(second.raw), second.signed.hash);
    await anvil.mine();
    equal((await chain.block(1n))!.transactions.length, 2);
    equal(proxy.count("eth_sendRawTransaction"), 4);
  });
});

test("faults by chance are the same for the same seed", { skip }, async () => {
  await withProxy(async ({ proxy, chain }) => {
    const run = async (seed: number) => {
      proxy.byChance(seed, 0.3, [{ fault: "hang up" }, { fault: "status", status: 500 }]);
      const outcomes: string[] = [];
      for (let count = 0; count < 40; count++) {
        const outcome = await chain.chainId().then(() => "fine", (error: RpcError) => error.code);
        outcomes.push(outcome);
      }
      return outcomes.join();
    };
    const first = await run(1);
    equal(await run(1), first);
    ok(await run(2) !== first);
    for (const outcome of ["fine", "Unreachable", "Busy"]) ok(first.includes(outcome));
  });
});

test(
  "a blob base fee that is played is told, is in the headers, and keeps out what does not pay it",
  {
    skip,
  },
  async () => {
    await withProxy(async ({ anvil, proxy, chain }) => {
      await proxy.playBlobBaseFee(50n * GWEI);
      equal(await chain.blobBaseFee(), 50n * GWEI);
      const { excessBlobGas } = (await chain.header("latest"))!;
      ok(blobBaseFeeOf(excessBlobGas, 5_007_716n) >= 50n * GWEI);
      ok(blobBaseFeeOf(excessBlobGas - 1n, 5_007_716n) < 50n * GWEI);
      const [, other] = ANVIL_ACCOUNTS;
      const first = await sending({ blobs: 1, blobFee: GWEI });
      const second = await sending({ blobs: 1, nonce: 1n, blobFee: 2n * GWEI });
      const dear = await sending({ from: other!, blobs: 1, blobFee: 60n * GWEI });
      const plain = await sending({ from: other!, nonce: 1n });
      for (const { raw, signed } of [second, first, dear, plain]) {
        deepEqual(await chain.send(raw), signed.hash);
        equal(await chain.knows(signed.hash), true);
      }
      await anvil.mine();
      equal((await chain.block(1n))!.transactions.length, 2);
      deepEqual(proxy.held, [second, first].map(({ signed }) => toHex(signed.hash)));

      const better = await sending({ blobs: 1, blobFee: 4n * GWEI, input: Uint8Array.of(1) });
      await chain.send(better.raw);
      equal(await chain.knows(first.signed.hash), false, "it was replaced");
      await proxy.playBlobBaseFee(2n * GWEI);
      deepEqual(proxy.held, []);
      await anvil.mine();
      deepEqual(
        (await chain.block(2n))!.transactions.map(({ hash }) => hash),
        [better, second].map(({ signed }) => signed.hash),
      );
      await proxy.playBlobBaseFee(undefined);
      equal(await chain.blobBaseFee(), 1n);
    });
  },
);

test("what was sent is told without its sidecar, in each form", async () => {
  for (const options of [{}, { blobs: 2 }, { blobs: 2, form: "legacy" as const }]) {
    const { raw, signed } = await sending({ nonce: 7n, ...options });
    const sent = await sentTransaction(raw);
    deepEqual(sent.hash, signed.hash);
    equal(sent.tx.nonce, 7n);
    deepEqual(sent.sender, ANVIL_ACCOUNTS[0]!.address);
  }
  equal(excessFor(1n), 0n);
});
