/**
 * The program, killed at random times, over and over: one run to the end brings what is missing.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { SeededRandom } from "../../src/local/memory.ts";
import { withDirectory } from "../helpers.ts";
import { hasShared, sharedPath } from "../shared.ts";
import { isWhole, tellDone } from "./crash.ts";
import { holdsBlocks, linesOf, readText, sameBlocks, sourceText } from "./files.ts";
import { run, type RunOptions, start, succeeded } from "./montana.ts";

const BLOCKS = 600;
/** Under Bun few, since the executable, which has Bun in it, is killed as well. */
const ROUNDS = isWhole ? 25 : process.versions["bun"] ? 2 : 4;
const SOURCE = sourceText(BLOCKS, { size: 1500 });
const BATCHER =
  "batcher --l2 blocks.jsonl --l1 l1 --once --max-blocks-per-batch 5 --compressor none";
const DERIVER = "deriver --l1 l1 --out derived.jsonl --once";

const random = new SeededRandom(7);

/** Kills a run within so long of its first words, or lets it end; tells whether it was killed. */
async function cutOff(
  args: string,
  options: RunOptions,
  { words, withinMs = 120 }: { readonly words?: RegExp; readonly withinMs?: number } = {},
): Promise<boolean> {
  await using running = start(args, options);
  // It may be done before it is heard.
  if (words) await running.untilSaid(words).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, withinMs * random.next()));
  running.send("SIGKILL");
  return (await running.ended).code === null;
}

for (const flags of ["", "--data-dir data"]) {
  const how = flags === "" ? "without --data-dir" : `with ${flags}`;

  test(`montana batcher loses and doubles nothing where it is killed, ${how}`, async () => {
    await withDirectory(async (cwd) => {
      await writeFile(join(cwd, "blocks.jsonl"), SOURCE);
      let killed = 0;
      for (let round = 0; round < ROUNDS; round++) {
        if (await cutOff(`${BATCHER} ${flags}`, { cwd }, { words: /batch \d+:/ })) killed += 1;
      }
      ok(killed > 0, "no round was killed");
      succeeded(await run(`${BATCHER} ${flags}`, { cwd }));
      await holdsBlocks(join(cwd, "l1"), BLOCKS);
      succeeded(await run(DERIVER, { cwd }));
      await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "blocks.jsonl"));
    });
  });

  test(`montana deriver loses and doubles nothing where it is killed, ${how}`, async () => {
    await withDirectory(async (cwd) => {
      await writeFile(join(cwd, "blocks.jsonl"), SOURCE);
      succeeded(await run(BATCHER, { cwd }));
      let killed = 0;
      for (let round = 0; round < ROUNDS; round++) {
        if (await cutOff(`${DERIVER} ${flags}`, { cwd }, { words: /derived batch/ })) killed += 1;
      }
      ok(killed > 0, "no round was killed");
      succeeded(await run(`${DERIVER} ${flags}`, { cwd }));
      await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "blocks.jsonl"));
    });
  });
}

test("montana batcher goes on where it was killed while it made the L1", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(5));
    for (let round = 0; round < 10; round++) {
      const batcher = `batcher --l2 blocks.jsonl --l1 l1-${round} --data-dir data-${round} --once`;
      await cutOff(batcher, { cwd });
      succeeded(await run(batcher, { cwd }));
      await holdsBlocks(join(cwd, `l1-${round}`), 5);
    }
  });
});

/** The largest file of OP Mainnet's blocks. */
const OP_MAINNET = "blocks/op-mainnet-125590673.jsonl.gz";
const REAL_ROUNDS = isWhole ? 25 : 2;

const WAYS = [
  { how: "from a file", l2: sharedPath(OP_MAINNET), dataDir: false },
  { how: "from a file with --data-dir", l2: sharedPath(OP_MAINNET), dataDir: true },
  { how: "from stdin with --data-dir", l2: "-", dataDir: true },
];

for (const { how, l2, dataDir } of WAYS) {
  const name = `crash: OP Mainnet's blocks come back once and in order, killed at random, ${how}`;
  test(name, { skip: hasShared(OP_MAINNET, name) ? false : "no blocks" }, async () => {
    await withDirectory(async (cwd) => {
      const flags = (role: string) => dataDir ? `--data-dir ${role}` : "";
      const batcher = `batcher --l2 ${l2} --l1 l1 --once --max-blocks-per-batch 5 ${flags("b")}`;
      const deriver = `deriver --l1 l1 --out derived.jsonl --once ${flags("d")}`;
      const source = await readText(sharedPath(OP_MAINNET));
      const feed = { cwd, ...(l2 === "-" ? { stdin: source } : {}) };

      const killed = { batcher: 0, deriver: 0 };
      for (let round = 0; round < REAL_ROUNDS; round++) {
        // Two of three die while they start and recover, or soon after; one at its work for sure.
        const isAtWork = round % 3 === 0;
        const moment = (words: RegExp) => isAtWork ? { words } : { withinMs: 500 };
        if (await cutOff(batcher, feed, moment(/batch \d+:/))) killed.batcher += 1;
        if (!readdirSync(cwd).includes("l1")) continue;
        if (await cutOff(deriver, { cwd }, moment(/derived batch/))) killed.deriver += 1;
      }
      const before = readdirSync(join(cwd, "l1/blocks")).length - 1;
      succeeded(await run(batcher, feed));
      succeeded(await run(deriver, { cwd }));
      const { batches } = await holdsBlocks(join(cwd, "l1"), linesOf(source).length);
      ok(batches.every(({ blocks }) => blocks <= 5), "--max-blocks-per-batch");
      await sameBlocks(join(cwd, "derived.jsonl"), sharedPath(OP_MAINNET));
      ok(killed.batcher > 0, "no batcher was killed");
      tellDone(
        name,
        `${killed.batcher} batchers and ${killed.deriver} derivers killed; ` +
          `${before} of ${batches.length} batches stood before the last run`,
      );
    });
  });
}
