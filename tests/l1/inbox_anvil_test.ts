import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { after, before, test } from "node:test";
import { BeaconNode } from "../../src/l1/beacon.ts";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { BlobSources } from "../../src/l1/blob_sources.ts";
import { RpcChain } from "../../src/l1/chain.ts";
import { L1Inbox, type L1InboxOptions } from "../../src/l1/inbox.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { type KzgPool, openKzg } from "../../src/l1/kzg_pool.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { systemClock } from "../../src/runtime.ts";
import { answerBeacon } from "../../src/service/beacon_api.ts";
import { listen } from "../../src/service/http_server.ts";
import { BLOB_CAPACITY, encodeBlob } from "../../src/wire/blob.ts";
import { toHex } from "../../src/wire/hex.ts";
import { blobCalldata } from "../../src/wire/inbox.ts";
import { Events, noise } from "../helpers.ts";
import { type Anvil, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { AnvilPoster } from "./anvil_poster.ts";
import { batch, INBOX, posted, readAll } from "./fake_chain.ts";

const skip = skipWithoutAnvil("L1Inbox on anvil");
let kzg: KzgPool;
before(async () => void (kzg = await openKzg()));
after(() => kzg.close());

/** Blobs are those of an anvil that mines when told to, as a beacon node and as a chain. */
function inboxOf(
  anvil: Anvil,
  options: Partial<L1InboxOptions> = {},
  events = new Events(),
  archive?: BlobArchive,
  beaconUrl = anvil.url,
): L1Inbox {
  const chain = new RpcChain(new HttpJsonRpc({ url: anvil.url, clock: systemClock }));
  const beacon = new BeaconNode({ url: beaconUrl, kzg, clock: systemClock });
  const { log } = events;
  const stored = archive ? { store: archive } : {};
  const blobs = new BlobSources({ sources: [beacon], chain, clock: systemClock, log, ...stored });
  return new L1Inbox({ chain, blobs, log, ...(archive ? { archive } : {}) }, {
    inbox: INBOX,
    batchers: [{ address: anvil.accounts[0]!.address }],
    head: "latest",
    ...options,
  });
}

test(
  "L1Inbox reads from anvil what was posted to it, byte for byte, and nothing else",
  { skip },
  async () => {
    await using anvil = await startAnvil({ noMining: true });
    const [own, stranger] = anvil.accounts.map((each) => new AnvilPoster(anvil, each, kzg));
    const events = new Events();
    const wrong = encodeBlob(noise(5));
    wrong[1] = 9;
    await stranger!.send(posted(batch(0)), posted(batch(1), "calldata"));
    // At most nine blobs fit a block of anvil.
    await own!.post(posted(batch(0, 3 * BLOB_CAPACITY)), posted(batch(1, BLOB_CAPACITY + 7)));
    await own!.post(posted(batch(2, 100_000), "calldata"), { input: new Uint8Array(3) });
    await anvil.mine(3);
    await own!.post(
      { input: blobCalldata(3n), blobs: [wrong] },
      posted(batch(4, 6 * BLOB_CAPACITY)),
    );
    const inbox = inboxOf(anvil, {}, events);
    const sizes = [3 * BLOB_CAPACITY, BLOB_CAPACITY + 7, 100_000, 0, 6 * BLOB_CAPACITY];
    for (const [number, size] of sizes.entries()) {
      const read = await inbox.nextBatch();
      equal(read?.batchNumber, BigInt(number));
      deepEqual(read?.data, size === 0 ? new Uint8Array() : batch(number, size).data);
      equal(read?.broken === undefined, size > 0);
      const block = await anvil.rpc("eth_getBlockByNumber", [
        `0x${read!.inclusion.blockNumber.toString(16)}`,
        false,
      ]);
      equal(toHex(read!.inclusion.blockHash), block.hash);
      equal(read!.inclusion.timestamp, BigInt(block.timestamp));
      ok(block.transactions.includes(toHex(read!.inclusion.txHash)));
    }
    equal(await inbox.nextBatch(), undefined);
    deepEqual(events.all.map((each) => "reason" in each ? each.reason : each.event), [
      "sender",
      "sender",
      "calldata",
    ]);
    equal(
      toHex((await inbox.l1BlockHash(0n))!),
      (await anvil.rpc("eth_getBlockByNumber", ["0x0", false])).hash,
    );
    await inbox.stop();
  },
);

test("L1Inbox follows anvil through reorganisations of depth 1, 5 and 20", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true });
  const poster = new AnvilPoster(anvil, anvil.accounts[0]!, kzg);
  const events = new Events();
  const inbox = inboxOf(anvil, {}, events);
  let number = 0;
  const expected: string[] = [];
  for (const depth of [1, 5, 20]) {
    const dropped: string[] = [];
    for (let count = 0; count < 25; count++) {
      const isBlob = count % 10 === 9;
      const block = await poster.post(posted(batch(number), isBlob ? "blobs" : "calldata"));
      (count < 25 - depth ? expected : dropped).push(`${number++}@${block}`);
    }
    equal((await readAll(inbox)).length, 25);
    const ancestor = await anvil.head() - BigInt(depth);
    await anvil.rpc("anvil_reorg", [depth, []]);
    // It stands still, at the same height: its tip tells it.
    deepEqual(await readAll(inbox), [`back to ${ancestor}`]);
    for (let count = 0; count < 3; count++) {
      const block = await poster.post(posted(batch(number)));
      expected.push(`${number++}@${block}`);
    }
    deepEqual(await readAll(inbox), expected.slice(-3));
    deepEqual(events.of("l1.reorganised").at(-1), {
      event: "l1.reorganised",
      ancestor,
      depth: BigInt(depth),
    });
  }
  equal(events.of("l1.reorganised").length, 3);
  equal(events.of("blobs.quarantined").length, 0);
  // Whoever reads it for the first time reads the same.
  const fresh = inboxOf(anvil);
  deepEqual(await readAll(fresh), expected);
  await inbox.stop();
  await fresh.stop();
});

test("L1Inbox reads anvil's safe and finalised blocks, and 12 below the latest by default", {
  skip,
}, async () => {
  await using anvil = await startAnvil({ noMining: true, slotsInAnEpoch: 2 });
  const poster = new AnvilPoster(anvil, anvil.accounts[0]!, kzg);
  for (let number = 0; number < 20; number++) await poster.send(posted(batch(number), "calldata"));
  await anvil.mine(20);
  const last = async (head?: L1InboxOptions["head"]) => {
    const chain = new RpcChain(new HttpJsonRpc({ url: anvil.url, clock: systemClock }));
    const blobs = { name: "none", blobs: () => Promise.reject(new Error("not asked")) };
    const batchers = [{ address: anvil.accounts[0]!.address }];
    const inbox = new L1Inbox({ chain, blobs }, {
      inbox: INBOX,
      batchers,
      ...(head ? { head } : {}),
    });
    const number = await inbox.l1Head();
    await readAll(inbox);
    await inbox.stop();
    return number;
  };
  deepEqual(
    [await last(), await last("latest"), await last("safe"), await last("finalized")],
    [8n, 20n, 18n, 16n],
  );
});

test(
  "a deriver reads out of an archive that is served what the network has forgotten",
  { skip },
  async () => {
    await using anvil = await startAnvil({ noMining: true });
    const poster = new AnvilPoster(anvil, anvil.accounts[0]!, kzg);
    const stranger = new AnvilPoster(anvil, anvil.accounts[1]!, kzg);
    await stranger.send({ input: new Uint8Array(), blobs: [encodeBlob(noise(9))] });
    await poster.post(posted(batch(0, BLOB_CAPACITY + 5)));
    // Blocks of the same second would be one to an archive.
    await anvil.rpc("evm_increaseTime", [12]);
    await poster.post(posted(batch(1)), posted(batch(2)));
    const archive = new BlobArchive({ storage: new MemoryStorage(), directory: "/a", kzg });
    const first = inboxOf(anvil, {}, new Events(), archive);
    const read = await readAll(first);
    deepEqual(read, ["0@1", "1@2", "2@2"]);
    await first.stop();

    const server = await listen(
      { host: "127.0.0.1", port: 0 },
      (request) => answerBeacon({ archive, kzg }, request),
    );
    const second = inboxOf(anvil, {}, new Events(), undefined, server.name);
    deepEqual(await readAll(second), read);
    await second.stop();
    // By its slot, which is its time here, a block is whole only where others' blobs are kept too.
    const [before, after] = await Promise.all([1, 2].map(async (number) => {
      const { timestamp } = await anvil.rpc("eth_getBlockByNumber", [`0x${number}`, false]);
      return await fetch(`${server.name}/eth/v1/beacon/blobs/${Number(timestamp)}`);
    }));
    equal(before!.status, 404);
    equal((await after!.json()).data.length, 2);
    await before!.body?.cancel();
    await server.close();
  },
);
