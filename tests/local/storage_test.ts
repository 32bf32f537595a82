import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { StorageError } from "../../src/errors.ts";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Storage } from "../../src/ports.ts";
import { withDirectory } from "../helpers.ts";

const STORAGES: Readonly<Record<string, () => Storage>> = {
  MemoryStorage: () => new MemoryStorage(),
  DiskStorage: () => new DiskStorage(),
  "FaultyStorage without faults": () => new FaultyStorage(new MemoryStorage(), () => undefined),
};

const bytes = (text: string) => new TextEncoder().encode(text);

async function textOf(storage: Storage, path: string): Promise<string> {
  return new TextDecoder().decode(await storage.read(path));
}

async function put(storage: Storage, path: string, text: string): Promise<void> {
  const file = await storage.openAppend(path);
  await file.write(bytes(text));
  await file.sync();
  await file.close();
}

/** One test of the port, on each that implements it. */
function conforms(what: string, check: (storage: Storage, directory: string) => Promise<void>) {
  for (const [name, make] of Object.entries(STORAGES)) {
    test(`${name} ${what}`, () =>
      withDirectory(async (path) => {
        const storage = make();
        await storage.makeDirectory(`${path}/a/b`);
        await check(storage, `${path}/a/b`);
      }));
  }
}

conforms("writes at the end of a file, and of one that was there", async (storage, directory) => {
  const path = `${directory}/file`;
  await put(storage, path, "one ");
  const file = await storage.openAppend(path);
  for (const part of ["two ", "", "three"]) await file.write(bytes(part));
  equal(await textOf(storage, path), "one two three");
  equal(await storage.size(path), 13);
  await file.close();
  const large = await storage.openAppend(`${directory}/large`);
  await large.write(new Uint8Array(200_000).fill(7));
  await large.close();
  const back = await storage.read(`${directory}/large`);
  equal(back.length, 200_000);
  ok(back.every((byte) => byte === 7));
});

conforms("reads what is asked for, and never more", async (storage, directory) => {
  const path = `${directory}/file`;
  await put(storage, path, "0123456789");
  const read = async (offset?: number, length?: number) =>
    new TextDecoder().decode(await storage.read(path, offset, length));
  equal(await read(), "0123456789");
  equal(await read(3), "3456789");
  equal(await read(3, 4), "3456");
  equal(await read(8, 4), "89");
  equal(await read(10, 4), "");
  equal(await read(99, 4), "");
  equal(await read(2, 0), "");
});

conforms("gives bytes that are the reader's own", async (storage, directory) => {
  const path = `${directory}/file`;
  await put(storage, path, "abc");
  (await storage.read(path)).fill(0);
  equal(await textOf(storage, path), "abc");
});

conforms("lists names in order, and nothing of what is not there", async (storage, directory) => {
  for (const name of ["b", "c", "a"]) await put(storage, `${directory}/${name}`, name);
  deepEqual(await storage.list(directory), ["a", "b", "c"]);
  deepEqual(await storage.list(`${directory}/nothing`), []);
  equal(await storage.size(`${directory}/nothing`), undefined);
});

conforms("cuts a file off, and goes on writing at its end", async (storage, directory) => {
  const path = `${directory}/file`;
  await put(storage, path, "keep this");
  await storage.truncate(path, 5);
  await put(storage, path, "that");
  equal(await textOf(storage, path), "keep that");
});

conforms("may put zeros behind what is written, until it is closed", async (storage, directory) => {
  const path = `${directory}/file`;
  await put(storage, path, "one ");
  const file = await storage.openAppend(path, 1000);
  for (const part of ["two ", "three ", ".".repeat(900), ".".repeat(900)]) {
    await file.write(bytes(part));
    await file.sync();
  }
  const open = await textOf(storage, path);
  ok(/^one two three \.{1800}\0*$/.test(open), open);
  ok(open.length <= 14 + 1800 + 1000);
  await file.close();
  equal(await textOf(storage, path), "one two three " + ".".repeat(1800));
});

conforms("gives a file the name of another, which is gone", async (storage, directory) => {
  await put(storage, `${directory}/old`, "old");
  await put(storage, `${directory}/new`, "new");
  await storage.rename(`${directory}/new`, `${directory}/old`);
  await storage.syncDirectory(directory);
  deepEqual(await storage.list(directory), ["old"]);
  equal(await textOf(storage, `${directory}/old`), "new");
});

conforms("removes a file, and nothing where there is none", async (storage, directory) => {
  await put(storage, `${directory}/file`, "x");
  for (let time = 0; time < 2; time++) await storage.remove(`${directory}/file`);
  deepEqual(await storage.list(directory), []);
});

conforms("makes a directory that is there already", async (storage, directory) => {
  await put(storage, `${directory}/file`, "x");
  await storage.makeDirectory(directory);
  deepEqual(await storage.list(directory), ["file"]);
});

conforms("says what is not there", async (storage, directory) => {
  const path = `${directory}/nothing`;
  const actions = [
    () => storage.read(path),
    () => storage.truncate(path, 0),
    () => storage.rename(path, `${directory}/other`),
  ];
  for (const action of actions) {
    await rejects(action, (error: unknown) => {
      ok(error instanceof StorageError);
      equal(error.code, "NotFound");
      ok(error.message.includes("nothing") || error.message.includes("other"), error.message);
      return true;
    });
  }
});

conforms("locks a name once at a time", async (storage, directory) => {
  const path = `${directory}/lock`;
  const lock = await storage.lock(path);
  const other = await storage.lock(`${directory}/other`);
  for (let time = 0; time < 2; time++) await rejects(storage.lock(path), { code: "Locked" });
  await lock.release();
  const again = await storage.lock(path);
  await rejects(storage.lock(path), { code: "Locked" });
  await again.release();
  await other.release();
});

test("DiskStorage says who has a lock", () =>
  withDirectory(async (path) => {
    const storage = new DiskStorage();
    const lock = await storage.lock(`${path}/lock`);
    const holder = new RegExp(`Cannot lock ${path}/lock: process ${process.pid} \\(.* has it; end`);
    await rejects(storage.lock(`${path}/lock`), { message: holder });
    await lock.release();
  }));

test("DiskStorage says why a path cannot be written", () =>
  withDirectory(async (path) => {
    const storage = new DiskStorage();
    await put(storage, `${path}/file`, "x");
    const below = `${path}/file/below`;
    const refusals: [() => Promise<unknown>, RegExp][] = [
      [
        () => storage.openAppend(below),
        /^Cannot write .*below: a part of the path is no directory$/,
      ],
      [
        () => storage.makeDirectory(below),
        /^Cannot make directory .*below: a part of the path is no/,
      ],
      [() => storage.lock(below), /^Cannot lock .*below: a part of the path is no directory$/],
      [
        () => storage.list(`${path}/file`),
        /^Cannot read .*file: a part of the path is no directory$/,
      ],
      [() => storage.syncDirectory(`${path}/nothing`), /^Cannot sync .*nothing: there is no such/],
    ];
    for (const [refusal, message] of refusals) {
      await rejects(
        refusal,
        (error) => error instanceof StorageError && message.test(error.message),
      );
    }
  }));
