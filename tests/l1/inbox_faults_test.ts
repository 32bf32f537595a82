import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { after, before, test } from "node:test";
import { isRetryable } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { BeaconNode } from "../../src/l1/beacon.ts";
import { BlobSources } from "../../src/l1/blob_sources.ts";
import { RpcChain } from "../../src/l1/chain.ts";
import { RpcEndpoints } from "../../src/l1/endpoints.ts";
import { L1Inbox } from "../../src/l1/inbox.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { type KzgPool, openKzg } from "../../src/l1/kzg_pool.ts";
import { ManualClock } from "../../src/local/memory.ts";
import { systemClock, systemRandom } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { Events } from "../helpers.ts";
import { type Anvil, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { AnvilPoster } from "./anvil_poster.ts";
import { batch, INBOX, posted } from "./fake_chain.ts";
import { type Fault, startFaultProxy } from "./fault_proxy.ts";

const skip = skipWithoutAnvil("L1Inbox behind faults");
const BLOBS = "GET /eth/v1/beacon/blobs";
let kzg: KzgPool;
before(async () => void (kzg = await openKzg()));
after(() => kzg.close());

/** Reads a chain at a URL, and blobs from each of `beacons`, whose rests and quarantines do not end. */
function inboxAt(anvil: Anvil, l1: string | JsonRpc, beacons: readonly string[], events: Events) {
  const node = typeof l1 === "string"
    ? new HttpJsonRpc({ url: l1, clock: systemClock, timeoutMs: 2000 })
    : l1;
  const chain = new RpcChain(node);
  const sources = beacons.map((each) =>
    new BeaconNode({ url: each, kzg, clock: systemClock, timeoutMs: 2000 })
  );
  const blobs = new BlobSources({ sources, chain, clock: new ManualClock(), log: events.log });
  return new L1Inbox({ chain, blobs, log: events.log }, {
    inbox: INBOX,
    batchers: [{ address: anvil.accounts[0]!.address }],
    head: "latest",
    prefetchBlocks: 2,
  });
}

/** Reads all batches, through whatever temporary error there is. */
async function readThrough(inbox: L1Inbox, count: number): Promise<number> {
  let failures = 0;
  for (let number = 0; number < count;) {
    const read = await inbox.nextBatch().catch((error) => {
      ok(isRetryable(error), `${error}`);
      failures += 1;
      return undefined;
    });
    if (!read) continue;
    equal(read.batchNumber, BigInt(number));
    deepEqual(read.data, batch(number++).data);
  }
  return failures;
}

test("L1Inbox reads everything through storms of 429 and 5xx, lost, cut and empty answers", {
  skip,
}, async () => {
  await using anvil = await startAnvil({ noMining: true });
  await using proxy = await startFaultProxy(anvil.url);
  const poster = new AnvilPoster(anvil, anvil.accounts[0]!, kzg);
  for (let number = 0; number < 10; number++) {
    await poster.post(posted(batch(number), number % 3 === 0 ? "blobs" : "calldata"));
  }
  const faults: readonly Fault[] = [
    { fault: "status", status: 429, retryAfterS: 1 },
    { fault: "status", status: 502 },
    { fault: "hang up" },
    { fault: "lose" },
    { fault: "cut" },
    { fault: "duplicate" },
    { fault: "delay", ms: 20 },
    { fault: "answer", result: null },
    { fault: "error", message: "header not found" },
  ];
  for (const seed of [1, 2]) {
    proxy.byChance(seed, 0.6, faults);
    const inbox = inboxAt(anvil, proxy.url, [proxy.url], new Events());
    ok(await readThrough(inbox, 10) > 0);
    await inbox.stop();
  }
});

test(
  "a batch that a node tells otherwise than it was signed is refused by name, and read at the next",
  {
    skip,
  },
  async () => {
    await using anvil = await startAnvil({ noMining: true });
    await using liar = await startFaultProxy(anvil.url);
    const poster = new AnvilPoster(anvil, anvil.accounts[0]!, kzg);
    for (const da of ["calldata", "blobs"] as const) await poster.post(posted(batch(0), da));
    const lies: Record<string, (transaction: Record<string, unknown>) => void> = {
      input: (each) => each.input = `${each.input}00`,
      chainId: (each) => delete each.chainId,
      hash: (each) => each.hash = `0x${"ab".repeat(32)}`,
    };
    for (const [name, change] of Object.entries(lies)) {
      liar.rewrite("eth_getBlockByNumber", (block, [, isWhole]) => {
        if (isWhole) block?.transactions.forEach(change);
        return block;
      });
      const lone = new Events();
      const alone = inboxAt(anvil, liar.url, [anvil.url], lone);
      const error = await alone.nextBatch().then(() => undefined, (error) => error);
      await alone.stop();
      equal(error?.code, "Invalid", name);
      ok(isRetryable(error));
      match(
        error.message,
        new RegExp(`transaction 0x\\w{64} of L1 block 1 as ${new URL(liar.url).host} tells it: `),
      );
      deepEqual(lone.of("transaction.ignored"), []);

      const events = new Events();
      const endpoints = [liar.url, anvil.url].map((url) =>
        new HttpJsonRpc({ url, clock: systemClock })
      );
      const node = new RpcEndpoints({
        endpoints,
        clock: systemClock,
        random: systemRandom,
        log: events.log,
      });
      const inbox = inboxAt(anvil, node, [anvil.url], events);
      deepEqual((await inbox.nextBatch())?.data, batch(0).data);
      deepEqual((await inbox.nextBatch())?.data, batch(0).data);
      await inbox.stop();
      equal(events.of("endpoint.failed")[0]?.endpoint, new URL(liar.url).host);
    }
  },
);

test("a transaction of a type to come is nobody's, and stops no reader", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true });
  await using proxy = await startFaultProxy(anvil.url);
  const poster = new AnvilPoster(anvil, anvil.accounts[0]!, kzg);
  for (const number of [0, 1]) await poster.post(posted(batch(number), "calldata"));
  proxy.rewrite("eth_getBlockByNumber", (block, [, isWhole]) => {
    if (isWhole && block?.number === "0x1") block.transactions[0].type = "0x5";
    return block;
  });
  const events = new Events();
  const inbox = inboxAt(anvil, proxy.url, [anvil.url], events);
  equal((await inbox.nextBatch())?.batchNumber, 1n);
  await inbox.stop();
  deepEqual(events.of("transaction.ignored").map(({ reason }) => reason), ["sender"]);
});

test(
  "a beacon that lies is asked no more, one that hangs asked last, and blobs come from the third",
  { skip },
  async () => {
    await using anvil = await startAnvil({ noMining: true });
    const poster = new AnvilPoster(anvil, anvil.accounts[0]!, kzg);
    for (let number = 0; number < 3; number++) await poster.post(posted(batch(number)));
    await using liar = await startFaultProxy(anvil.url);
    await using hanging = await startFaultProxy(anvil.url);
    const other = toHex(posted(batch(9)).blobs![0]!);
    liar.rewrite(BLOBS, (answer) => ({ ...answer, data: [other] }));
    hanging.always(BLOBS, { fault: "hang" });
    const events = new Events();
    const inbox = inboxAt(anvil, anvil.url, [liar.url, hanging.url, anvil.url], events);
    equal(await readThrough(inbox, 3), 0);
    await inbox.stop();
    const quarantined = events.of("blobs.quarantined");
    ok(quarantined.length > 0 && quarantined.every(({ source }) => liar.url.endsWith(source)));
    ok(/blobs of L1 block \d are not those asked for/.test(`${quarantined[0]!.error}`));
    ok(events.of("endpoint.failed").every(({ endpoint }) => hanging.url.endsWith(endpoint)));
    // Blocks that were read at the same time may have asked before anything was known of either.
    ok(liar.count(BLOBS) <= 3 && hanging.count(BLOBS) <= 3);
  },
);
