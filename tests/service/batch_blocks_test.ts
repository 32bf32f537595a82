import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { WalError } from "../../src/errors.ts";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { systemClock } from "../../src/runtime.ts";
import type { Listening } from "../../src/service/http_server.ts";
import { noise } from "../helpers.ts";
import { blockAt, openManager } from "../superblock/world.ts";
import { ask, BatchesWorld, blockBody } from "./served_batches.ts";

test("POST /v1/batch/blocks takes several blocks, and answers for each", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  await world.served(async (server) => {
    const post = (json: unknown) => ask(server, "/v1/batch/blocks", { json });
    const blocks = [7, 8, 9].map((number) => blockBody(blockAt(number, 190 + number)));
    const first = await post(blocks);
    equal(first.status, 200);
    const outcome = "added";
    deepEqual(first.body, {
      blocks: [7, 8, 9].map((number) => ({ block_number: number, outcome })),
    });

    const other = blockBody(blockAt(9, 200, 1));
    const late = blockBody(blockAt(5, 90));
    const ahead = blockBody(blockAt(11, 900));
    const wrong = { ...blockBody(blockAt(10, 200)), slot_number: 3 };
    const second = await post([blocks[0], other, late, ahead, wrong]);
    // Of the first that was refused.
    equal(second.status, 410);
    equal(second.body.error.code, "TooLate");
    deepEqual(
      second.body.blocks.map((each: { outcome: string; error?: { code: string; kind: string } }) =>
        [each.outcome, each.error?.code, each.error?.kind].join(" ").trim()
      ),
      [
        "known",
        "replaced",
        "refused TooLate critical",
        "refused TooEarly temporary",
        "refused WrongSlot critical",
      ],
    );
    const conflict = await post(blockBody(blockAt(12, 195)));
    deepEqual([conflict.status, conflict.body.error.code], [409, "Conflict"]);
    equal((await post([wrong])).status, 422);
    const early = await post(ahead);
    deepEqual([early.status, early.headers.get("retry-after")], [409, "1"]);

    // One of slot and timestamp is enough, numbers may be text, and a time a date.
    const { slot_number: _slot, timestamp: _time, ...bare } = blockBody(blockAt(10, 201));
    const dated = { ...bare, block_number: "0xa", timestamp: "1970-01-12T13:50:01.000Z" };
    equal((await post(dated)).body.blocks[0].outcome, "added");
    const slotted = { ...bare, block_number: "11", block_hash: `0x${"11".repeat(32)}` };
    equal((await post({ ...slotted, slot_number: "17" })).body.blocks[0].outcome, "added");
    deepEqual(world.manager.batch(2n)!.blocks.map(({ number }) => number), [7n, 8n, 9n, 10n, 11n]);
    deepEqual(world.sequencer.status.blockReports, {
      added: 5,
      known: 1,
      replaced: 1,
      refused: 6,
      off: 0,
    });
  });
});

test("a block is answered when it is on the disk, and not before", async () => {
  const disk = new MemoryStorage();
  const world = await BatchesWorld.open({}, disk);
  await world.listener.look();
  const { journal } = world;
  const note = journal.note.bind(journal);
  const held = Promise.withResolvers<void>();
  journal.note = async (change) => {
    await held.promise;
    await note(change);
  };
  await world.served(async (server) => {
    let isAnswered = false;
    const json = [blockBody(blockAt(7, 197)), blockBody(blockAt(8, 198))];
    const posted = ask(server, "/v1/batch/blocks", { json }).finally(() => isAnswered = true);
    await systemClock.sleep(50);
    equal(isAnswered, false);
    held.resolve();
    equal((await posted).status, 200);
    disk.crash(new SeededRandom(1));
  });
  const again = await openManager(disk, world.clock);
  equal(again.manager.batch(2n)!.blocks.length, 2);
  await again.journal.close();
});

test("a full disk is told as such, and the blocks may be sent again", async () => {
  let isFull = false;
  const storage = new FaultyStorage(
    new MemoryStorage(),
    ({ method }) => isFull && method === "write" ? { error: "NoSpace" } : undefined,
  );
  const world = await BatchesWorld.open({}, storage);
  await world.listener.look();
  await world.served(async (server) => {
    const json = blockBody(blockAt(7, 197));
    isFull = true;
    const refused = await ask(server, "/v1/batch/blocks", { json });
    deepEqual([refused.status, refused.body.error.kind], [507, "temporary"]);
    equal(refused.headers.get("retry-after"), "1");
    const unready = await ask(server, "/readyz");
    equal(unready.status, 503);
    match(unready.body.checks.at(-1).reason, /^NoSpace: Cannot write the log/);
    isFull = false;
    equal((await ask(server, "/v1/batch/blocks", { json })).body.blocks[0].outcome, "added");
    equal((await ask(server, "/readyz")).status, 200);
  });
});

test("a broken log is told as such", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  world.journal.note = () => Promise.reject(new WalError("SyncFailed", "Cannot sync: it is gone"));
  await world.served(async (server) => {
    const { status, body } = await ask(server, "/v1/batch/blocks", {
      json: blockBody(blockAt(7, 197)),
    });
    deepEqual([status, body.error.code, body.error.kind], [500, "SyncFailed", "critical"]);
  });
});

test("where blocks are not to be reported, none is taken in silence", async () => {
  const world = await BatchesWorld.open({ blockReporting: false });
  await world.served(async (server) => {
    const { status, body } = await ask(server, "/v1/batch/blocks", {
      json: blockBody(blockAt(7, 197)),
    });
    deepEqual([status, body.error.code], [503, "reporting_disabled"]);
  });
});

test("blocks that are none are refused by name, and none beside them is taken", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  const whole = blockBody(blockAt(7, 197));
  const without = (name: string) => ({ ...whole, [name]: undefined });
  const wrong: readonly [unknown, RegExp][] = [
    [[], /0 blocks/],
    ["text", /the block is no object/],
    [[whole, null], /block 1 of the list is no object/],
    [without("block_number"), /block_number of the block is undefined/],
    [{ ...whole, block_number: 1.5 }, /block_number of the block is 1\.5/],
    [{ ...whole, block_number: -1 }, /block_number/],
    [{ ...whole, block_number: 2 ** 60 }, /block_number/],
    [{ ...whole, block_number: "18446744073709551616" }, /up to 18446744073709551615/],
    [without("block_hash"), /block_hash of the block is undefined/],
    [{ ...whole, block_hash: "0x12" }, /block_hash/],
    [{ ...whole, parent_hash: "12".repeat(32) }, /parent_hash/],
    [{ ...whole, timestamp: "yesterday" }, /timestamp of the block is "yesterday"/],
    [{ ...whole, timestamp: "2026-13-21T00:00:00Z" }, /timestamp/],
    [{ ...whole, timestamp: 253402300800 }, /timestamp/],
    [without("tx_count"), /tx_count/],
    [{ ...whole, tx_count: 4294967296 }, /tx_count/],
    [{ ...whole, included_xtxs: "xt-1" }, /included_xtxs/],
    [{ ...whole, included_xtxs: [1] }, /included_xtxs/],
  ];
  await world.served(async (server) => {
    for (const [json, why] of wrong) {
      const { status, body } = await ask(server, "/v1/batch/blocks", { json });
      deepEqual([JSON.stringify(json), status], [JSON.stringify(json), 400]);
      match(body.error.message, why);
    }
    const send = (body: BodyInit, type: string) =>
      ask(server, "/v1/batch/blocks", { method: "POST", body, headers: { "content-type": type } });
    for (
      const body of ["{", "", "[".repeat(40) + "]".repeat(40), noise(40) as Uint8Array<ArrayBuffer>]
    ) {
      const { status, body: { error } } = await send(body, "application/json");
      deepEqual([status, error.code], [400, "Invalid"]);
    }
    for (const type of ["text/plain", "application/x-protobuf"]) {
      const { status, body: { error } } = await send(JSON.stringify(whole), type);
      deepEqual([status, error.code], [415, "UnsupportedType"]);
    }
    const neither = { ...whole, slot_number: undefined, timestamp: undefined };
    equal((await ask(server, "/v1/batch/blocks", { json: neither })).status, 422);
    equal(world.manager.batch(2n)!.blocks.length, 0);
    // As curl sends it.
    equal((await send(JSON.stringify(whole), "application/x-www-form-urlencoded")).status, 200);
  });
});

test("a request has at most 1000 blocks, and 4 MiB", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  const blocks = Array.from({ length: 1001 }, (_, at) => blockBody(blockAt(at, 192 + at % 20)));
  await world.served(async (server) => {
    const many = await ask(server, "/v1/batch/blocks", { json: blocks });
    deepEqual([many.status, many.body.error.code], [413, "TooMany"]);
    const large = await ask(server, "/v1/batch/blocks", { json: ["x".repeat(2 ** 22)] });
    deepEqual([large.status, large.body.error.code], [413, "TooLarge"]);
    equal(world.manager.batch(2n)!.blocks.length, 0);
    const most = blocks.slice(0, 1000).sort((one, other) =>
      Number(one["timestamp"]) - Number(other["timestamp"])
    ).map((block, at) => ({ ...block, block_number: at }));
    const taken = await ask(server, "/v1/batch/blocks", { json: most });
    deepEqual([taken.status, taken.body.blocks.length], [200, 1000]);
    equal(world.manager.batch(2n)!.blocks.length, 1000);
  });
});

/** Sends the begin of a request, then a byte now and then; resolves with what is answered. */
function slowly({ name }: Listening, everyMs: number | undefined): Promise<string> {
  const { hostname, port } = new URL(name);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const timer = everyMs === undefined
      ? undefined
      : setInterval(() => socket.writable && socket.write(" "), everyMs);
    let answer = "";
    const end = () => {
      clearInterval(timer);
      socket.destroy();
      resolve(answer);
    };
    socket.on("data", (data: Uint8Array) => answer += new TextDecoder().decode(data));
    socket.once("end", end).once("close", end);
    // Cut off while it sends: what was answered before counts.
    socket.once("error", (error) => answer === "" ? reject(error) : end());
    socket.write(
      "POST /v1/batch/blocks HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n" +
        "Content-Length: 100000\r\n\r\n[",
    );
  });
}

test("who sends too slowly is answered 408 and cut off, and others are served meanwhile", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  await world.served(async (server) => {
    const slow = [slowly(server, undefined), slowly(server, 20)];
    const json = blockBody(blockAt(7, 197));
    equal((await ask(server, "/v1/batch/blocks", { json })).status, 200);
    for (const answer of await Promise.all(slow)) {
      match(answer, /^HTTP\/1\.1 408 /);
      match(answer, /its body came too slowly/);
    }
    equal((await ask(server, "/v1/batch/blocks", { json })).status, 200);
  }, { stalledMs: 300 });
});

test("who goes away half way takes nobody along", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  await world.served(async (server) => {
    const { hostname, port } = new URL(server.name);
    for (let time = 0; time < 20; time++) {
      const socket = connect(Number(port), hostname);
      await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
      socket.on("error", () => {});
      socket.write("POST /v1/batch/blocks HTTP/1.1\r\nHost: here\r\nContent-Length: 9999\r\n\r\n[");
      socket.destroy();
    }
    const json = blockBody(blockAt(7, 197));
    equal((await ask(server, "/v1/batch/blocks", { json })).status, 200);
  });
});
