import { ok } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { SeededRandom } from "../../src/local/memory.ts";
import { withDirectory } from "../helpers.ts";
import { holdsBlocks, sameBlocks, sourceText } from "./files.ts";
import { run, start, succeeded } from "./montana.ts";

const BLOCKS = 600;
const ROUNDS = 7;
const SOURCE = sourceText(BLOCKS, { size: 1500 });
const BATCHER =
  "batcher --l2 blocks.jsonl --l1 l1 --once --max-blocks-per-batch 5 --compressor none";
const DERIVER = "deriver --l1 l1 --out derived.jsonl --once";

const random = new SeededRandom(7);

/** Kills a run at some moment after its first words, or lets it end; tells whether it was killed. */
async function cutOff(args: string, cwd: string, words: RegExp | undefined): Promise<boolean> {
  await using running = start(args, { cwd });
  // It may be done before it is heard.
  if (words) await running.untilSaid(words).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 120 * random.next()));
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
        if (await cutOff(`${BATCHER} ${flags}`, cwd, /batch \d+:/)) killed += 1;
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
        if (await cutOff(`${DERIVER} ${flags}`, cwd, /derived batch/)) killed += 1;
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
      await cutOff(batcher, cwd, undefined);
      succeeded(await run(batcher, { cwd }));
      await holdsBlocks(join(cwd, `l1-${round}`), 5);
    }
  });
});
