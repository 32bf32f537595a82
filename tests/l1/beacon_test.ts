import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SourceError } from "../../src/errors.ts";
import { BeaconNode, beaconNodes, type BeaconOptions } from "../../src/l1/beacon.ts";
import type { MissingReason } from "../../src/l1/found_blobs.ts";
import { slotOf, slotRule } from "../../src/l1/slots.ts";
import { systemClock } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import {
  blobsOf,
  blockInSlot,
  FakeBeacon,
  fakeKzg,
  GENESIS_TIME,
  hashesOf,
} from "./fake_beacon.ts";
import { noise } from "../helpers.ts";

const BLOBS = blobsOf(6);
const HASHES = hashesOf(BLOBS);

function nodeAt(beacon: FakeBeacon, options: Partial<BeaconOptions> = {}): BeaconNode {
  return new BeaconNode({ url: beacon.url, kzg: fakeKzg, clock: systemClock, ...options });
}

async function failure(promise: Promise<unknown>): Promise<SourceError> {
  const error = await promise.then(() => undefined, (error) => error);
  ok(error instanceof SourceError, `expected a SourceError, got ${error}`);
  return error;
}

test("BeaconNode gives blobs in the order asked for, from new and old nodes, however they filter", async () => {
  await using beacon = await FakeBeacon.start();
  beacon.slots.set(7, BLOBS);
  const ways = [
    ["blobs", "all", ["blobs/7?versioned_hashes&versioned_hashes&versioned_hashes"]],
    ["blobs", "last", ["blobs/7?versioned_hashes&versioned_hashes&versioned_hashes", "blobs/7"]],
    ["blobs", "none", ["blobs/7?versioned_hashes&versioned_hashes&versioned_hashes"]],
    ["blobs", "refuses", ["blobs/7?versioned_hashes&versioned_hashes&versioned_hashes", "blobs/7"]],
    ["blob_sidecars", "none", [
      "blobs/7?versioned_hashes&versioned_hashes&versioned_hashes",
      "blobs/7",
      "blob_sidecars/7",
    ]],
  ] as const;
  for (const [endpoint, filter, questions] of ways) {
    beacon.endpoints = [endpoint];
    beacon.filter = filter;
    beacon.asked.length = 0;
    const node = nodeAt(beacon);
    const read = await node.blobs(blockInSlot(7), [HASHES[4]!, HASHES[1]!, HASHES[4]!, HASHES[2]!]);
    deepEqual(read, [BLOBS[4], BLOBS[1], BLOBS[4], BLOBS[2]]);
    deepEqual(beacon.askedForBlobs, questions);
  }
});

test("BeaconNode remembers which endpoint a node has, and learns when that changes", async () => {
  await using beacon = await FakeBeacon.start();
  beacon.slots.set(7, BLOBS);
  beacon.endpoints = ["blob_sidecars"];
  const node = nodeAt(beacon);
  await node.blobs(blockInSlot(7), HASHES);
  beacon.asked.length = 0;
  await node.blobs(blockInSlot(7), HASHES);
  deepEqual(beacon.asked, ["/eth/v1/beacon/blob_sidecars/7"]);
  beacon.endpoints = ["blobs"];
  deepEqual(await node.blobs(blockInSlot(7), HASHES), BLOBS);
  beacon.asked.length = 0;
  await node.blobs(blockInSlot(7), HASHES.slice(1, 2));
  deepEqual(beacon.askedForBlobs, ["blobs/7?versioned_hashes"]);
});

test("BeaconNode keeps the path and the query of its URL, and shows its host only", async () => {
  await using beacon = await FakeBeacon.start();
  beacon.slots.set(7, BLOBS);
  const url = `http://someone:pass%20word@${beacon.host}/v1/TopSecret/?apikey=AlsoSecret`;
  const node = nodeAt(beacon, { url });
  equal(node.name, beacon.host);
  await node.blobs(blockInSlot(7), [HASHES[0]!]);
  equal(beacon.asked[0], "/v1/TopSecret/eth/v1/beacon/genesis?apikey=AlsoSecret");
  equal(beacon.authorizations[0], `Basic ${btoa("someone:pass word")}`);

  const answers = [
    { status: 500 },
    { status: 503 },
    { status: 401 },
    { status: 302, headers: { location: "http://127.0.0.1:1/" } },
    { body: "no JSON" },
    { body: { data: 7 } },
  ];
  const errors = [];
  for (const answer of answers) {
    beacon.interfere = () => answer;
    errors.push(await failure(node.blobs(blockInSlot(7), HASHES)));
  }
  beacon.interfere = () => "hang";
  const hasty = nodeAt(beacon, { url, timeoutMs: 50, slots: await node.slots() });
  errors.push(await failure(hasty.blobs(blockInSlot(7), HASHES)));
  beacon.interfere = () => ({ body: { data: [toHex(noise(100_000))] } });
  const small = nodeAt(beacon, { url, maxAnswerBytes: 1000, slots: await node.slots() });
  errors.push(await failure(small.blobs(blockInSlot(7), HASHES)));
  await beacon[Symbol.asyncDispose]();
  errors.push(await failure(node.blobs(blockInSlot(7), HASHES)));
  for (const error of errors) {
    deepEqual([error.code, error.kind], ["Connection", "temporary"]);
    for (let each: unknown = error; each instanceof Error; each = each.cause) {
      ok(
        !/secret|pass ?word"|pass%20|someone/i.test(
          `${each.message} ${JSON.stringify(error.details)}`,
        ),
        `${each}`,
      );
    }
  }
});

test("BeaconNode tells why blobs are missing", async () => {
  await using beacon = await FakeBeacon.start();
  const far = 200_000;
  const why = async (slot: number, hashes = HASHES.slice(0, 2)) => {
    const node = nodeAt(beacon);
    const found = await node.find(blockInSlot(slot), hashes);
    const error = await failure(node.blobs(blockInSlot(slot), hashes));
    deepEqual([error.code, error.kind], ["BlobMissing", "temporary"]);
    equal(error.details.why, found.why);
    return found.why;
  };
  beacon.head = 10;
  equal(await why(11), "not yet");
  equal(await why(7), "orphaned");
  beacon.slots.set(9, []);
  equal(await why(9), "not yet");
  beacon.slots.set(5, []);
  equal(await why(5), "pruned");
  beacon.head = far;
  equal(await why(5), "pruned");
  beacon.interfere = (path) => path.includes("headers") ? { status: 404 } : undefined;
  equal(await why(5), "unknown");
  beacon.interfere = (path) => path.includes("headers/head") ? { status: 503 } : undefined;
  equal(await why(5), "unknown");
  equal(slotOf({ genesisTime: GENESIS_TIME, slotMs: 12_000n }, { number: 1n, timestamp: 5n }), -1n);

  const few = [
    [
      500,
      "INTERNAL_SERVER_ERROR: Insufficient data columns to reconstruct blobs: required 64, have 4",
    ],
    [400, "BAD_REQUEST: Insufficient data columns to reconstruct blobs: try --supernode"],
    [404, "Not found: the node does not custody enough data columns to reconstruct blobs"],
    [503, undefined],
  ] as const;
  for (const [status, message] of few) {
    beacon.interfere = (path) => path.includes("blob") ? { status, body: { message } } : undefined;
    if (message) equal(await why(5), "columns" satisfies MissingReason);
    else equal((await failure(nodeAt(beacon).find(blockInSlot(5), HASHES))).code, "Connection");
  }
});

test("BeaconNode gives what it has of the blobs, and does not give others for them", async () => {
  await using beacon = await FakeBeacon.start();
  const others = blobsOf(3, 9);
  beacon.slots.set(7, [BLOBS[0]!, BLOBS[2]!]);
  const some = await nodeAt(beacon).find(blockInSlot(7), HASHES.slice(0, 3));
  deepEqual([...some.blobs.keys()], [toHex(HASHES[0]!), toHex(HASHES[2]!)]);
  equal(some.strange, undefined);

  beacon.filter = "none";
  beacon.slots.set(7, [BLOBS[0]!, ...others]);
  for (const endpoints of [["blobs"], ["blob_sidecars"]] as const) {
    beacon.endpoints = endpoints;
    const found = await nodeAt(beacon).find(blockInSlot(7), HASHES.slice(0, 3));
    deepEqual([...found.blobs.values()], [BLOBS[0]]);
    equal(found.strange?.code, "Damaged");
    await rejects(nodeAt(beacon).blobs(blockInSlot(7), HASHES), { code: "Damaged" });
  }
  // A slot that is empty by its own word: whoever asked must look at the chain again.
  beacon.endpoints = ["blobs"];
  beacon.interfere = (path) => path.includes("headers/7") ? { status: 404 } : undefined;
  const orphan = await nodeAt(beacon).find(blockInSlot(7), HASHES);
  deepEqual([orphan.why, orphan.strange], ["orphaned", undefined]);
});

test("BeaconNode refuses what is no blob, and a blob that is not the one it is called", async () => {
  await using beacon = await FakeBeacon.start();
  const large = new Uint8Array(131_072).fill(0xff);
  const [blob] = BLOBS;
  const sidecar = (body: Uint8Array, of: Uint8Array) => ({
    blob: toHex(body),
    kzg_commitment: toHex(of),
  });
  const commitment = await fakeKzg.commitment(blob!);
  const lies: readonly (readonly ["blobs" | "blob_sidecars", unknown])[] = [
    ["blobs", toHex(large)],
    ["blobs", toHex(blob!.slice(1))],
    ["blobs", "0xzz"],
    ["blobs", { blob: toHex(blob!) }],
    ["blob_sidecars", sidecar(BLOBS[1]!, commitment)],
    ["blob_sidecars", sidecar(large, commitment)],
    ["blob_sidecars", sidecar(blob!, commitment.slice(1))],
    ["blob_sidecars", null],
  ];
  for (const [endpoint, item] of lies) {
    beacon.endpoints = [endpoint];
    beacon.interfere = (path) =>
      path.includes(`/${endpoint}/`) ? { body: { data: [item] } } : undefined;
    const error = await failure(nodeAt(beacon).blobs(blockInSlot(7), HASHES.slice(0, 1)));
    deepEqual([error.code, error.kind], ["Damaged", "critical"], `${endpoint} ${item}`);
  }
});

test("BeaconNode counts slots as the node tells, and asks it once", async () => {
  await using beacon = await FakeBeacon.start();
  const block = { number: 9n, hash: noise(32), timestamp: GENESIS_TIME + 600n };
  const slotAsked = async () => {
    const node = nodeAt(beacon);
    await node.find(block, HASHES);
    beacon.asked.length = 0;
    await node.find(block, HASHES);
    ok(beacon.asked.every((path) => !/genesis|spec/.test(path)));
    return /blobs\/(\d+)/.exec(beacon.asked[0]!)?.[1];
  };
  equal(await slotAsked(), "50");
  beacon.spec = undefined;
  equal(await slotAsked(), "50");
  beacon.spec = { SECONDS_PER_SLOT: "5" };
  equal(await slotAsked(), "120");
  beacon.spec = { SECONDS_PER_SLOT: "12", SLOT_DURATION_MS: "6000" };
  equal(await slotAsked(), "100");
  beacon.spec = { SECONDS_PER_SLOT: "0" };
  equal(await slotAsked(), "50");
  // A chain without validators, as anvil has it.
  beacon.validatorsRoot = toHex(new Uint8Array(32));
  equal(await slotAsked(), "9");
  beacon.spec = undefined;
  equal(await slotAsked(), "9");
  beacon.spec = { SECONDS_PER_SLOT: "5" };
  equal(await slotAsked(), "120");
  const given = nodeAt(beacon, { slots: { genesisTime: 0n, slotMs: 1000n } });
  beacon.asked.length = 0;
  await given.find(block, HASHES);
  ok(beacon.asked[0]!.includes(`blobs/${block.timestamp}?`));
});

test("an archiver that does not tell how slots are counted learns it from a beacon node", async () => {
  await using archiver = await FakeBeacon.start();
  await using beacon = await FakeBeacon.start();
  archiver.hasGenesis = false;
  archiver.endpoints = ["blob_sidecars"];
  archiver.slots.set(7, BLOBS);
  const options = { kzg: fakeKzg, clock: systemClock };
  // Of one provider, who tells them apart by their paths.
  archiver.interfere = (_path, url) =>
    url.pathname.startsWith("/node/") ? { body: { data: { genesis_time: "100" } } } : undefined;
  const [same] = beaconNodes([archiver.url, `${archiver.url}/node`], options);
  deepEqual(await same!.slots(), { genesisTime: 100n, slotMs: 12_000n });
  archiver.interfere = () => undefined;
  const [first] = beaconNodes([archiver.url, beacon.url], options);
  deepEqual(await first!.blobs(blockInSlot(7), HASHES), BLOBS);
  const [alone] = beaconNodes([archiver.url], options);
  const error = await failure(alone!.blobs(blockInSlot(7), HASHES));
  equal(error.code, "Connection");
  ok(error.message.includes("/eth/v1/beacon/genesis"), error.message);
});

test("slots and times belong together", () => {
  fc.assert(fc.property(
    fc.bigInt(0n, 10n ** 10n),
    fc.integer({ min: 1, max: 60 }),
    fc.bigInt(0n, 10n ** 8n),
    (genesisTime, seconds, slot) => {
      const rule = slotRule(
        { data: { genesis_time: `${genesisTime}`, genesis_validators_root: "0x01" } },
        { data: { SECONDS_PER_SLOT: `${seconds}` } },
      )!;
      const timestamp = genesisTime + slot * BigInt(seconds);
      equal(slotOf(rule, { number: 1n, timestamp }), slot);
      equal(slotOf(rule, { number: 1n, timestamp: timestamp + BigInt(seconds) - 1n }), slot);
    },
  ));
  for (
    const genesis of [undefined, null, {}, { data: {} }, { data: { genesis_time: "x" } }, "text"]
  ) {
    equal(slotRule(genesis, undefined), undefined);
  }
});

test("BeaconNode takes no answer for more than it is, whatever a node says", async () => {
  await using beacon = await FakeBeacon.start();
  const item = fc.oneof(
    fc.constantFrom(...BLOBS.slice(0, 2).map(toHex), "0x", "0x00", null, {}),
    fc.record({ blob: fc.string(), kzg_commitment: fc.string() }),
  );
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record({ data: fc.oneof(fc.jsonValue(), fc.array(item, { maxLength: 3 })) }),
    fc.constant({ data: { header: { message: { slot: "9" } } } }),
    fc.constant({ data: { genesis_time: "5", genesis_validators_root: 7 } }),
    fc.string(),
  );
  const status = fc.constantFrom(200, 200, 200, 400, 404, 410, 500, 501);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ status, body }), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (answers, isSlotKnown) => {
        let asked = 0;
        beacon.interfere = () => answers[asked++ % answers.length]!;
        const slots = { genesisTime: GENESIS_TIME, slotMs: 12_000n };
        const node = nodeAt(beacon, isSlotKnown ? { slots } : {});
        try {
          const { blobs } = await node.find(blockInSlot(7), HASHES.slice(0, 2));
          for (const [hash, blob] of blobs) equal(hash, toHex(hashesOf([blob])[0]!));
        } catch (error) {
          ok(error instanceof SourceError, `${error}`);
          ok(["Connection", "Damaged"].includes(error.code), error.code);
        }
      },
    ),
    { numRuns: 150 },
  );
});
