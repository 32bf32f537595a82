import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import {
  FaultyStorage,
  type StorageCall,
  type StorageFault,
} from "../../src/local/faulty_storage.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { MARK_BYTES, RECORD_HEADER_BYTES } from "../../src/wal/record.ts";
import { SEGMENT_HEADER_BYTES } from "../../src/wal/segment.ts";
import { noise, withMembers } from "../helpers.ts";
import {
  DIRECTORY,
  diskWith,
  fill,
  openLog,
  payloadOf,
  recordsOf,
  segmentPaths,
  walErrorOf,
} from "./logs.ts";

/** A disk whose faults are changed as a test goes on, and which remembers its calls. */
function moody() {
  const mood: { fault: (call: StorageCall) => StorageFault | undefined } = {
    fault: () => undefined,
  };
  const calls: string[] = [];
  const storage = new FaultyStorage(new MemoryStorage(), (call) => {
    calls.push(`${call.method} ${call.path.replace(`${DIRECTORY}/`, "")}`);
    return mood.fault(call);
  });
  return { storage, calls, mood };
}

const sequencesOf = async (...args: Parameters<typeof recordsOf>) =>
  (await recordsOf(...args)).map(({ sequence }) => sequence);

test("Wal keeps what was appended over a restart, from its checkpoint on", async () => {
  const storage = await diskWith([3, 2], { checkpoint: 1n });
  const log = await openLog(storage);
  equal(log.checkpointed, 1n);
  equal(log.nextSequence, 5n);
  deepEqual(
    await recordsOf(log),
    [1n, 2n, 3n, 4n].map((sequence) => ({ sequence, type: 1, payload: payloadOf(sequence) })),
  );
  deepEqual(await sequencesOf(log, 0n), [0n, 1n, 2n, 3n, 4n]);
  deepEqual(await sequencesOf(log, 5n), []);
  await log.close();
});

test("Wal gives sequences in the order of the calls, and takes empty payloads of any type", async () => {
  const log = await openLog(new MemoryStorage());
  const given = [1, 255, 7].map((type) => log.append(type, new Uint8Array()));
  equal(log.nextSequence, 3n);
  deepEqual(await Promise.all(given), [0n, 1n, 2n]);
  deepEqual((await recordsOf(log)).map(({ type }) => type), [1, 255, 7]);
  for (const type of [0, 256, -1, 1.5, NaN]) {
    equal((await walErrorOf(log.append(type, new Uint8Array()))).code, "OutOfRange");
  }
  await log.close();
});

test("Wal keeps what a payload was at the call, and gives each reader its own", async () => {
  const log = await openLog(new MemoryStorage());
  const payload = Uint8Array.of(1, 2, 3);
  const appended = log.append(1, payload);
  payload.fill(0);
  await appended;
  for (let time = 0; time < 2; time++) {
    const [record] = await recordsOf(log);
    deepEqual(record!.payload, Uint8Array.of(1, 2, 3));
    equal(record!.payload.buffer.byteLength, 3);
    record!.payload.fill(9);
  }
  await log.close();
});

test("Wal acknowledges after the sync, and writes what came meanwhile together", async () => {
  const { storage, calls } = moody();
  const log = await openLog(storage);
  calls.length = 0;
  const told: string[] = [];
  const append = (name: string) =>
    log.append(1, new Uint8Array(5)).then(() => told.push(`${name} after ${calls.length} calls`));
  const first = append("first");
  await Promise.resolve();
  await Promise.resolve();
  // The first write is under way.
  await Promise.all([first, append("second"), append("third"), append("fourth")]);
  const segment = "00000000000000000000.wal";
  deepEqual(calls, [`write ${segment}`, `sync ${segment}`, `write ${segment}`, `sync ${segment}`]);
  deepEqual(told, [
    "first after 2 calls",
    "second after 4 calls",
    "third after 4 calls",
    "fourth after 4 calls",
  ]);
  await log.close();
});

test("Wal lets 64 writers share each write", async () => {
  const { storage, calls } = moody();
  const log = await openLog(storage);
  calls.length = 0;
  const writer = async () => {
    for (let count = 0; count < 10; count++) await log.append(1, new Uint8Array(9));
  };
  await Promise.all(Array.from({ length: 64 }, writer));
  const syncs = calls.filter((call) => call.startsWith("sync ")).length;
  ok(syncs <= 11, `640 records took ${syncs} syncs`);
  await log.close();
});

test("Wal begins a new segment before a record that does not fit", async () => {
  const storage = new MemoryStorage();
  const log = await openLog(storage, { segmentBytes: 600 });
  const room = 600 - SEGMENT_HEADER_BYTES - MARK_BYTES - RECORD_HEADER_BYTES;
  await log.append(1, new Uint8Array(room));
  equal((await segmentPaths(storage)).length, 1);
  await log.append(1, new Uint8Array(0));
  await log.append(1, new Uint8Array(room - MARK_BYTES - RECORD_HEADER_BYTES));
  await log.append(1, new Uint8Array(0));
  deepEqual(await segmentPaths(storage), [
    `${DIRECTORY}/00000000000000000000.wal`,
    `${DIRECTORY}/00000000000000000001.wal`,
    `${DIRECTORY}/00000000000000000003.wal`,
  ]);
  for (const path of await segmentPaths(storage)) ok((await storage.size(path))! <= 600);
  // More than one segment holds, in one turn.
  await Promise.all(Array.from({ length: 50 }, () => log.append(1, new Uint8Array(40))));
  deepEqual(await sequencesOf(log), Array.from({ length: 54 }, (_, index) => BigInt(index)));
  await log.close();
});

test("Wal gives a record that no segment holds one of its own, up to its limit", async () => {
  const config = { segmentBytes: 600, maxRecordBytes: 5000 };
  const storage = new MemoryStorage();
  const log = await openLog(storage, config);
  await log.append(1, payloadOf(0));
  await log.append(1, noise(5000));
  await log.append(1, payloadOf(2));
  const error = await walErrorOf(log.append(1, noise(5001)));
  equal(error.code, "RecordTooLarge");
  equal(
    error.message,
    `Cannot append a record of 5001 bytes to the log in ${DIRECTORY}: it takes 5000 at most`,
  );
  equal(log.nextSequence, 3n);
  equal((await segmentPaths(storage)).length, 3);
  await log.close();
  // What is there is read, whatever the limit is today.
  const again = await openLog(storage, { segmentBytes: 600, maxRecordBytes: 10 });
  deepEqual((await recordsOf(again)).map(({ payload }) => payload.length), [8, 5000, 10]);
  await again.close();
});

test("Wal.checkpoint() removes the segments wholly below, and nothing above", async () => {
  const storage = new MemoryStorage();
  const log = await openLog(storage, { segmentBytes: 600 });
  await fill(log, [9, 9, 9, 9]);
  const firsts = (await segmentPaths(storage)).map((path) => BigInt(path.slice(-24, -4)));
  deepEqual(firsts, [0n, 17n, 32n]);
  for (const [checkpoint, left] of [[16n, 3], [17n, 2], [18n, 2], [31n, 2], [32n, 1], [36n, 1]]) {
    await log.checkpoint(BigInt(checkpoint!));
    equal(log.checkpointed, checkpoint);
    equal((await segmentPaths(storage)).length, left, `at ${checkpoint}`);
  }
  await log.checkpoint(3n);
  equal(log.checkpointed, 36n, "it does not go back");
  equal((await walErrorOf(log.checkpoint(37n))).code, "OutOfRange");
  const removed = await walErrorOf(recordsOf(log, 30n));
  equal(removed.code, "OutOfRange");
  ok(removed.message.includes("from record 30: it holds 32 to 35"), removed.message);
  equal((await walErrorOf(recordsOf(log, 37n))).code, "OutOfRange");
  await log.close();
  const again = await openLog(storage);
  equal(again.checkpointed, 36n);
  deepEqual(await sequencesOf(again), []);
  equal(await again.append(1, new Uint8Array()), 36n);
  deepEqual(await sequencesOf(again), [36n]);
  await again.close();
});

test("Wal.checkpoint() of records that are not synced yet waits until they are", async () => {
  const { storage, calls } = moody();
  const log = await openLog(storage);
  calls.length = 0;
  const appended = log.append(1, payloadOf(0));
  const checkpointed = log.checkpoint(1n);
  await Promise.all([appended, checkpointed]);
  // A torn write of both could have kept the checkpoint and lost the record.
  deepEqual(calls.map((call) => call.split(" ")[0]), ["write", "sync", "write", "sync"]);
  equal(log.checkpointed, 1n);
  await log.close();
});

test("Wal.read() beside a writer gives what was synced when it began", async () => {
  const log = await openLog(new MemoryStorage(), { segmentBytes: 600 });
  await fill(log, [5, 5]);
  const found: bigint[] = [];
  for await (const { sequence } of log.read()) {
    found.push(sequence);
    await log.append(1, payloadOf(log.nextSequence));
    if (sequence === 4n) await log.checkpoint(4n);
  }
  deepEqual(found, Array.from({ length: 10 }, (_, index) => BigInt(index)));
  equal(log.nextSequence, 20n);
  await log.close();
});

test("Wal.read() does not skip what a checkpoint removed before it came there", async () => {
  const log = await openLog(new MemoryStorage(), { segmentBytes: 600 });
  await fill(log, [9, 9, 9, 9]);
  const records = log.read()[Symbol.asyncIterator]();
  await records.next();
  await log.checkpoint(36n);
  await rejects(async () => {
    while (!(await records.next()).done);
  }, { code: "OutOfRange" });
  await log.close();
});

test("Wal.read() has no more in memory than a chunk, and a record that is larger", async () => {
  let most = 0;
  const memory = new MemoryStorage();
  const storage = withMembers(memory, {
    read: async (path, offset, length) => {
      const bytes = await memory.read(path, offset, length);
      most = Math.max(most, bytes.length);
      return bytes;
    },
  });
  const log = await openLog(storage, { maxRecordBytes: 4 * 1024 * 1024 });
  await Promise.all(Array.from({ length: 200 }, () => log.append(1, new Uint8Array(50_000))));
  let bytes = 0;
  for await (const { payload } of log.read()) bytes += payload.length;
  equal(bytes, 10_000_000);
  ok(most <= 1024 * 1024, `${most} bytes were read at once`);
  const large = await log.append(1, new Uint8Array(3_000_000));
  deepEqual(await sequencesOf(log, large), [large]);
  ok(most < 3_000_100, `${most} bytes were read at once`);
  await log.close();
});

test("Wal.append() fails on a full disk with what came after it, and goes on when there is room", async () => {
  const { storage, mood } = moody();
  const log = await openLog(storage);
  await log.append(1, payloadOf(0));
  for (const written of [0, 1, 40, 1000]) {
    const next = log.nextSequence;
    mood.fault = ({ method }) => method === "write" ? { error: "NoSpace", written } : undefined;
    const results = await Promise.allSettled([1, 2, 3].map(() => log.append(1, noise(20))));
    for (const result of results) {
      ok(result.status === "rejected");
      equal(result.reason.code, "NoSpace");
      equal(result.reason.isRetryable, true);
      ok(result.reason.message.startsWith(`Cannot write the log in ${DIRECTORY}: `));
    }
    mood.fault = () => undefined;
    equal(log.nextSequence, next);
    equal(await log.append(1, payloadOf(next)), next);
  }
  await log.close();
  const again = await openLog(storage);
  deepEqual(
    (await recordsOf(again)).map(({ payload }) => payload),
    [0, 1, 2, 3, 4].map(payloadOf),
  );
  await again.close();
});

test("Wal goes on when a disk was full at each step of a new segment", async () => {
  for (const method of ["openAppend", "write", "rename"]) {
    for (const name of [".wal.tmp", ".wal", "head.tmp", "head"]) {
      const { storage, mood } = moody();
      const log = await openLog(storage, { segmentBytes: 600 });
      await fill(log, [9]);
      mood.fault = ({ method: called, path }) =>
        called === method && path.endsWith(name) ? { error: "NoSpace", written: 3 } : undefined;
      const isHit = await log.append(1, noise(400)).then(() => false, () => true);
      if (isHit) {
        equal((await walErrorOf(log.append(1, noise(10)))).code, "NoSpace");
        equal((await walErrorOf(log.checkpoint(9n))).code, "NoSpace");
      }
      mood.fault = () => undefined;
      await log.append(1, payloadOf(log.nextSequence));
      await log.checkpoint(9n);
      await log.close();
      const again = await openLog(storage);
      const expected = isHit ? [9n] : [9n, 10n];
      deepEqual(await sequencesOf(again), expected, `${method} ${name}`);
      await again.close();
    }
  }
});

test("Wal stops for good when a sync fails", async () => {
  for (const failing of ["sync", "truncate"]) {
    const { storage, mood } = moody();
    const log = await openLog(storage);
    await log.append(1, payloadOf(0));
    mood.fault = ({ method }) =>
      method === failing || failing === "truncate" && method === "write"
        ? { error: "Unwritable", written: 5 }
        : undefined;
    const first = await walErrorOf(log.append(1, payloadOf(1)));
    equal(first.code, "SyncFailed");
    equal(first.isRetryable, false);
    ok(first.message.includes("a sync failed (Cannot "), first.message);
    mood.fault = () => undefined;
    for (const action of [log.append(1, payloadOf(1)), log.checkpoint(1n), recordsOf(log)]) {
      equal((await walErrorOf(action)).code, "SyncFailed");
    }
    await log.close();
    const again = await openLog(storage);
    equal((await recordsOf(again))[0]!.sequence, 0n);
    await again.close();
  }
});

test("Wal.close() waits for what is under way, and takes nothing more", async () => {
  const storage = new MemoryStorage();
  const log = await openLog(storage);
  const appended = [0, 1].map((sequence) => log.append(1, payloadOf(sequence)));
  const closed = log.close();
  equal(closed, log.close());
  for (const late of [log.append(1, payloadOf(2)), log.checkpoint(1n), recordsOf(log)]) {
    equal((await walErrorOf(late)).code, "Closed");
  }
  deepEqual(await Promise.all(appended), [0n, 1n]);
  await closed;
  const again = await openLog(storage);
  deepEqual(await sequencesOf(again), [0n, 1n]);
  await again.close();
});

test("Wal is open once at a time", async () => {
  const storage = new MemoryStorage();
  const log = await openLog(storage);
  const error = await walErrorOf(openLog(storage));
  equal(error.code, "Locked");
  ok(error.message.startsWith(`Cannot open the log in ${DIRECTORY}: `), error.message);
  await log.append(1, payloadOf(0));
  await log.close();
  await (await openLog(storage)).close();
});

test("Wal.open() gives its lock back where it fails", async () => {
  const storage = await diskWith([1]);
  await storage.remove(`${DIRECTORY}/head`);
  for (let time = 0; time < 2; time++) {
    equal((await walErrorOf(openLog(storage))).code, "Corrupted");
  }
});

test("Wal.open() refuses sizes that cannot be", async () => {
  const wrong = [{ segmentBytes: 100 }, { segmentBytes: 2 ** 31 }, { maxRecordBytes: 0 }];
  for (const config of [...wrong, { maxRecordBytes: 1.5 }, { segmentBytes: NaN }]) {
    await rejects(openLog(new MemoryStorage(), config), ConfigError);
  }
});

test("Wal.open() removes files that were not finished", async () => {
  const storage = await diskWith([1]);
  const file = await storage.openAppend(`${DIRECTORY}/00000000000000000001.wal.tmp`);
  await file.write(noise(10));
  await (await openLog(storage)).close();
  deepEqual(await storage.list(DIRECTORY), ["00000000000000000000.wal", "head"]);
});
