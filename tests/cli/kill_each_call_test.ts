/**
 * The program, killed at each of its calls to the disk, one after the other; then killed once more while it
 * recovers, and run to its end.
 *
 * @module
 */
import { ok, strictEqual as equal } from "node:assert/strict";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withDirectory } from "../helpers.ts";
import { PowerDisk, whyNoPowerDisk } from "../power/disk.ts";
import { isWhole, l1Gives, placesUpTo, sameBytes, tellDone } from "./crash.ts";
import { sourceText } from "./files.ts";
import { type Outcome, run, succeeded } from "./montana.ts";

const SOURCE = sourceText(8, { size: 60 });
const BATCHER = "batcher --l2 blocks.jsonl --l1 disk/l1 --data-dir disk/data --once " +
  "--max-blocks-per-batch 3 --compressor none";
const DERIVER = "deriver --l1 disk/l1 --out disk/derived.jsonl --data-dir disk/data --once";

/** Runs the program, killed at a call; `"all"` where it ends before. */
type RunKilled = (args: string, call: number, part: number) => Promise<"killed" | "all">;

/** A directory `disk` to work in, and a way to be killed there. */
interface Place {
  readonly cwd: string;
  readonly runKilled: RunKilled;
  /** Runs the program to its end, and tells how many calls it made. */
  readonly countCalls: (args: string) => Promise<number>;
  /** Empties `disk`. */
  readonly clear: () => Promise<void>;
}

function fateOf({ code, stderr }: Outcome): "killed" | "all" {
  // A call that failed since the process was about to die may be told before it does.
  if (code === null) return "killed";
  equal(code, 0, stderr);
  return "all";
}

/** Where the file system kills, by its own count: whatever the runtime, and whatever the file. */
async function onPowerDisk(action: (place: Place) => Promise<void>): Promise<void> {
  await withDirectory(async (cwd) => {
    await using disk = await PowerDisk.mount(join(cwd, "disk"));
    const runKilled: RunKilled = async (args, call, part) => {
      await disk.stopAt(call, part);
      const outcome = await run(args, { cwd });
      await disk.go();
      return fateOf(outcome);
    };
    const countCalls = async (args: string) => {
      const before = await disk.calls();
      succeeded(await run(args, { cwd }));
      return await disk.calls() - before;
    };
    await action({ cwd, runKilled, countCalls, clear: () => disk.format() });
  });
}

const dyingMontana = fileURLToPath(new URL("dying_montana.ts", import.meta.url));

/** Where an entry of our own kills, at the calls to `Storage`: on any machine, and none for an executable. */
async function withEntry(action: (place: Place) => Promise<void>): Promise<void> {
  await withDirectory(async (cwd) => {
    const disk = join(cwd, "disk");
    await mkdir(disk);
    const runKilled: RunKilled = async (args, call) =>
      fateOf(await run(args, { cwd, entry: dyingMontana, env: { DIE_AT_CALL: `${call}` } }));
    const countCalls = async (args: string) => {
      const outcome = await run(args, { cwd, entry: dyingMontana });
      succeeded(outcome);
      return Number(/^(\d+) calls to the storage$/m.exec(outcome.stderr)![1]);
    };
    const clear = async () => {
      await rm(disk, { recursive: true });
      await mkdir(disk);
    };
    await action({ cwd, runKilled, countCalls, clear });
  });
}

const MEANS = [
  {
    how: "each of its calls that change the disk",
    inPlace: onPowerDisk,
    /** Before a write, and half way through it. */
    parts: [0, 0.5],
    counts: { batcher: 10, deriver: 7 },
    why: whyNoPowerDisk,
  },
  {
    how: "each of its calls to storage",
    inPlace: withEntry,
    parts: [0.5],
    counts: { batcher: 6, deriver: 4 },
    why: (name: string) => {
      if (!process.env["MONTANA_CLI"]) return false;
      const reason = "an executable has no entry of ours; the file system kills it";
      process.stdout.write(`skipped: ${name}: ${reason}\n`);
      return reason;
    },
  },
];

for (const { how, inPlace, parts, counts, why } of MEANS) {
  const forBatcher = `crash: montana batcher loses and doubles nothing, killed at ${how}`;
  test(forBatcher, { skip: why(forBatcher) }, async () => {
    await inPlace(async ({ cwd, runKilled, countCalls, clear }) => {
      await writeFile(join(cwd, "blocks.jsonl"), SOURCE);
      const last = await countCalls(BATCHER);
      let [tried, killed] = [0, 0];
      for (const [index, call] of placesUpTo(last, counts.batcher).entries()) {
        for (const part of isWhole ? parts : [parts[index % parts.length]!]) {
          await clear();
          tried += 1;
          if (await runKilled(BATCHER, call, part) === "killed") killed += 1;
          // Recovery is killed as well; where it needs fewer calls, it ends.
          await runKilled(BATCHER, 1 + (call * 7) % last, part);
          succeeded(await run(BATCHER, { cwd }));
          await l1Gives(join(cwd, "disk/l1"), SOURCE);
        }
      }
      // A run may make fewer calls than the first: more went out together.
      ok(last > 20 && killed > 0.8 * tried, `${killed} of ${tried} killed, of ${last} calls`);
      tellDone(forBatcher, `${killed} kills over ${last} calls`);
    });
  });

  const forDeriver = `crash: montana deriver loses and doubles nothing, killed at ${how}`;
  test(forDeriver, { skip: why(forDeriver) }, async () => {
    await inPlace(async ({ cwd, runKilled, countCalls, clear }) => {
      await writeFile(join(cwd, "blocks.jsonl"), SOURCE);
      succeeded(await run(BATCHER.replaceAll("disk/", ""), { cwd }));
      const begin = async () => {
        await clear();
        await cp(join(cwd, "l1"), join(cwd, "disk/l1"), { recursive: true });
      };
      await begin();
      const last = await countCalls(DERIVER);
      const expected = await readFile(join(cwd, "disk/derived.jsonl"));
      let [tried, killed] = [0, 0];
      for (const [index, call] of placesUpTo(last, counts.deriver).entries()) {
        for (const part of isWhole ? parts : [parts[index % parts.length]!]) {
          await begin();
          tried += 1;
          if (await runKilled(DERIVER, call, part) === "killed") killed += 1;
          await runKilled(DERIVER, 1 + (call * 7) % last, part);
          succeeded(await run(DERIVER, { cwd }));
          await sameBytes(join(cwd, "disk/derived.jsonl"), expected);
        }
      }
      // A run may make fewer calls than the first: more went out together.
      ok(last > 20 && killed > 0.8 * tried, `${killed} of ${tried} killed, of ${last} calls`);
      tellDone(forDeriver, `${killed} kills over ${last} calls`);
    });
  });
}
