import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Storage } from "../../src/ports.ts";
import { type Repair, repairLog } from "../../src/wal/repair.ts";
import {
  contentsOf,
  copyOf,
  DIRECTORY,
  diskWith,
  openLog,
  payloadOf,
  recordsOf,
  segmentPaths,
  walErrorOf,
} from "./logs.ts";

const SMALL = { segmentBytes: 600 };

const repairOf = (storage: Storage) => repairLog({ storage, directory: DIRECTORY });

/** Opens a repaired log: its records are as they were, and are those that the repair told of. */
async function holdsKept(storage: Storage, repair: Repair): Promise<bigint[]> {
  const log = await openLog(storage, SMALL);
  equal(log.checkpointed, repair.checkpoint);
  equal(log.nextSequence, repair.nextSequence);
  const records = await recordsOf(log);
  for (const { sequence, payload } of records) deepEqual(payload, payloadOf(sequence));
  const sequences = records.map(({ sequence }) => sequence);
  const kept = repair.kept.flatMap(({ first, last }) =>
    Array.from({ length: Number(last - first) + 1 }, (_, index) => first + BigInt(index))
  );
  deepEqual(sequences, kept);
  equal(await log.append(1, payloadOf(log.nextSequence)), repair.nextSequence);
  await log.close();
  await (await openLog(storage, SMALL)).close();
  return sequences;
}

/** Zeros over a part of a file, given as a share of its length. */
function zeroed(target: string, from: number, bytes: number) {
  return (path: string, data: Uint8Array) => {
    if (path !== target) return data;
    const at = Math.floor(from * data.length);
    return data.fill(0, at, at + bytes);
  };
}

test("repairLog() finds nothing to do in a whole log, and changes nothing", async () => {
  const storage = await diskWith([9, 9, 9, 9], { ...SMALL, checkpoint: 3n });
  const before = await contentsOf(storage);
  deepEqual(await repairOf(storage), {
    fault: undefined,
    steps: [],
    kept: [{ first: 3n, last: 35n }],
    lost: [],
    checkpoint: 3n,
    nextSequence: 36n,
  });
  deepEqual(await contentsOf(storage), before);
});

test("repairLog() keeps all but the record that is damaged, where a later write follows", async () => {
  const original = await diskWith([3, 3, 3, 3]);
  const [path] = await segmentPaths(original);
  const whole = await original.read(path!);
  const at = whole.indexOf("5".charCodeAt(0), whole.length / 3);
  equal(new TextDecoder().decode(whole.subarray(at - 7, at)), "record ");
  for (const [bytes, lost] of [[1, 5n], [20, 6n]] as const) {
    const storage = await copyOf(
      original,
      (each, data) => each === path ? data.fill(0, at, at + bytes) : data,
    );
    const damaged = await storage.read(path!);
    equal((await walErrorOf(openLog(storage))).code, "Corrupted");
    const repair = await repairOf(storage);
    equal(repair.fault?.path, path);
    deepEqual(repair.lost, [{ first: 5n, last: lost }]);
    const kept = Array.from({ length: 12 }, (_, index) => BigInt(index));
    deepEqual(await holdsKept(storage, repair), kept.filter((each) => each < 5n || each > lost));
    deepEqual(await storage.read(`${path}.broken`), damaged, "the damaged file is kept aside");
  }
});

test("repairLog() that is only asked changes nothing", async () => {
  const original = await diskWith([9, 9, 9, 9], SMALL);
  const [, path] = await segmentPaths(original);
  const storage = await copyOf(original, zeroed(path!, 0.3, 20));
  const before = await contentsOf(storage);
  const told = await repairLog({ storage, directory: DIRECTORY }, { isDryRun: true });
  deepEqual(await contentsOf(storage), before);
  deepEqual(await repairOf(storage), told);
  deepEqual(told.steps.map(({ action }) => action), ["copy", "write", "write"]);
});

test("repairLog() loses nothing that is needed where the damage lies below the checkpoint", async () => {
  const original = await diskWith([3, 3, 3, 3], { checkpoint: 9n });
  const [path] = await segmentPaths(original);
  const storage = await copyOf(original, zeroed(path!, 0.3, 30));
  equal((await walErrorOf(openLog(storage))).code, "Corrupted");
  const repair = await repairOf(storage);
  deepEqual(repair.lost, []);
  deepEqual(await holdsKept(storage, repair), [9n, 10n, 11n]);
});

test("repairLog() goes on where a segment is missing, be it the first or the last", async () => {
  const original = await diskWith([9, 9, 9, 9], SMALL);
  const paths = await segmentPaths(original);
  const all = Array.from({ length: 36 }, (_, index) => BigInt(index));
  for (const [index, missing] of paths.entries()) {
    const storage = await copyOf(original, (path, bytes) => path === missing ? undefined : bytes);
    const repair = await repairOf(storage);
    const kept = await holdsKept(storage, repair);
    const firsts = [...paths.map((path) => BigInt(path.slice(-24, -4))), 36n];
    const lost = all.filter((each) => each >= firsts[index]! && each < firsts[index + 1]!);
    deepEqual(kept, all.filter((each) => !lost.includes(each)));
    deepEqual(repair.lost, [{ first: lost[0], last: lost.at(-1) }]);
    equal(repair.nextSequence, 36n, "what is lost at the end is not numbered again");
  }
});

test("repairLog() writes the head anew, and begins behind what it told of where all is gone", async () => {
  const original = await diskWith([9, 9], SMALL);
  const noHead = await copyOf(original, (path, bytes) => path.endsWith("head") ? undefined : bytes);
  equal((await holdsKept(noHead, await repairOf(noHead))).length, 18);
  const onlyHead = await copyOf(
    original,
    (path, bytes) => path.endsWith("head") ? bytes : undefined,
  );
  const repair = await repairOf(onlyHead);
  deepEqual(await holdsKept(onlyHead, repair), []);
  equal(repair.nextSequence, 18n);
  deepEqual(repair.lost, [{ first: 0n, last: 17n }]);
});

test("repairLog() does to a torn end what opening does", async () => {
  const storage = await diskWith([3, 3], { isClosed: false });
  const [path] = await segmentPaths(storage);
  await storage.truncate(path!, (await storage.size(path!))! - 3);
  const repair = await repairOf(storage);
  deepEqual(repair.steps.map(({ action }) => action), ["copy", "cut"]);
  deepEqual(await holdsKept(storage, repair), [0n, 1n, 2n, 3n, 4n]);
});

test("repairLog() does not touch a log that is open", async () => {
  const storage = await diskWith([1]);
  const log = await openLog(storage);
  const error = await walErrorOf(repairOf(storage));
  equal(error.code, "Locked");
  await log.close();
});

test("repairLog() does not take a log within a payload for the log", async () => {
  const inner = await diskWith([3, 3]);
  const payload = (await inner.read((await segmentPaths(inner))[0]!)).slice(40);
  const storage = await diskWith([]);
  const log = await openLog(storage);
  await log.append(1, payload);
  await log.close();
  const [path] = await segmentPaths(storage);
  const damaged = await copyOf(storage, (each, bytes) => {
    if (each === path) bytes[40 + 33 + 4]! ^= 1;
    return bytes;
  });
  const repair = await repairOf(damaged);
  deepEqual(repair.kept, []);
  deepEqual(repair.lost, [{ first: 0n, last: 0n }]);
});

/** What may happen to a log on a disk that rots. */
const damages = fc.array(
  fc.record({
    file: fc.nat(20),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    kind: fc.constantFrom("flip", "zeros", "cut", "remove"),
  }),
  { minLength: 1, maxLength: 3 },
);

async function damage(
  storage: MemoryStorage,
  list: readonly { file: number; at: number; kind: string }[],
): Promise<MemoryStorage> {
  const paths = [...await segmentPaths(storage), `${DIRECTORY}/head`];
  return await copyOf(storage, (path, bytes) => {
    for (const { file, at, kind } of list) {
      if (paths[file % paths.length] !== path) continue;
      const offset = Math.floor(at * bytes.length);
      if (kind === "remove") return undefined;
      if (kind === "cut") bytes = bytes.slice(0, offset);
      else if (kind === "zeros") bytes.fill(0, offset, offset + 30);
      else if (bytes.length > 0) bytes[offset]! ^= 1 << (file & 7);
    }
    return bytes;
  });
}

test("repairLog() makes a log usable whatever happened to it, and no record is a wrong one", async () => {
  const original = await diskWith([9, 2, 9, 1, 9, 9, 4], { ...SMALL, checkpoint: 11n });
  await fc.assert(
    fc.asyncProperty(damages, async (list) => {
      const storage = await damage(original, list);
      const repair = await repairOf(storage);
      await holdsKept(storage, repair);
      equal((await repairOf(storage)).fault, undefined);
    }),
    { numRuns: 300 },
  );
});

test("repairLog() that is cut off anywhere keeps as much when it is done again", async () => {
  const original = await diskWith([9, 2, 9, 1, 9, 9, 4], { ...SMALL, checkpoint: 11n });
  const random = new SeededRandom(5);
  await fc.assert(
    fc.asyncProperty(damages, async (list) => {
      const damaged = await damage(original, list);
      const whole = await copyOf(damaged);
      const { kept, nextSequence } = await repairOf(whole);
      for (let number = 1;; number += 3) {
        const storage = await copyOf(damaged);
        const faulty = new FaultyStorage(
          storage,
          (call) => call.number === number ? { crash: true, written: 7 } : undefined,
        );
        if (await repairOf(faulty).then(() => true, () => false)) break;
        storage.crash(random);
        const again = await repairOf(storage);
        deepEqual(again.kept, kept);
        equal(again.nextSequence, nextSequence);
        await holdsKept(storage, again);
      }
    }),
    { numRuns: 25 },
  );
});
