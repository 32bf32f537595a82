import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { WalError } from "../../src/errors.ts";
import type { Storage } from "../../src/ports.ts";
import { crc32c } from "../../src/wal/crc32c.ts";
import { Wal } from "../../src/wal/log.ts";
import { MARK_BYTES } from "../../src/wal/record.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../../src/wal/segment.ts";
import {
  contentsOf,
  copyOf,
  DIRECTORY,
  diskWith,
  openLog,
  payloadOf,
  put,
  recordsOf,
  segmentPaths,
  walErrorOf,
} from "./logs.ts";

const SMALL = { segmentBytes: 600 };

/**
 * Opens a log that was damaged. It is refused, unchanged, with file and offset; or it holds so many
 * records, as they were, and goes on.
 *
 * @returns how many records it holds; `undefined` where it was refused
 */
async function holds(storage: Storage, what: string): Promise<number | undefined> {
  const before = (await contentsOf(storage)).filter((file) => !file.startsWith("lock"));
  let log;
  try {
    log = await openLog(storage, SMALL);
  } catch (error) {
    ok(error instanceof WalError && error.code === "Corrupted", `${what}: ${error}`);
    const { path, offset } = error.details;
    ok(String(path).startsWith(`${DIRECTORY}/`) && typeof offset === "number", what);
    ok(error.message.includes(`${path} is damaged at offset ${offset}`), error.message);
    deepEqual(await contentsOf(storage), before, `${what}: something was changed`);
    return undefined;
  }
  const records = await recordsOf(log, log.checkpointed);
  records.forEach((record, index) => {
    equal(record.sequence, log.checkpointed + BigInt(index), what);
    deepEqual(record.payload, payloadOf(record.sequence), what);
  });
  const next = log.nextSequence;
  equal(await log.append(1, payloadOf(next)), next);
  await log.close();
  const again = await openLog(storage, SMALL);
  equal(again.nextSequence, next + 1n, what);
  await again.close();
  return Number(next);
}

function cutTo(target: string, length: number) {
  return (path: string, bytes: Uint8Array) => path === target ? bytes.slice(0, length) : bytes;
}

function flip(target: string, bit: number) {
  return (path: string, bytes: Uint8Array) => {
    if (path === target) bytes[bit >>> 3]! ^= 1 << (bit & 7);
    return bytes;
  };
}

test("Wal cut at any length gives the records before the cut, where nobody knew of more", async () => {
  const storage = await diskWith([3, 1, 4], { isClosed: false });
  const [path] = await segmentPaths(storage);
  const size = (await storage.size(path!))!;
  let least = 0;
  for (let length = SEGMENT_HEADER_BYTES; length <= size; length++) {
    const count = await holds(await copyOf(storage, cutTo(path!, length)), `cut to ${length}`);
    ok(count !== undefined && count >= least, `cut to ${length}: ${count} records`);
    least = count;
  }
  equal(least, 8);
  for (let length = 0; length < SEGMENT_HEADER_BYTES; length++) {
    equal(await holds(await copyOf(storage, cutTo(path!, length)), `cut to ${length}`), undefined);
  }
});

test("Wal cut anywhere is refused after it was closed, and in all segments but the last", async () => {
  const storage = await diskWith([3, 1, 4, 9, 9, 9, 2], SMALL);
  const paths = await segmentPaths(storage);
  equal(paths.length, 3);
  for (const path of paths) {
    const size = (await storage.size(path))!;
    for (let length = 0; length < size; length++) {
      const what = `${path} cut to ${length}`;
      equal(await holds(await copyOf(storage, cutTo(path, length)), what), undefined, what);
    }
  }
});

test("Wal with any bit flipped is refused, or loses what no later write has vouched for", async () => {
  const storage = await diskWith([3, 1, 4], { isClosed: false });
  const [path] = await segmentPaths(storage);
  const size = (await storage.size(path!))!;
  const counts = new Map<number | undefined, number>();
  for (let bit = 0; bit < 8 * size; bit++) {
    const count = await holds(await copyOf(storage, flip(path!, bit)), `bit ${bit}`);
    counts.set(count, (counts.get(count) ?? 0) + 1);
  }
  // Only the last write can pass for torn: 4, 5, 6 or 7 records are left of 8.
  deepEqual([...counts.keys()].sort(), [4, 5, 6, 7, undefined]);
  equal(counts.get(4)! > 8 * 33, true, "the mark of the last write counts as its part");
});

test("Wal with any bit flipped is refused after it was closed", async () => {
  const storage = await diskWith([3, 9, 9, 2], SMALL);
  const paths = [...await segmentPaths(storage), `${DIRECTORY}/head`];
  for (const path of paths) {
    const size = (await storage.size(path))!;
    for (let bit = 0; bit < 8 * size; bit++) {
      const count = await holds(await copyOf(storage, flip(path, bit)), `${path} bit ${bit}`);
      equal(count, undefined, `${path} bit ${bit} was flipped, and not seen`);
    }
  }
});

test("Wal with a checkpoint last is refused after it was closed, with any bit of it flipped or cut off", async () => {
  const storage = await diskWith([3, 2], { checkpoint: 4n });
  const [path] = await segmentPaths(storage);
  const size = (await storage.size(path!))!;
  for (let at = size - MARK_BYTES; at < size; at++) {
    equal(await holds(await copyOf(storage, cutTo(path!, at)), `cut to ${at}`), undefined);
    for (let bit = 8 * at; bit < 8 * at + 8; bit++) {
      equal(await holds(await copyOf(storage, flip(path!, bit)), `bit ${bit}`), undefined);
    }
  }
});

test("Wal is torn by what follows in the same write, and corrupt by what a later one wrote", async () => {
  // One write of five records: the third is lost, those behind it are whole.
  const torn = await diskWith([2, 5], { isClosed: false });
  const [path] = await segmentPaths(torn);
  const zeroed = (from: number, to: number) => (_: string, bytes: Uint8Array) => {
    if (bytes.length > 100) bytes.fill(0, from, to);
    return bytes;
  };
  const size = (await torn.size(path!))!;
  equal(await holds(await copyOf(torn, zeroed(size - 80, size - 60)), "torn"), 4);

  const corrupt = await diskWith([2, 5, 1], { isClosed: false });
  const at = size - 80;
  const error = await walErrorOf(openLog(await copyOf(corrupt, zeroed(at, at + 20))));
  equal(error.code, "Corrupted");
  ok(error.message.includes(`a later write begins at offset ${size}`), error.message);
});

test("Wal refuses a segment that is missing, first, in the middle or last", async () => {
  const storage = await diskWith([9, 9, 9, 9], SMALL);
  const paths = await segmentPaths(storage);
  ok(paths.length >= 3);
  for (const missing of paths) {
    const copy = await copyOf(storage, (path, bytes) => path === missing ? undefined : bytes);
    equal(await holds(copy, `${missing} is missing`), undefined, `${missing} is missing`);
  }
  // A torn end besides does not make it better.
  const torn = await diskWith([9, 9, 9, 9], { ...SMALL, isClosed: false });
  const end = (await torn.size(paths.at(-1)!))! - 1;
  const both = await copyOf(
    torn,
    (path, bytes) => path === paths[0] ? undefined : cutTo(paths.at(-1)!, end)(path, bytes),
  );
  equal(await holds(both, "the first is missing, the last torn"), undefined);

  const noHead = await copyOf(storage, (path, bytes) => path.endsWith("head") ? undefined : bytes);
  equal(await holds(noHead, "the head is missing"), undefined);
  const onlyHead = await copyOf(
    storage,
    (path, bytes) => path.endsWith("head") ? bytes : undefined,
  );
  equal(await holds(onlyHead, "all but the head is missing"), undefined);
});

test("Wal refuses segments that were swapped, and one of another log", async () => {
  const storage = await diskWith([9, 9, 9, 9], SMALL);
  const [, second, third] = await segmentPaths(storage);
  const [a, b] = [await storage.read(second!), await storage.read(third!)];
  await put(storage, second!, b);
  await put(storage, third!, a);
  equal(await holds(storage, "swapped"), undefined);

  const foreign = await diskWith([9, 9, 9, 9], { ...SMALL, type: 2 });
  const copy = await copyOf(storage);
  await put(copy, second!, await foreign.read(second!));
  equal(await holds(copy, "foreign"), undefined);
});

test("Wal refuses a segment of a version that it does not know", async () => {
  const bytes = encodeSegmentHeader({ first: 0n, follows: 0n, checkpoint: 0n, chain: 0 });
  const view = new DataView(bytes.buffer);
  view.setUint32(4, 2, true);
  view.setUint32(36, crc32c(bytes, 0, 0, 36), true);
  const storage = await copyOf(
    await diskWith([]),
    (path, old) => path.endsWith(".wal") ? bytes : old,
  );
  const error = await walErrorOf(openLog(storage));
  ok(error.message.includes("its version is 2, this program knows 1"), error.message);
});

test("Wal that was killed takes room allotted in advance for no fault, and what is torn in it for one", async () => {
  const storage = await diskWith([3, 1, 4], { isClosed: false, aheadBytes: 300 });
  const [path] = await segmentPaths(storage);
  const whole = await storage.read(path!);
  const end = whole.findLastIndex((byte) => byte !== 0) + 1;
  ok(whole.length > end);
  equal(await holds(await copyOf(storage), "killed"), 8);
  for (let length = end; length < whole.length; length++) {
    const copy = await copyOf(storage, cutTo(path!, length));
    equal(await holds(copy, `cut to ${length}`), 8);
    deepEqual(await copy.list(DIRECTORY), await storage.list(DIRECTORY), "nothing is kept aside");
    equal(await holds(await copyOf(storage, flip(path!, 8 * length)), `bit at ${length}`), 8);
  }
  // The last write lost all of its sectors, or one.
  const start = end - 120;
  for (const [from, to] of [[start, end], [start, start + 20], [end - 20, end]] as const) {
    const lost = await copyOf(
      storage,
      (each, bytes) => each === path ? bytes.fill(0, from, to) : bytes,
    );
    const count = await holds(lost, `zeros from ${from} to ${to}`);
    ok(count !== undefined && count >= 4 && count < 8, `${count}`);
  }
});

test("Wal told of a torn end keeps it aside", async () => {
  const storage = await diskWith([2, 5], { isClosed: false });
  const [path] = await segmentPaths(storage);
  const whole = await storage.read(path!);
  await storage.truncate(path!, whole.length - 1);
  const events: unknown[] = [];
  const log = await Wal.open(
    { storage, directory: DIRECTORY, log: (event) => events.push(event) },
    { aheadBytes: 0 },
  );
  const offset = (await storage.size(path!))!;
  deepEqual(events, [{
    event: "log.tail_cut",
    path,
    offset,
    bytes: whole.length - 1 - offset,
    brokenPath: `${path}.${offset}.broken`,
    nextSequence: 6n,
    reason: `it needs ${whole.length - offset} bytes, ${whole.length - 1 - offset} are there`,
  }]);
  deepEqual(await storage.read(`${path}.${offset}.broken`), whole.slice(offset, -1));
  await log.close();
});
