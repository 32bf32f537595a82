import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { Wal } from "../../src/wal/log.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { linesOf } from "./files.ts";
import { failed, run, succeeded, textOf } from "./montana.ts";
import { filesIn } from "./traps.ts";

const storage = new DiskStorage();
const payloadOf = (index: number) => new TextEncoder().encode(`operation ${index}`);

/** Runs `action` beside a log of 60 records in `log`, three segments, closed. */
async function withLog(action: (cwd: string, segments: string[]) => Promise<void>): Promise<void> {
  await withDirectory(async (cwd) => {
    const log = await Wal.open({ storage, directory: join(cwd, "log") }, { segmentBytes: 1000 });
    for (let index = 0; index < 60; index += 3) {
      await Promise.all([0, 1, 2].map((more) => log.append(5, payloadOf(index + more))));
    }
    await log.checkpoint(2n);
    await log.close();
    const names = await readdir(join(cwd, "log"));
    await action(cwd, names.filter((name) => name.endsWith(".wal")).sort());
  });
}

async function overwrite(path: string, at: number, bytes: number): Promise<void> {
  await writeFile(path, (await readFile(path)).fill(0xee, at, at + bytes));
}

test("montana wal ls lists the segments of a log", async () => {
  await withLog(async (cwd, names) => {
    const text = succeeded(await run("wal ls log", { cwd }));
    match(text, /^ +segment +first +last +records +bytes +state$/m);
    match(text, new RegExp(`^${names[0]} +0 +\\d+ +\\d+ +\\d+ B +whole$`, "m"));
    match(text, /^checkpoint 2, next record 60$/m);
    const listing = JSON.parse(succeeded(await run("wal ls log --json", { cwd })));
    deepEqual(listing.segments.map((each: { name: string }) => each.name), names);
    equal(
      listing.segments.reduce((sum: number, each: { records: number }) => sum + each.records, 0),
      60,
    );
    equal(listing.nextSequence, "60");
    deepEqual(listing.broken, []);
  });
});

test("montana wal dump prints records as JSON lines, from one on and so many", async () => {
  await withLog(async (cwd) => {
    const dump = async (flags: string) =>
      linesOf(succeeded(await run(`wal dump log ${flags}`, { cwd }))).map((line) =>
        JSON.parse(line)
      );
    const all = await dump("");
    equal(all.length, 60);
    deepEqual(all[7], { sequence: "7", type: 5, payload: toHex(payloadOf(7)) });
    deepEqual(await dump("--from 31 --limit 4"), all.slice(31, 35));
    deepEqual(await dump("--limit 0"), []);
    deepEqual(await dump("--from 60"), []);
    failed(await run("wal dump log --from x", { cwd }), 2, /Cannot use --from "x": need a whole/);
  });
});

test("montana wal check exits 0 for a whole log, 1 with file and offset for a damaged one", async () => {
  await withLog(async (cwd, [, second]) => {
    match(
      succeeded(await run("wal check log", { cwd })),
      /^log: 60 records in 3 segments, all whole/,
    );
    deepEqual(JSON.parse(succeeded(await run("wal check log --json", { cwd }))).ok, true);
    await overwrite(join(cwd, "log", second!), 500, 3);
    const outcome = await run("wal check log", { cwd });
    failed(outcome, 1, new RegExp(`Corrupted: .* log/${second} is damaged at offset \\d+: `));
    const json = await run("wal check log --json", { cwd });
    equal(json.code, 1);
    const { ok: isWhole, fault } = JSON.parse(textOf(json));
    equal(isWhole, false);
    equal(fault.path, `log/${second}`);
    ok(fault.offset > 400 && fault.offset <= 500);
    match(succeeded(await run("wal ls log", { cwd })), /corrupt\n.*not read\n/);
    // What is before the damage is printed, and then what is wrong.
    const dump = await run("wal dump log", { cwd });
    failed(dump, 1, /Corrupted: /);
    ok(linesOf(textOf(dump)).length > 20);
  });
});

test("montana wal check beside the process that has the log open sees nothing wrong", async () => {
  await withLog(async (cwd) => {
    const log = await Wal.open({ storage, directory: join(cwd, "log") }, { segmentBytes: 1000 });
    let isDone = false;
    const writing = (async () => {
      while (!isDone) {
        await log.append(5, payloadOf(Number(log.nextSequence)));
        if (log.nextSequence % 40n === 0n) await log.checkpoint(log.nextSequence - 30n);
      }
    })();
    for (const command of ["check", "ls", "dump", "check"]) {
      succeeded(await run(`wal ${command} log`, { cwd }));
    }
    const repair = await run("wal repair log", { cwd });
    failed(
      repair,
      1,
      /Locked: Cannot repair the log in log: .*process \d+ .* has it; end that one/,
    );
    isDone = true;
    await writing;
    await log.close();
  });
});

test("montana wal repair tells what it would do, does it, and loses only what is damaged", async () => {
  await withLog(async (cwd, [, second]) => {
    match(succeeded(await run("wal repair log", { cwd })), /^nothing to repair$/m);
    const path = join(cwd, "log", second!);
    await overwrite(path, 500, 3);
    const damaged = await readFile(path);
    const told = succeeded(await run("wal repair log --dry-run", { cwd }));
    match(told, new RegExp(`^would copy log/${second} to log/${second}.broken$`, "m"));
    deepEqual(await readFile(path), damaged);
    const [, lost] = /^lost: records (\d+) to \1$/m.exec(told)!;
    match(told, /^kept: records 2 to \d+$/m);

    const done = succeeded(await run("wal repair log", { cwd }));
    equal(done, told.replaceAll("would ", ""));
    succeeded(await run("wal check log", { cwd }));
    deepEqual(await readFile(`${path}.broken`), damaged);
    const sequences = linesOf(succeeded(await run("wal dump log --from 2", { cwd })))
      .map((line) => JSON.parse(line).sequence);
    const expected = Array.from({ length: 58 }, (_, index) => `${index + 2}`);
    deepEqual(sequences, expected.filter((each) => each !== lost));
    match(
      succeeded(await run("wal ls log", { cwd })),
      new RegExp(`^kept aside: ${second}.broken$`, "m"),
    );
    // The copy can be looked into.
    ok(linesOf(succeeded(await run(`wal dump log/${second}.broken`, { cwd }))).length > 15);
    equal(JSON.parse(succeeded(await run("wal repair log --json", { cwd }))).nextSequence, "60");
  });
});

test("montana wal leaves a torn end to the next start, and says so", async () => {
  await withLog(async (cwd) => {
    const directory = join(cwd, "log");
    const log = await Wal.open({ storage, directory }, { segmentBytes: 1000, aheadBytes: 0 });
    await log.append(5, payloadOf(60));
    // As if killed: never closed, its last write cut off.
    const last = (await readdir(directory)).filter((name) => name.endsWith(".wal")).sort().at(-1)!;
    const { length } = await readFile(join(directory, last));
    await truncate(join(directory, last), length - 2);
    const text = succeeded(await run("wal check log", { cwd }));
    match(
      text,
      new RegExp(`^log/${last} at offset \\d+: not finished, is being written or will be`, "m"),
    );
    match(succeeded(await run("wal ls log", { cwd })), /torn$/m);
    await log.close();
  });
});

test("montana wal says what is no log, and what it can do", async () => {
  await withDirectory(async (cwd) => {
    for (const command of ["ls", "dump", "check", "repair"]) {
      const outcome = await run(`wal ${command} nothing`, { cwd });
      failed(outcome, 1, /Unreadable: Cannot read a log in nothing: there is none/);
      deepEqual(filesIn(cwd), []);
    }
    failed(
      await run("wal check .", { cwd }),
      1,
      /Unreadable: Cannot read a log in \.: there is none/,
    );
  });
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "other.txt"), "no log at all\n");
    failed(
      await run("wal dump other.txt", { cwd }),
      1,
      /Damaged: Cannot dump other\.txt: it holds/,
    );
  });
  for (const [args, said] of [["wal", /^Usage: montana wal/m], ["wal lss", /Did you mean ls\?/]]) {
    const outcome = await run(args as string);
    equal(outcome.code, 2);
    match(outcome.stderr, said as RegExp);
  }
  match(succeeded(await run("wal --help")), /^ +repair \[options\] <dir>/m);
  match(succeeded(await run("wal dump --help")), /--from <sequence>/);
  match(succeeded(await run("help wal")), /^ +check \[options\] <dir>/m);
});
