import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { BeaconNode } from "../../src/l1/beacon.ts";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { type KzgPool, openKzg } from "../../src/l1/kzg_pool.ts";
import { versionedHash } from "../../src/l1/sidecar.ts";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { systemClock } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { blobsOf, blockInSlot } from "../l1/fake_beacon.ts";
import { failed, run as montana, start, textOf } from "./montana.ts";

const BLOBS = blobsOf(3);
const BLOCK = blockInSlot(7);

/** An archive of a block with two blobs, and a blob of none. */
async function withArchive(
  action: (path: string, hashes: readonly Uint8Array[], kzg: KzgPool) => Promise<void>,
): Promise<void> {
  const kzg = await openKzg();
  try {
    await withDirectory(async (path) => {
      const archive = new BlobArchive({ storage: new DiskStorage(), directory: path, kzg });
      const hashes: Uint8Array[] = [];
      for (const blob of BLOBS) {
        const hash = versionedHash(await kzg.commitment(blob));
        hashes.push(hash);
        await archive.put(hash, blob);
      }
      await archive.noteBlock(BLOCK, hashes.slice(0, 2));
      await action(path, hashes, kzg);
    });
  } finally {
    await kzg.close();
  }
}

test("archive ls lists blocks and blobs, archive check finds the one that is damaged", async () => {
  await withArchive(async (path, hashes) => {
    const listed = await montana(["archive", "ls", "--dir", path]);
    equal(listed.code, 0);
    match(textOf(listed), /^ *2 +2020-12-01T12:01:47.000Z +2 of 2 +0x01/m);
    match(
      textOf(listed),
      new RegExp(`^no block noted: ${toHex(hashes[2]!)}\n3 blobs\n$`, "m"),
    );
    const json = JSON.parse(
      textOf(await montana(["archive", "ls", "--dir", path, "--json"])),
    );
    deepEqual([json.blobs, json.blocks[0].kept.length, json.others], [3, 2, [toHex(hashes[2]!)]]);

    const whole = await montana(["archive", "check", "--dir", path]);
    deepEqual([whole.code, textOf(whole)], [0, "3 blobs, all whole\n"]);
    const file = `${path}/blobs/${toHex(hashes[1]!).slice(2)}.blob`;
    const bytes = await readFile(file);
    bytes[500]! ^= 1;
    await writeFile(file, bytes);
    await writeFile(`${path}/blobs/half.blob.tmp`, "");
    const damaged = await montana(["archive", "check", "--dir", path]);
    equal(damaged.code, 1);
    match(textOf(damaged), /^damaged: .*it is blob 0x01\w+; remove it\n/);
    match(textOf(damaged), /half\.blob\.tmp\n3 blobs, 1 damaged\n$/);
    const found = await montana(["archive", "check", "--dir", path, "--json"]);
    const { ok: isWhole, blobs, damaged: list } = JSON.parse(textOf(found));
    deepEqual([found.code, isWhole, blobs, list.length], [1, false, 3, 1]);
  });
});

test("archive serve gives blobs to a deriver's beacon node until it is told to end", async () => {
  await withArchive(async (path, hashes, kzg) => {
    const args = ["archive", "serve", "--dir", path, "--listen", "127.0.0.1:0"];
    await using server = start(args);
    const url = await listeningAt(server);
    const node = new BeaconNode({ url, kzg, clock: systemClock });
    deepEqual(await node.blobs(BLOCK, [hashes[2]!, hashes[0]!]), [BLOBS[2], BLOBS[0]]);
    const slot = `${url}/eth/v1/beacon/blob_sidecars/${BLOCK.timestamp}`;
    const { data } = await (await fetch(slot)).json();
    equal(data.length, 2);
    const blob = BLOBS[0]!;
    equal(data[0].kzg_proof, toHex(await kzg.blobProof(blob, await kzg.commitment(blob))));
    server.send("SIGTERM");
    equal((await server.ended).code, 0);
  });
});

test("archive says what is not there, and what cannot be", async () => {
  await withDirectory(async (path) => {
    for (const name of ["ls", "check", "serve"]) {
      failed(
        await montana(["archive", name, "--dir", path]),
        1,
        /^error: NotFound: Cannot read an archive of blobs in \/.*: it has no directory blobs$/,
      );
    }
  });
  const wrong = [
    ["serve", "--dir", "/tmp", "--listen", "x"],
    ["serve", "--dir", "/tmp", "--genesis-time", "-1"],
    ["ls"],
    ["nothing"],
  ];
  for (const args of wrong) equal((await montana(["archive", ...args])).code, 2, args.join(" "));
  for (const time of ["0s", "1500ms"]) {
    const outcome = await montana(["archive", "serve", "--dir", "/tmp", "--slot-time", time]);
    failed(outcome, 2, new RegExp(`Cannot use --slot-time ${time}: need whole seconds`));
  }
});

async function listeningAt(server: ReturnType<typeof start>): Promise<string> {
  for (;;) {
    const [, url] = /listening on (\S+)\n/.exec(server.stderr) ?? [];
    if (url !== undefined) return url;
    await systemClock.sleep(20);
    const ended = await Promise.race([server.ended, systemClock.sleep(0)]);
    if (ended) throw new Error(`it ended: ${ended.stderr}`);
  }
}
