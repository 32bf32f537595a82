/**
 * The log under real processes: killed at each of their calls to the disk, two on one directory, on a
 * disk that is full.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { Wal } from "../../src/wal/log.ts";
import { noise, runScript, withDirectory } from "../helpers.ts";
import { recordsOf, walErrorOf } from "./logs.ts";

const source = new URL("../../src/", import.meta.url).href;
const storage = new DiskStorage();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** The rounds that a test may take: a process does not make more calls than this. */
const MAX_CALLS = 100;

/**
 * Appends records alone and together, with segments that are soon full, and a checkpoint; says what was
 * acknowledged, and is killed at call `number`: before it, or half way through a write.
 */
const writer = (directory: string, number: number) => `
import { writeSync } from "node:fs";
import process from "node:process";
import { DiskStorage } from "${source}local/disk_storage.ts";
import { FaultyStorage } from "${source}local/faulty_storage.ts";
import { Wal } from "${source}wal/log.ts";

const die = () => process.kill(process.pid, "SIGKILL");
const disk = new DiskStorage();
const storage = new FaultyStorage(disk, ({ number, method, bytes }) => {
  if (number !== ${number}) return undefined;
  if (method !== "write") die();
  return { crash: true, written: Math.floor(bytes / 2) };
});
const directory = ${JSON.stringify(directory)};
const log = await Wal.open({ storage, directory }, { segmentBytes: 1200 }).catch(die);
const append = async (name) => {
  const payload = "round ${number} " + name + ".".repeat(50);
  const sequence = await log.append(1, new TextEncoder().encode(payload)).catch(die);
  writeSync(1, sequence + " " + payload + "\\n");
};
await append("alone");
await Promise.all(["a", "b", "c"].map(append));
const oldest = log.nextSequence > 12n ? log.nextSequence - 12n : 0n;
await log.checkpoint(oldest).catch(die);
writeSync(1, "checkpoint " + oldest + "\\n");
for (const name of ["d", "e", "f"]) await append(name);
await log.close();
if (storage.isDown) die();
writeSync(1, "done\\n");
`;

test("Wal loses nothing of a process that is killed at any of its calls to the disk", async () => {
  await withDirectory(async (path) => {
    const directory = join(path, "log");
    const acknowledged = new Map<bigint, string>();
    let checkpoint = 0n;
    let number = 1;
    for (; number < MAX_CALLS; number++) {
      const { stdout, stderr } = await runScript(path, writer(directory, number));
      equal(stderr, "");
      const lines = stdout.split("\n").slice(0, -1);
      for (const line of lines) {
        const [, word, rest] = /^(\d+|checkpoint|done) ?(.*)$/.exec(line)!;
        if (word === "checkpoint") checkpoint = BigInt(rest!);
        else if (word !== "done") acknowledged.set(BigInt(word!), rest!);
      }
      if (await storage.size(`${directory}/lock`) === undefined) continue;
      const log = await Wal.open({ storage, directory });
      ok(log.checkpointed >= checkpoint);
      const records = await recordsOf(log);
      records.forEach(({ sequence, payload }, index) => {
        equal(sequence, log.checkpointed + BigInt(index), "in order, once");
        const expected = acknowledged.get(sequence);
        if (expected !== undefined) equal(text(payload), expected);
        // It is there: a later crash must not take it away.
        acknowledged.set(sequence, text(payload));
      });
      const highest = [...acknowledged.keys()].reduce((a, b) => a > b ? a : b, -1n);
      equal(log.nextSequence, highest + 1n, `killed at call ${number}`);
      await log.close();
      if (lines.at(-1) === "done") break;
    }
    ok(number > 30 && number < MAX_CALLS, `the process made ${number} calls`);

    ok(acknowledged.size > 60, `${acknowledged.size} records`);
  });
});

const holder = (directory: string) => `
import { writeSync } from "node:fs";
import process from "node:process";
import { DiskStorage } from "${source}local/disk_storage.ts";
import { Wal } from "${source}wal/log.ts";
try {
  const log = await Wal.open({ storage: new DiskStorage(), directory: ${
  JSON.stringify(directory)
} });
  await log.append(1, new Uint8Array(3));
  writeSync(1, "opened\\n");
  process.kill(process.pid, "SIGKILL");
} catch (error) {
  writeSync(1, error.code + ": " + error.message + "\\n");
}
`;

test("Wal is open in one process at a time, and free when that one was killed", async () => {
  await withDirectory(async (path) => {
    const directory = join(path, "log");
    const log = await Wal.open({ storage, directory });
    const refused = await runScript(path, holder(directory));
    match(
      refused.stdout,
      new RegExp(
        `^Locked: Cannot open the log in .*: process ${process.pid} \\(.*\\).* has it; end`,
      ),
    );
    await log.append(1, new Uint8Array(3));
    await log.close();
    const killed = await runScript(path, holder(directory));
    equal(killed.stdout, "opened\n");
    const again = await Wal.open({ storage, directory });
    equal(again.nextSequence, 2n);
    await again.close();
  });
});

/** Mounts a small file system; the reason why not where it cannot. */
function mountSmall(path: string): string | undefined {
  const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", path]);
  if (mount.status === 0) return undefined;
  return mount.error?.message ?? mount.stderr.toString().trim();
}

const whyNoMount = await withDirectory((path) => {
  const reason = mountSmall(path);
  if (reason === undefined) spawnSync("umount", [path]);
  else process.stdout.write(`skipped: Wal on a full file system: no mount: ${reason}\n`);
  return Promise.resolve(reason === undefined ? false : `no mount: ${reason}`);
});

test("Wal keeps all on a file system that is full, and goes on when there is room", {
  skip: whyNoMount,
}, async () => {
  await withDirectory(async (path) => {
    equal(mountSmall(path), undefined);
    try {
      const directory = join(path, "log");
      const log = await Wal.open({ storage, directory }, { segmentBytes: 60_000 });
      const payloads: Uint8Array[] = [];
      const fill = async () => {
        for (;;) {
          const payload = noise(5000, payloads.length);
          const sequence = await log.append(1, payload);
          equal(sequence, BigInt(payloads.length));
          payloads.push(payload);
        }
      };
      await rejects(fill, { code: "NoSpace", message: /no space left on the device/ });
      ok(payloads.length > 30, `${payloads.length} records`);
      // Full is full, and nothing is lost by asking again.
      for (let time = 0; time < 3; time++) await rejects(fill, { code: "NoSpace" });
      const check = async () => {
        const records = await recordsOf(log);
        const { checkpointed } = log;
        deepEqual(
          records.map(({ sequence }) => sequence),
          payloads.map((_, index) => BigInt(index)).filter((each) => each >= checkpointed),
        );
        for (const { sequence, payload } of records) deepEqual(payload, payloads[Number(sequence)]);
      };
      await check();
      // What is done with makes room; a checkpoint takes some itself.
      const before = payloads.length;
      equal(spawnSync("mount", ["-o", "remount,size=320k", path]).status, 0);
      await log.checkpoint(BigInt(before - 3));
      await rejects(fill, { code: "NoSpace" });
      ok(payloads.length > before + 30, `${payloads.length - before} more records`);
      await check();
      await log.close();
    } finally {
      spawnSync("umount", ["--lazy", path]);
    }
  });
});

test("Wal says why a directory cannot be written", async () => {
  await withDirectory(async (path) => {
    const isRoot = process.getuid?.() === 0;
    await mkdir(join(path, "closed"));
    await chmod(join(path, "closed"), 0o500);
    // Root may write where it is forbidden; nobody may make a directory in /proc.
    const directory = isRoot ? "/proc/log" : join(path, "closed", "log");
    const error = await walErrorOf(Wal.open({ storage, directory }));
    ok(["Unwritable", "Unreadable"].includes(error.code), error.code);
    match(error.message, /^Cannot open the log in .*: Cannot make directory .*: /);
    const file = join(path, "file");
    const handle = await storage.openAppend(file);
    await handle.close();
    const blocked = await walErrorOf(Wal.open({ storage, directory: file }));
    match(blocked.message, /^Cannot open the log in .*file: Cannot make directory .*file: /);
  });
});
