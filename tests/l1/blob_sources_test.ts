import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SourceError } from "../../src/errors.ts";
import type { BlobSource } from "../../src/ethereum.ts";
import { BeaconNode } from "../../src/l1/beacon.ts";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { BlobSources } from "../../src/l1/blob_sources.ts";
import type { BlobFinder, MissingReason } from "../../src/l1/found_blobs.ts";
import { ManualClock } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { systemClock } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { Events, noise } from "../helpers.ts";
import { blobsOf, blockInSlot, FakeBeacon, fakeKzg, hashesOf } from "./fake_beacon.ts";

const BLOBS = blobsOf(5);
const HASHES = hashesOf(BLOBS);
const BLOCK = blockInSlot(7);
const WRONG = new SourceError("Damaged", "another blob");
const GONE = new SourceError("Connection", "no answer");

/** A source that has some of the blobs. */
class Some implements BlobFinder {
  readonly name: string;
  has: readonly number[];
  why: MissingReason | undefined;
  error: Error | undefined;
  strange: SourceError | undefined;
  asked = 0;

  constructor(name: string, has: readonly number[], why?: MissingReason) {
    this.name = name;
    this.has = has;
    this.why = why;
  }

  find(_block: unknown, hashes: readonly Uint8Array[]) {
    this.asked += 1;
    if (this.error) return Promise.reject(this.error);
    const wanted = hashes.map(toHex);
    const held = this.has.filter((index) => wanted.includes(toHex(HASHES[index]!)));
    const blobs = new Map(held.map((index) => [toHex(HASHES[index]!), BLOBS[index]!]));
    return Promise.resolve({
      blobs,
      ...(blobs.size < wanted.length && this.why ? { why: this.why } : {}),
      ...(this.strange ? { strange: this.strange } : {}),
    });
  }

  // A finder is asked by `find()`.
  blobs = (): Promise<never> => Promise.reject(new Error("not asked"));
}

test("BlobSources takes from each what the ones before it lack", async () => {
  const events = new Events();
  const all = [new Some("a", [1]), new Some("b", [0, 1, 3], "pruned"), new Some("c", [2, 4])];
  const last = new Some("d", [0]);
  const sources = new BlobSources({
    sources: [...all, last],
    clock: new ManualClock(),
    log: events.log,
  });
  deepEqual(await sources.blobs(BLOCK, HASHES), BLOBS);
  equal(last.asked, 0);
  deepEqual(events.all, [
    { event: "blobs.missing", source: "b", l1Block: BLOCK.number, why: "pruned" },
  ]);
  deepEqual(await sources.blobs(BLOCK, []), []);
});

test("BlobSources gives all blobs exactly where its sources together have them", async () => {
  const indices = fc.subarray([0, 1, 2, 3, 4]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(indices, fc.constantFrom("fine", "gone", "wrong")), { maxLength: 5 }),
      fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 8 }),
      async (held, wanted) => {
        const list = held.map(([has, state], index) => {
          const source = new Some(`${index}`, has, "unknown");
          if (state === "gone") source.error = GONE;
          if (state === "wrong") source.strange = WRONG;
          return source;
        });
        const sources = new BlobSources({ sources: list, clock: new ManualClock() });
        const there = held.flatMap(([has, state]) => state === "gone" ? [] : has);
        const read = sources.blobs(BLOCK, wanted.map((index) => HASHES[index]!));
        if (wanted.every((index) => there.includes(index))) {
          deepEqual(await read, wanted.map((index) => BLOBS[index]));
        } else {
          await rejects(read, { code: "BlobMissing", kind: "temporary" });
        }
      },
    ),
  );
});

test("BlobSources does not ask whoever gave wrong blobs, for a minute and then ever longer", async () => {
  for (const way of ["strange", "error"] as const) {
    const clock = new ManualClock();
    const events = new Events();
    const liar = new Some("liar", []);
    liar[way] = WRONG;
    const sources = new BlobSources({ sources: [liar], clock, log: events.log });
    const ask = () => rejects(sources.blobs(BLOCK, HASHES), { code: "BlobMissing" });
    for (const [ms, asked] of [[0, 1], [59_999, 1], [1, 2], [119_999, 2], [1, 3]] as const) {
      await clock.sleep(ms);
      await ask();
      equal(liar.asked, asked);
    }
    deepEqual(events.of("blobs.quarantined").map(({ source }) => source), ["liar", "liar", "liar"]);
    await rejects(sources.blobs(BLOCK, HASHES), /liar: gave wrong blobs, and is not asked now/);
    liar[way] = undefined;
    liar.has = [0, 1, 2, 3, 4];
    await clock.sleep(3_600_000);
    deepEqual(await sources.blobs(BLOCK, HASHES), BLOBS);
  }
});

test("BlobSources tells a block that is gone from a source that errs", async () => {
  const events = new Events();
  const source = new Some("a", []);
  source.strange = WRONG;
  let canonical = noise(32, 1);
  const chain = {
    header: () => Promise.resolve({ hash: canonical } as never),
  };
  const sources = new BlobSources({
    sources: [source],
    clock: new ManualClock(),
    chain,
    log: events.log,
  });
  await rejects(sources.blobs(BLOCK, HASHES), {
    code: "BlobMissing",
    kind: "temporary",
    details: { block: BLOCK.number, missing: 5, why: "orphaned" },
  });
  equal(events.of("blobs.quarantined").length, 0);
  canonical = BLOCK.hash;
  await rejects(sources.blobs(BLOCK, HASHES), { code: "BlobMissing" });
  equal(events.of("blobs.quarantined").length, 1);
});

test("BlobSources asks those last that did not answer, and tells so once", async () => {
  const clock = new ManualClock();
  const events = new Events();
  const [first, second] = [new Some("a", []), new Some("b", [0, 1, 2, 3, 4])];
  first.error = GONE;
  const sources = new BlobSources({ sources: [first, second], clock, log: events.log });
  for (let time = 0; time < 3; time++) await sources.blobs(BLOCK, HASHES);
  deepEqual([first.asked, second.asked], [1, 3]);
  second.has = [];
  await rejects(sources.blobs(BLOCK, HASHES), { code: "BlobMissing" });
  deepEqual([first.asked, second.asked], [2, 4]);
  deepEqual(events.of("endpoint.failed"), [
    { event: "endpoint.failed", endpoint: "a", error: GONE, next: "b" },
  ]);
  await clock.sleep(300_000);
  first.error = undefined;
  first.has = [0, 1, 2, 3, 4];
  deepEqual(await sources.blobs(BLOCK, HASHES), BLOBS);
  equal(second.asked, 4);
  deepEqual(events.of("endpoint.recovered").map(({ endpoint }) => endpoint), ["a"]);
});

test("BlobSources says of each source why it has not, and the weightiest reason", async () => {
  const sources = [
    new Some("a", [], "unknown"),
    new Some("b", [], "pruned"),
    new Some("c", [], "not yet"),
  ];
  const gone = new Some("d", []);
  gone.error = GONE;
  const blobs = new BlobSources({ sources: [...sources, gone], clock: new ManualClock() });
  const error = await blobs.blobs(BLOCK, HASHES).catch((error) => error);
  equal(
    error.message,
    `Cannot read 5 of 5 blobs of L1 block ${BLOCK.number} from any source: a: unknown; b: pruned; ` +
      `c: not yet; d: Connection: no answer; the first is ${toHex(HASHES[0]!)}`,
  );
  equal(error.details.why, "not yet");
  const none = new BlobSources({ sources: [], clock: new ManualClock() });
  await rejects(none.blobs(BLOCK, HASHES), /from any source: none is named; name a beacon node/);
});

test("BlobSources keeps what it found, and reads on where that fails", async () => {
  const archive = new BlobArchive({
    storage: new MemoryStorage(),
    directory: "/a",
    kzg: fakeKzg,
  });
  const beacon = new Some("beacon", [0, 1, 2, 3, 4]);
  const parts = { sources: [archive, beacon], clock: new ManualClock() };
  deepEqual(await new BlobSources({ ...parts, store: archive }).blobs(BLOCK, HASHES), BLOBS);
  deepEqual(await archive.blobs(BLOCK, HASHES), BLOBS);
  beacon.has = [];
  deepEqual(await new BlobSources({ ...parts, store: archive }).blobs(BLOCK, HASHES), BLOBS);

  const events = new Events();
  beacon.has = [0, 1, 2, 3, 4];
  const full = {
    put: () => Promise.reject(new Error("full")),
    get: () => Promise.resolve(undefined),
  };
  const others = { sources: [beacon], clock: new ManualClock(), store: full, log: events.log };
  deepEqual(await new BlobSources(others).blobs(BLOCK, HASHES.slice(0, 1)), BLOBS.slice(0, 1));
  equal(events.of("endpoint.failed")[0]?.endpoint, "archive");
});

test("BlobSources takes a source that has all or nothing", async () => {
  const missing = (why?: string) =>
    new SourceError("BlobMissing", "no", { details: why ? { why } : {} });
  const source = (answer: () => Promise<readonly Uint8Array[]>): BlobSource => ({
    name: "plain",
    blobs: answer,
  });
  const ask = async (answer: () => Promise<readonly Uint8Array[]>) => {
    const events = new Events();
    const sources = [source(answer), new Some("b", [0, 1, 2, 3, 4])];
    const blobs = new BlobSources({ sources, clock: new ManualClock(), log: events.log });
    deepEqual(await blobs.blobs(BLOCK, HASHES), BLOBS);
    return events.all.map((each) => "why" in each ? `${each.event} ${each.why}` : each.event);
  };
  deepEqual(await ask(() => Promise.resolve(BLOBS)), []);
  deepEqual(await ask(() => Promise.reject(missing("columns"))), ["blobs.missing columns"]);
  deepEqual(await ask(() => Promise.reject(missing())), ["blobs.missing unknown"]);
  deepEqual(await ask(() => Promise.reject(WRONG)), ["blobs.quarantined"]);
  deepEqual(await ask(() => Promise.reject(new Error("boom"))), ["endpoint.failed"]);
});

test("with a beacon that lies, one that forgot, one that hangs and one that is old, blobs are read", async () => {
  await using liar = await FakeBeacon.start();
  await using forgetful = await FakeBeacon.start();
  await using hanging = await FakeBeacon.start();
  await using old = await FakeBeacon.start();
  liar.slots.set(7, blobsOf(5, 3));
  liar.filter = "none";
  forgetful.slots.set(7, []);
  hanging.interfere = () => "hang";
  old.slots.set(7, BLOBS);
  old.endpoints = ["blob_sidecars"];
  const events = new Events();
  const sources = new BlobSources({
    sources: [liar, forgetful, hanging, old].map(({ url }) =>
      new BeaconNode({ url, kzg: fakeKzg, clock: systemClock, timeoutMs: 300 })
    ),
    clock: systemClock,
    log: events.log,
  });
  for (let time = 0; time < 3; time++) deepEqual(await sources.blobs(BLOCK, HASHES), BLOBS);
  deepEqual(events.of("blobs.quarantined").map(({ source }) => source), [liar.host]);
  deepEqual(events.of("endpoint.failed").map(({ endpoint }) => endpoint), [hanging.host]);
  const missing = events.of("blobs.missing");
  ok(missing.every(({ source, why }) => source === forgetful.host && why === "pruned"));
  equal(missing.length, 3);
});
