/**
 * The program, killed at each of its calls to the disk, one after the other; then killed once more while it
 * recovers, and run to its end.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
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
import { acksOf, linesOf, operationLines, shardLines } from "./operations.ts";

const SOURCE = sourceText(8, { size: 60 });
const BATCHER = "batcher --l2 blocks.jsonl --l1 disk/l1 --data-dir disk/data --once " +
  "--max-blocks-per-batch 3 --compressor none";
const PROCESSOR = "processor --data-dir disk/data --to disk/out --shards 3 --interval 5ms " +
  "--max-batch 10 --batch-size fixed --ack";
const OPERATIONS = 30;
const DERIVER = "deriver --l1 disk/l1 --out disk/derived.jsonl --data-dir disk/data --once";

/** Runs the program, killed at a call, unless it ends before. */
type RunKilled = (
  args: string,
  call: number,
  options: { readonly part: number; readonly stdin?: string },
) => Promise<Outcome>;

/** A directory `disk` to work in, and a way to be killed there. */
interface Place {
  readonly cwd: string;
  readonly runKilled: RunKilled;
  /** Runs the program to its end, and tells how many calls it made. */
  readonly countCalls: (args: string, stdin?: string) => Promise<number>;
  /** Empties `disk`. */
  readonly clear: () => Promise<void>;
}

/** Whether it was killed; where not, it must have ended well. */
function wasKilled({ code, stderr }: Outcome): boolean {
  ok(code === null || code === 0, stderr);
  return code === null;
}

/** Where the file system kills, by its own count: whatever the runtime, and whatever the file. */
async function onPowerDisk(action: (place: Place) => Promise<void>): Promise<void> {
  await withDirectory(async (cwd) => {
    await using disk = await PowerDisk.mount(join(cwd, "disk"));
    const runKilled: RunKilled = async (args, call, { part, stdin = "" }) => {
      await disk.stopAt(call, part);
      const outcome = await run(args, { cwd, stdin });
      await disk.go();
      return outcome;
    };
    const countCalls = async (args: string, stdin = "") => {
      const before = await disk.calls();
      succeeded(await run(args, { cwd, stdin }));
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
    const entry = dyingMontana;
    const runKilled: RunKilled = async (args, call, { stdin = "" }) =>
      await run(args, { cwd, stdin, entry, env: { DIE_AT_CALL: `${call}` } });
    const countCalls = async (args: string, stdin = "") => {
      const outcome = await run(args, { cwd, stdin, entry });
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
    counts: { batcher: 8, deriver: 5, processor: 5 },
    why: whyNoPowerDisk,
  },
  {
    how: "each of its calls to storage",
    inPlace: withEntry,
    parts: [0.5],
    counts: { batcher: 4, deriver: 3, processor: 3 },
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
          if (wasKilled(await runKilled(BATCHER, call, { part }))) killed += 1;
          // Recovery is killed as well; where it needs fewer calls, it ends.
          wasKilled(await runKilled(BATCHER, 1 + (call * 7) % last, { part }));
          succeeded(await run(BATCHER, { cwd }));
          await l1Gives(join(cwd, "disk/l1"), SOURCE);
        }
      }
      // A run may make fewer calls than the first: more went out together.
      ok(last > 20 && killed > 0.5 * tried, `${killed} of ${tried} killed, of ${last} calls`);
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
          if (wasKilled(await runKilled(DERIVER, call, { part }))) killed += 1;
          wasKilled(await runKilled(DERIVER, 1 + (call * 7) % last, { part }));
          succeeded(await run(DERIVER, { cwd }));
          await sameBytes(join(cwd, "disk/derived.jsonl"), expected);
        }
      }
      // A run may make fewer calls than the first: more went out together.
      ok(last > 20 && killed > 0.5 * tried, `${killed} of ${tried} killed, of ${last} calls`);
      tellDone(forDeriver, `${killed} kills over ${last} calls`);
    });
  });

  const forProcessor =
    `crash: montana processor hands on what it acknowledged, once, killed at ${how}`;
  test(forProcessor, { skip: why(forProcessor) }, async () => {
    await inPlace(async ({ cwd, runKilled, countCalls, clear }) => {
      const last = await countCalls(PROCESSOR, operationLines(OPERATIONS));
      let [tried, killed] = [0, 0];
      for (const [index, call] of placesUpTo(last, counts.processor).entries()) {
        for (const part of isWhole ? parts : [parts[index % parts.length]!]) {
          await clear();
          const acknowledged: string[] = [];
          for (const [round, at] of [call, 1 + (call * 7) % last].entries()) {
            const stdin = operationLines(OPERATIONS, round * OPERATIONS);
            const outcome = await runKilled(PROCESSOR, at, { part, stdin });
            if (round === 0) tried += 1;
            if (wasKilled(outcome) && round === 0) killed += 1;
            acknowledged.push(...linesOf(stdin).slice(0, acksOf(outcome.stdout).length));
          }
          succeeded(await run(PROCESSOR, { cwd }));
          const written = new Set(await shardLines(join(cwd, "disk/out")));
          deepEqual(acknowledged.filter((each) => !written.has(each)), [], `call ${call}`);
        }
      }
      ok(last > 20 && killed > 0.5 * tried, `${killed} of ${tried} killed, of ${last} calls`);
      tellDone(forProcessor, `${killed} kills over ${last} calls`);
    });
  });
}
