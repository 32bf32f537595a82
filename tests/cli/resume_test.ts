import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { appendFile, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { withDirectory } from "../helpers.ts";
import { holdsBlocks, joinLines, linesOf, sameBlocks, sourceText } from "./files.ts";
import { failed, run, type RunOptions, succeeded } from "./montana.ts";

const WHOLE = sourceText(30);
const LINES = linesOf(WHOLE);
const HALF = joinLines(LINES.slice(0, 14));
const REST = joinLines(LINES.slice(14));
/** The same blocks, of a source that gives them neither numbers nor hashes. */
const BARE = linesOf(WHOLE).map((line) => {
  const { timestamp, transactions } = JSON.parse(line);
  return JSON.stringify({ timestamp, transactions });
});

const BATCHER =
  "batcher --l1 l1 --once --max-blocks-per-batch 4 --compressor none --log-level none";

/** A directory with the whole source in `whole.jsonl`, and runs in it. */
async function inPlace(
  action: (
    place: {
      cwd: string;
      montana: (args: string, options?: RunOptions) => Promise<string>;
      comesBack: () => Promise<void>;
    },
  ) => Promise<void>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "whole.jsonl"), WHOLE);
    const montana = async (args: string, options?: RunOptions) =>
      succeeded(await run(args, { cwd, ...options }));
    const comesBack = async () => {
      await montana("deriver --l1 l1 --out checked.jsonl --once");
      await sameBlocks(join(cwd, "checked.jsonl"), join(cwd, "whole.jsonl"));
      await holdsBlocks(join(cwd, "l1"), 30);
    };
    await action({ cwd, montana, comesBack });
  });
}

for (const flags of ["", "--data-dir data"]) {
  const how = flags === "" ? "without --data-dir" : `with ${flags}`;

  test(`montana batcher goes on with a file that has grown, ${how}`, async () => {
    await inPlace(async ({ cwd, montana, comesBack }) => {
      const source = join(cwd, "blocks.jsonl");
      await writeFile(source, HALF);
      match(await montana(`${BATCHER} --l2 blocks.jsonl ${flags}`), /^posted 4 batches, 14 blocks/);
      match(await montana(`${BATCHER} --l2 blocks.jsonl ${flags}`), /^posted 0 batches, 0 blocks/);
      await appendFile(source, REST);
      match(await montana(`${BATCHER} --l2 blocks.jsonl ${flags}`), /^posted 4 batches, 16 blocks/);
      await comesBack();
    });
  });

  test(`montana batcher goes on with another file of the same blocks, ${how}`, async () => {
    await inPlace(async ({ cwd, montana, comesBack }) => {
      await writeFile(join(cwd, "half.jsonl.gz"), gzipSync(HALF));
      await montana(`${BATCHER} --l2 half.jsonl.gz ${flags}`);
      const outcome = await run(`${BATCHER} --l2 whole.jsonl ${flags}`, { cwd });
      match(succeeded(outcome), /^posted 4 batches, 16 blocks/);
      match(outcome.stderr, /^going on with batch 4, after 14 blocks$/m);
      await comesBack();
    });
  });

  test(`montana batcher goes on with blocks that have no number, ${how}`, async () => {
    await inPlace(async ({ montana, comesBack }) => {
      const batcher = `${BATCHER} --l2 - ${flags}`;
      await montana(batcher, { stdin: joinLines(BARE.slice(0, 14)) });
      match(await montana(batcher, { stdin: joinLines(BARE) }), /^posted 4 batches, 16 blocks/);
      await comesBack();
    });
  });

  test(`montana batcher goes on when standard input gives all blocks again, ${how}`, async () => {
    await inPlace(async ({ montana, comesBack }) => {
      const batcher = `${BATCHER} --l2 - ${flags}`;
      match(await montana(batcher, { stdin: HALF }), /^posted 4 batches, 14 blocks/);
      match(await montana(batcher, { stdin: WHOLE }), /^posted 4 batches, 16 blocks/);
      await comesBack();
    });
  });

  test(`montana deriver goes on with its file, ${how}`, async () => {
    await inPlace(async ({ cwd, montana }) => {
      await writeFile(join(cwd, "half.jsonl"), HALF);
      const deriver = `deriver --l1 l1 --out derived.jsonl --once --log-level none ${flags}`;
      await montana(`${BATCHER} --l2 half.jsonl`);
      await montana(deriver);
      await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "half.jsonl"));
      await montana(`${BATCHER} --l2 whole.jsonl`);
      await montana(deriver);
      await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "whole.jsonl"));
      const once = await readFile(join(cwd, "derived.jsonl"), "utf8");
      await montana(deriver);
      equal(await readFile(join(cwd, "derived.jsonl"), "utf8"), once);
    });
  });

  test(`montana deriver makes a torn last line whole, ${how}`, async () => {
    await inPlace(async ({ cwd, montana }) => {
      const out = join(cwd, "derived.jsonl");
      await writeFile(join(cwd, "half.jsonl"), HALF);
      await montana(`${BATCHER} --l2 half.jsonl`);
      const deriver = `deriver --l1 l1 --out derived.jsonl --once --log-level none ${flags}`;
      await montana(deriver);
      const half = await readFile(out, "utf8");
      await montana(`${BATCHER} --l2 whole.jsonl`);
      await montana(deriver);
      const whole = await readFile(out, "utf8");

      const lengths = [whole.length - 1, whole.length - 30, half.length + 1, half.length];
      for (const length of flags === "" ? [...lengths, 40, 1, 0] : lengths) {
        await truncate(out, length);
        await montana(deriver);
        equal(await readFile(out, "utf8"), whole, `cut to ${length}`);
      }
    });
  });
}

test("montana batcher goes on where standard input has the rest only, with --data-dir", async () => {
  await inPlace(async ({ montana, comesBack }) => {
    const batcher = `${BATCHER} --l2 - --data-dir data`;
    await montana(batcher, { stdin: HALF });
    match(await montana(batcher, { stdin: REST }), /^posted 4 batches, 16 blocks/);
    await comesBack();
  });
});

test("montana batcher refuses the rest only without --data-dir, and posts nothing", async () => {
  await inPlace(async ({ cwd, montana, comesBack }) => {
    await montana(`${BATCHER} --l2 -`, { stdin: HALF });
    const outcome = await run(`${BATCHER} --l2 -`, { cwd, stdin: REST });
    failed(outcome, 1, /WrongBlocks: Cannot go on: batch 0 on L1 holds a block of timestamp 1000/);
    match(await montana(`${BATCHER} --l2 -`, { stdin: WHOLE }), /^posted 4 batches, 16 blocks/);
    await comesBack();
  });
});

test("montana batcher --data-dir refuses a rest that leaves blocks out", async () => {
  await inPlace(async ({ cwd, montana, comesBack }) => {
    const batcher = `${BATCHER} --l2 - --data-dir data`;
    await montana(batcher, { stdin: HALF });
    const outcome = await run(batcher, { cwd, stdin: joinLines(LINES.slice(17)) });
    failed(outcome, 1, /Gap: Cannot take block 17 at .*:1 after block 13: 3 blocks are missing/);
    await montana(batcher, { stdin: REST });
    await comesBack();
  });
});

test("montana batcher refuses a source of other blocks, with and without --data-dir", async () => {
  await inPlace(async ({ cwd, montana, comesBack }) => {
    await writeFile(join(cwd, "other.jsonl"), sourceText(30, { size: 21 }));
    await writeFile(join(cwd, "short.jsonl"), joinLines(LINES.slice(0, 5)));
    await writeFile(join(cwd, "half.jsonl"), HALF);
    await montana(`${BATCHER} --l2 half.jsonl --data-dir data`);
    const cases: [string, RegExp][] = [
      ["--l2 other.jsonl", /WrongBlocks: .*batch 0 on L1.*is it the source of this L1\?/],
      ["--l2 short.jsonl", /WrongBlocks: .*batch 1 on L1.*has no more blocks/],
      ["--l2 short.jsonl --data-dir data", /Changed: .*short\.jsonl: 14 blocks were posted/],
    ];
    for (const [flags, error] of cases) {
      failed(await run(`${BATCHER} ${flags}`, { cwd }), 1, error);
    }
    await montana(`${BATCHER} --l2 whole.jsonl --data-dir data`);
    await comesBack();
  });
});

test("montana deriver refuses an output that holds something else, naming the line", async () => {
  await inPlace(async ({ cwd, montana }) => {
    await montana(`${BATCHER} --l2 whole.jsonl`);
    await montana("deriver --l1 l1 --out good.jsonl --once");
    const lines = linesOf(await readFile(join(cwd, "good.jsonl"), "utf8"));
    const changed = lines.with(7, lines[7]!.replace(/0x../, "0xff"));
    const cases: [string, number][] = [
      [joinLines(changed), 8],
      [joinLines(lines.with(0, "{}")), 1],
      [joinLines([...lines.slice(0, 4), ""]), 5],
      [WHOLE, 1],
      ["not a line of ours, and without a newline", 1],
      [joinLines(lines.slice(0, 3)) + "not a line of ours", 4],
    ];
    for (const [text, line] of cases) {
      await writeFile(join(cwd, "out.jsonl"), text);
      const outcome = await run("deriver --l1 l1 --out out.jsonl --once", { cwd });
      failed(outcome, 1, new RegExp(`Changed: .*out\\.jsonl:${line}: it is not what L1 gives`));
      equal(await readFile(join(cwd, "out.jsonl"), "utf8"), text, "it is left as it was");
    }
  });
});

test("montana deriver --data-dir names the line of a file that was changed behind it", async () => {
  await inPlace(async ({ cwd, montana }) => {
    const out = join(cwd, "out.jsonl");
    await writeFile(join(cwd, "half.jsonl"), HALF);
    await montana(`${BATCHER} --l2 half.jsonl`);
    const deriver = "deriver --l1 l1 --out out.jsonl --once --data-dir data";
    await montana(deriver);
    const promised = await readFile(out, "utf8");
    await montana(`${BATCHER} --l2 whole.jsonl`);

    await appendFile(out, "{}\n");
    failed(await run(deriver, { cwd }), 1, /Changed: .*out\.jsonl:15: it is not what L1 gives/);
    // Shorter than it should be: an earlier state is gone back to.
    await truncate(out, promised.length - 1);
    await montana(deriver);
    await sameBlocks(out, join(cwd, "whole.jsonl"));
    deepEqual(linesOf(await readFile(out, "utf8")).length, 30);
  });
});
