import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { BeaconNode } from "../../src/l1/beacon.ts";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { systemClock } from "../../src/runtime.ts";
import { answerBeacon, type BeaconApiParts } from "../../src/service/beacon_api.ts";
import { listen, type Listening } from "../../src/service/http_server.ts";
import { VERSION } from "../../src/version.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import { blobsOf, blockInSlot, fakeKzg, GENESIS_TIME, hashesOf } from "../l1/fake_beacon.ts";

const BLOBS = blobsOf(6);
const HASHES = hashesOf(BLOBS);
const BLOCK = blockInSlot(7);
const KZG = {
  ...fakeKzg,
  blobProof: (blob: Uint8Array) => Promise.resolve(blob.slice(40, 88)),
};

/** An archive with some of the blobs of a block. */
async function archiveWith(
  ...indices: number[]
): Promise<{ archive: BlobArchive; storage: MemoryStorage }> {
  const storage = new MemoryStorage();
  const archive = new BlobArchive({ storage, directory: "/a", kzg: KZG });
  for (const index of indices) await archive.put(HASHES[index]!, BLOBS[index]!);
  await archive.noteBlock(BLOCK, HASHES);
  return { archive, storage };
}

async function withServer(
  parts: Omit<BeaconApiParts, "kzg">,
  action: (server: Listening) => Promise<void>,
): Promise<void> {
  const server = await listen(
    { host: "127.0.0.1", port: 0 },
    (request) => answerBeacon({ kzg: KZG, ...parts }, request),
  );
  try {
    await action(server);
  } finally {
    await server.close();
  }
}

function nodeAt(url: string): BeaconNode {
  return new BeaconNode({ url, kzg: KZG, clock: systemClock });
}

// deno-lint-ignore no-explicit-any -- the tests know what is in it
async function get(server: Listening, path: string): Promise<{ status: number; body: any }> {
  const response = await fetch(server.name + path);
  return { status: response.status, body: await response.json() };
}

test("a beacon node of ours reads blobs from an archive that is served, in both ways", async () => {
  const { archive } = await archiveWith(0, 1, 2, 3, 4, 5);
  await withServer({ archive }, async (server) => {
    const node = nodeAt(server.name);
    deepEqual(await node.blobs(BLOCK, [HASHES[4]!, HASHES[1]!]), [BLOBS[4], BLOBS[1]]);
    deepEqual(await node.slots(), { genesisTime: 0n, slotMs: 1000n });
    // Whatever the slot: an archive knows blobs by their hashes.
    deepEqual(await node.blobs(blockInSlot(99), HASHES.slice(0, 1)), [BLOBS[0]]);
    const whole = await get(server, `/eth/v1/beacon/blobs/${BLOCK.timestamp}`);
    deepEqual(whole.body.data, BLOBS.map((blob) => toHex(blob)));
    const sidecars = await get(
      server,
      `/eth/v1/beacon/blob_sidecars/${BLOCK.timestamp}?indices=4,1`,
    );
    deepEqual(
      sidecars.body.data.map((each: { index: string; blob: string }) => [each.index, each.blob]),
      [["1", toHex(BLOBS[1]!)], ["4", toHex(BLOBS[4]!)]],
    );
    for (const { blob, kzg_commitment, kzg_proof } of sidecars.body.data) {
      const bytes = Uint8Array.fromHex(blob.slice(2));
      equal(kzg_commitment, toHex(await KZG.commitment(bytes)));
      equal(kzg_proof, toHex(await KZG.blobProof(bytes)));
    }
    const twice = await get(
      server,
      `/eth/v1/beacon/blob_sidecars/${BLOCK.timestamp}?indices=0&indices=5`,
    );
    equal(twice.body.data.length, 2);
    equal((await get(server, "/eth/v1/node/version")).body.data.version, `montana/${VERSION}`);
  });
});

test("an archive counts slots as the beacon node does that it stands beside", async () => {
  const { archive } = await archiveWith(0, 1, 2, 3, 4, 5);
  const parts = { archive, genesisTime: GENESIS_TIME, secondsPerSlot: 12n };
  await withServer(parts, async (server) => {
    deepEqual(await nodeAt(server.name).slots(), { genesisTime: GENESIS_TIME, slotMs: 12_000n });
    equal((await get(server, "/eth/v1/beacon/blob_sidecars/7")).body.data.length, 6);
    equal((await get(server, "/eth/v1/beacon/blob_sidecars/8")).status, 404);
  });
});

test("an archive gives what it has where hashes tell which, and no part of a block as the whole", async () => {
  const { archive, storage } = await archiveWith(0, 2);
  await withServer({ archive }, async (server) => {
    const found = await nodeAt(server.name).find(BLOCK, HASHES);
    deepEqual([...found.blobs.values()], [BLOBS[0], BLOBS[2]]);
    equal(found.strange, undefined);
    await rejects(nodeAt(server.name).blobs(BLOCK, HASHES.slice(1, 2)), { code: "BlobMissing" });
    for (const path of [`blobs/${BLOCK.timestamp}`, `blob_sidecars/${BLOCK.timestamp}`]) {
      const { status, body } = await get(server, `/eth/v1/beacon/${path}`);
      equal(status, 404);
      ok(/4 of 6 are not kept here/.test(body.message), body.message);
    }
    const some = await get(server, `/eth/v1/beacon/blob_sidecars/${BLOCK.timestamp}?indices=0,2`);
    equal(some.body.data.length, 2);
    storage.flipBit(`/a/blobs/${toHex(HASHES[2]!).slice(2)}.blob`, 99);
    deepEqual([...(await nodeAt(server.name).find(BLOCK, HASHES)).blobs.values()], [BLOBS[0]]);
  });
});

test("an archive that is served refuses what it cannot answer, as beacon nodes do", async () => {
  const { archive } = await archiveWith(0);
  await withServer({ archive }, async (server) => {
    const unknown = toHex(noise(32));
    const many = Array.from({ length: 129 }, (_, index) => toHex(noise(32, index))).join(",");
    const questions: readonly (readonly [string, number, RegExp?])[] = [
      ["/", 404],
      ["/eth/v1/beacon/blobs", 404],
      ["/eth/v1/beacon/headers/head", 404],
      ["/eth/v1/beacon/blobs/head", 404],
      ["/eth/v1/beacon/blobs/1", 404],
      ["/eth/v1/beacon/blobs/99999999999999999999", 404],
      ["/eth/v1/beacon/blobs/..%2f..%2fetc%2fpasswd", 400],
      [`/eth/v1/beacon/blobs/1?versioned_hashes=${unknown}`, 404],
      ["/eth/v1/beacon/blobs/1?versioned_hashes=0x12", 400],
      [
        `/eth/v1/beacon/blobs/1?versioned_hashes=${many}`,
        400,
        /129 blobs at once: need 128 at most/,
      ],
      [
        `/eth/v1/beacon/blob_sidecars/${BLOCK.timestamp}?indices=x`,
        400,
        /index "x": need a number/,
      ],
      [`/eth/v1/beacon/blob_sidecars/${BLOCK.timestamp}`, 404],
    ];
    for (const [path, status, message = /^Cannot /] of questions) {
      const answer = await get(server, path);
      equal(answer.status, status, path);
      equal(answer.body.code, status);
      match(answer.body.message, message);
    }
    const head = `${server.name}/eth/v1/beacon/blobs/head?versioned_hashes=${toHex(HASHES[0]!)}`;
    equal((await (await fetch(head)).json()).data.length, 1);
    const post = await fetch(`${server.name}/eth/v1/beacon/genesis`, { method: "POST" });
    deepEqual([post.status, post.headers.get("allow")], [405, "GET"]);
    await post.body?.cancel();
  });
});
