/**
 * The program on a disk whose power is cut: what it said was done is there, and one run brings the rest.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { whyNoPowerDisk, withPowerDisk } from "../power/disk.ts";
import { batchesOn, batchesSaid, chance, isWhole, l1Gives, sameBytes, tellDone } from "./crash.ts";
import { linesOf, sourceText } from "./files.ts";
import { run, succeeded } from "./montana.ts";
import { acksOf, linesOf as operationsIn, operationLines, shardLines } from "./operations.ts";

const SOURCE = sourceText(12, { size: 60 });
const BATCHER = "batcher --l2 blocks.jsonl --l1 disk/l1 --once --max-blocks-per-batch 2 " +
  "--compressor none";
const DERIVER = "deriver --l1 disk/l1 --out disk/derived.jsonl --once";
/** One batch is said to be posted, or derived. */
const POSTED = /batch (\d+): .* in L1 block/;
const DERIVED = /derived batch (\d+): 2 blocks/;

/** Lives of a disk; in each, the power is cut so many times. */
const LIVES = isWhole ? 40 : 2;
const CUTS = 4;
/** A run makes more calls than that; most cuts find it at work. */
const MAX_CALLS = { batcher: 130, deriver: 40, processor: 90 };

for (const flags of ["", "--data-dir disk/data"]) {
  const how = flags === "" ? "without --data-dir" : "with --data-dir";

  const name = `crash: montana keeps what it posted and derived over power cuts, ${how}`;
  test(name, { skip: whyNoPowerDisk(name) }, async () => {
    await withDirectory((cwd) =>
      withPowerDisk(cwd, async (disk) => {
        await writeFile(join(cwd, "blocks.jsonl"), SOURCE);
        const tally = { cuts: 0, posted: 0, derived: 0 };

        for (let life = 0; life < LIVES; life++) {
          const number = chance(life);
          await disk.format();
          /** Runs it until the power is cut; what it had said by then, and whether it was cut off. */
          const cutOff = async (args: string, maxCalls: number) => {
            await disk.stopAt(number(1, maxCalls), number(0, 2) / 2);
            const { code, stderr } = await run(`${args} ${flags}`, { cwd });
            // Of the lives, every other loses all that was not synced; in the others, chance decides. At
            // times only the process dies, and what it left unsynced is lost later.
            if (number(0, 3) === 0) await disk.go();
            else await disk.cut(life % 2 === 0 ? 0 : number(1, 1_000_000));
            ok(code === null || code === 0, `life ${life}: ${stderr}`);
            if (code === null) tally.cuts += 1;
            return stderr;
          };

          let posted = 0;
          for (let cut = 0; cut < CUTS; cut++) {
            posted = Math.max(
              posted,
              batchesSaid(await cutOff(BATCHER, MAX_CALLS.batcher), POSTED),
            );
            const found = posted === 0 ? 0 : await batchesOn(join(cwd, "disk/l1"));
            ok(found >= posted, `life ${life}: ${posted} batches posted, ${found} there`);
          }
          succeeded(await run(`${BATCHER} ${flags}`, { cwd }));
          await l1Gives(join(cwd, "disk/l1"), SOURCE);

          let derived = 0;
          for (let cut = 0; cut < CUTS; cut++) {
            derived = Math.max(
              derived,
              batchesSaid(await cutOff(DERIVER, MAX_CALLS.deriver), DERIVED),
            );
            const file = derived === 0
              ? ""
              : await readFile(join(cwd, "disk/derived.jsonl"), "utf8");
            const found = linesOf(file).length;
            ok(
              found >= 2 * derived,
              `life ${life}: ${derived} batches derived, ${found} blocks there`,
            );
          }
          succeeded(await run(`${DERIVER} ${flags}`, { cwd }));
          const path = join(cwd, "disk/derived.jsonl");
          succeeded(await run("deriver --l1 disk/l1 --out plain.jsonl --once", { cwd }));
          await sameBytes(path, await readFile(join(cwd, "plain.jsonl")));
          await writeFile(join(cwd, "plain.jsonl"), "");
          tally.posted += posted;
          tally.derived += derived;
        }
        ok(tally.cuts > LIVES, `${tally.cuts} cuts`);
        tellDone(name, `${LIVES} lives, ${tally.cuts} cuts`);
      })
    );
  });
}

const PROCESSOR = "processor --data-dir disk/data --to disk/out --shards 3 --interval 5ms " +
  "--max-batch 10 --batch-size fixed --ack";
const OPERATIONS = 60;

const keeps = "crash: montana processor hands on what it acknowledged over power cuts, once";
test(keeps, { skip: whyNoPowerDisk(keeps) }, async () => {
  await withDirectory((cwd) =>
    withPowerDisk(cwd, async (disk) => {
      const tally = { cuts: 0, acknowledged: 0 };
      for (let life = 0; life < LIVES; life++) {
        const number = chance(life);
        await disk.format();
        const acknowledged: string[] = [];
        for (let cut = 0; cut < CUTS; cut++) {
          const stdin = operationLines(OPERATIONS, cut * OPERATIONS);
          await disk.stopAt(number(1, MAX_CALLS.processor), number(0, 2) / 2);
          const { code, stdout, stderr } = await run(PROCESSOR, { cwd, stdin });
          if (number(0, 3) === 0) await disk.go();
          else await disk.cut(life % 2 === 0 ? 0 : number(1, 1_000_000));
          ok(code === null || code === 0, `life ${life}: ${stderr}`);
          if (code === null) tally.cuts += 1;
          acknowledged.push(...operationsIn(stdin).slice(0, acksOf(stdout).length));
        }
        succeeded(await run(PROCESSOR, { cwd }));
        await disk.cut();
        const written = new Set(await shardLines(join(cwd, "disk/out")));
        deepEqual(acknowledged.filter((each) => !written.has(each)), [], `life ${life}`);
        tally.acknowledged += acknowledged.length;
      }
      ok(tally.cuts > LIVES && tally.acknowledged > 0, `${tally.cuts} cuts`);
      tellDone(keeps, `${LIVES} lives, ${tally.cuts} cuts, ${tally.acknowledged} acknowledged`);
    })
  );
});
