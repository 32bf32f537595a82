import { match, ok, strictEqual as equal } from "node:assert/strict";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { makeBatch, plainBlocks, post, withDirectory } from "../helpers.ts";
import { holdsBlocks, joinLines, linesOf, report, sameBlocks, sourceText } from "./files.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, start, succeeded } from "./montana.ts";
import { filesIn } from "./traps.ts";

const WHOLE = sourceText(12);
const BATCHER = "batcher --l2 blocks.jsonl --max-blocks-per-batch 3 --compressor none --once";

/** A directory with twelve blocks in `blocks.jsonl`, the first nine of them posted to `l1`. */
async function withL1(action: (cwd: string) => Promise<void>): Promise<void> {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), joinLines(linesOf(WHOLE).slice(0, 9)));
    succeeded(await run(`${BATCHER} --l1 l1`, { cwd }));
    await writeFile(join(cwd, "blocks.jsonl"), WHOLE);
    await action(cwd);
  });
}

/** The path of the second blob, in the order of the batches. */
async function secondBlob(l1: string): Promise<string> {
  const block = JSON.parse(await readFile(join(l1, "blocks/000000000002.json"), "utf8"));
  return join(l1, "blobs", `${block.transactions[0].blobHashes[0].slice(2)}.blob`);
}

const SECOND = "blocks/000000000002.json";

/** What is done to an L1, and what is said. Each is undone by putting the L1 back as it was. */
const damages: [string, (l1: string) => Promise<void>, RegExp][] = [
  [
    "a damaged blob",
    async (l1) => {
      const path = await secondBlob(l1);
      const bytes = await readFile(path);
      bytes[100]! ^= 1;
      await writeFile(path, bytes);
    },
    /Damaged: Cannot read blob from .*\.blob: its content hashes to 0x/,
  ],
  [
    "a cut blob",
    async (l1) => await writeFile(await secondBlob(l1), new Uint8Array(131_071)),
    /Damaged: Cannot read blob from .*\.blob: it has 131071 bytes, need 131072/,
  ],
  [
    "a missing blob",
    async (l1) => await rm(await secondBlob(l1)),
    /Damaged: Cannot read blob from .*\.blob: the file is missing/,
  ],
  [
    "a missing block",
    (l1) => rm(join(l1, SECOND)),
    /Damaged: Cannot read L1 block 2 from l1\/blocks\/000000000002\.json: the file is missing/,
  ],
  [
    "a block that is no JSON",
    (l1) => writeFile(join(l1, SECOND), "{"),
    /Damaged: Cannot read L1 block 2 from .*000000000002\.json: .*no JSON/,
  ],
  [
    "an empty block",
    (l1) => writeFile(join(l1, SECOND), ""),
    /Damaged: Cannot read L1 block 2 from .*000000000002\.json: .*no JSON/,
  ],
  [
    "a block of another number",
    (l1) => cp(join(l1, "blocks/000000000001.json"), join(l1, SECOND)),
    /Damaged: Cannot read L1 block 2 from .*: it holds block 1/,
  ],
  [
    "a changed block",
    async (l1) => {
      const text = await readFile(join(l1, SECOND), "utf8");
      await writeFile(join(l1, SECOND), text.replace(/"timestamp": \d+/, '"timestamp": 1'));
    },
    /Damaged: Cannot read L1 block 2 from .*: Cannot read hash: it says 0x.* hashes to 0x/,
  ],
  [
    "heads that are garbage",
    (l1) => writeFile(join(l1, "heads.json"), "garbage"),
    /Damaged: Cannot read L1 heads from l1\/heads\.json: need \{"latest"/,
  ],
  [
    "heads of another shape",
    (l1) => writeFile(join(l1, "heads.json"), "[]"),
    /Damaged: Cannot read L1 heads from l1\/heads\.json: need \{"latest"/,
  ],
  [
    "heads above its blocks",
    (l1) => writeFile(join(l1, "heads.json"), '{"latest":{"number":9}}'),
    /Damaged: Cannot read L1 heads from l1\/heads\.json: it names block 9, and .*9\.json is missing/,
  ],
  [
    "settings that are garbage",
    (l1) => writeFile(join(l1, "l1.json"), "garbage"),
    /Damaged: Cannot read L1 settings from l1\/l1\.json: it is no JSON/,
  ],
  [
    "settings of another version",
    (l1) => writeFile(join(l1, "l1.json"), '{"format":"montana-l1","version":2}'),
    /Damaged: Cannot read L1 settings from l1\/l1\.json: need format "montana-l1", version 1/,
  ],
];

for (const [what, damage, error] of halfOf(damages)) {
  test(`montana refuses an L1 with ${what}, and goes on once it is mended`, async () => {
    await withL1(async (cwd) => {
      const l1 = join(cwd, "l1");
      await cp(l1, join(cwd, "good"), { recursive: true });
      await damage(l1);
      const commands = [
        "deriver --l1 l1 --out derived.jsonl --once --data-dir data",
        "report --l1 l1 --json",
        `${BATCHER} --l1 l1`,
        "deriver --l1 l1 --out followed.jsonl",
      ];
      await inPairs(commands, async (args) => {
        const outcome = await run(args, { cwd });
        failed(outcome, 1, error);
        equal(outcome.stdout.length, 0);
      });
      // Nothing was lost, and what was derived before the damage is gone on with.
      await rm(l1, { recursive: true });
      await rename(join(cwd, "good"), l1);
      succeeded(await run(`${BATCHER} --l1 l1`, { cwd }));
      await holdsBlocks(l1, 12);
      succeeded(await run("deriver --l1 l1 --once --out derived.jsonl --data-dir data", { cwd }));
      await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "blocks.jsonl"));
    });
  });
}

test("montana reads an L1 whose heads are gone or behind, and mends them", async () => {
  await withL1(async (cwd) => {
    const heads = join(cwd, "l1/heads.json");
    for (const change of [() => rm(heads), () => writeFile(heads, '{"latest":{"number":0}}')]) {
      await change();
      equal((await report("l1", { cwd })).totals["blocks"], 9);
    }
    succeeded(await run(`${BATCHER} --l1 l1`, { cwd }));
    await holdsBlocks(join(cwd, "l1"), 12);
    equal(JSON.parse(await readFile(heads, "utf8")).latest.number, 4);
  });
});

test("montana takes no other directory and no file for an L1, and leaves it alone", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), WHOLE);
    await mkdir(join(cwd, "other"));
    await writeFile(join(cwd, "other/thesis.txt"), "");
    const cases: [string, RegExp][] = [
      ["other", /Damaged: Cannot use other as an L1: it has no l1\.json, but 1 other entries/],
      ["blocks.jsonl", /Unreadable: Cannot read L1 directory blocks\.jsonl: a part of the path/],
      ["blocks.jsonl/l1", /Unreadable: Cannot read L1 directory blocks\.jsonl\/l1: a part of/],
    ];
    await inPairs(cases, async ([l1, error]) => {
      for (const args of [BATCHER, "deriver --out o --once", "deriver --out o", "report"]) {
        failed(await run(`${args} --l1 ${l1}`, { cwd }), 1, error);
      }
    });
    for (const args of ["deriver --out o --once", "report"]) {
      const outcome = await run(`${args} --l1 nothing`, { cwd });
      failed(outcome, 1, /NotFound: Cannot read L1 directory nothing: there is no such file/);
    }
    equal(filesIn(cwd).join(), "blocks.jsonl,other");
    equal((await readdir(join(cwd, "other"))).join(), "thesis.txt");

    await mkdir(join(cwd, "empty"));
    succeeded(await run(`${BATCHER} --l1 empty`, { cwd }));
    await holdsBlocks(join(cwd, "empty"), 12);
  });
});

test("montana refuses a --data-dir that belongs to another L1", async () => {
  await withL1(async (cwd) => {
    await writeFile(join(cwd, "others.jsonl"), sourceText(12, { size: 9 }));
    const other = BATCHER.replace("blocks.jsonl", "others.jsonl");
    // Two that begin in the same second would begin with the same block.
    await L1Directory.openOrCreate(join(cwd, "l1-other"), 1n);
    succeeded(await run(`${other} --l1 l1-other --data-dir data`, { cwd }));
    succeeded(await run("deriver --l1 l1-other --out o --once --data-dir data", { cwd }));

    const error =
      /WrongL1: Cannot go on with l1: data belongs to an L1 whose block 4 is 0x\w+, here/;
    failed(await run(`${BATCHER} --l1 l1 --data-dir data`, { cwd }), 5, error);
    failed(await run("deriver --l1 l1 --out o --once --data-dir data", { cwd }), 5, error);
    await holdsBlocks(join(cwd, "l1"), 9);

    for (const name of ["inbox", "batcher"]) {
      const flags = `--l1 l1-other --data-dir data --${name} 0x${"11".repeat(20)}`;
      const used = new RegExp(`Usage: Cannot use --${name} 0x(11){20} with --data-dir data`);
      failed(await run(`${other} ${flags}`, { cwd }), 2, used);
      failed(await run(`deriver --out o --once ${flags}`, { cwd }), 2, used);
    }
    const elsewhere = await run("deriver --l1 l1-other --out p --once --data-dir data", { cwd });
    failed(
      elsewhere,
      2,
      /Usage: Cannot use --out p with --data-dir data: its blocks went to .*\/o/,
    );
    ok(!existsSync(join(cwd, "p")));
  });
});

test("montana names a damaged journal, and goes on from L1 alone without it", async () => {
  await withL1(async (cwd) => {
    const cases: [string, string][] = [
      ["batcher", `${BATCHER} --l1 l1 --data-dir data`],
      ["deriver", "deriver --l1 l1 --out derived.jsonl --once --data-dir data"],
    ];
    for (const [name, args] of cases) {
      succeeded(await run(args, { cwd }));
      succeeded(await run(args, { cwd }));
      const directory = join(cwd, "data", name);
      const [segment] = (await readdir(directory)).filter((each) => /^[0-9]+/.test(each));
      const path = join(directory, segment!);
      const good = await readFile(path);
      const bad = Uint8Array.from(good);
      bad[Math.floor(bad.length / 3)]! ^= 1;
      await writeFile(path, bad);
      failed(await run(args, { cwd }), 1, new RegExp(`Corrupted: Cannot .*data/${name}`));
      equal(Buffer.compare(await readFile(path), bad), 0);
      await rm(directory, { recursive: true });
      succeeded(await run(args, { cwd }));
    }
    await holdsBlocks(join(cwd, "l1"), 12);
    await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "blocks.jsonl"));
  });
});

test("montana deriver waits for a batch that is missing, and says so at the end of --once", async () => {
  await withDirectory(async (cwd) => {
    const l1 = await L1Directory.openOrCreate(join(cwd, "l1"), 1000n);
    const l1OriginCheck = (await l1.block(0n)).hash.slice(0, 20);
    const batch = (batchNumber: bigint, first: number) =>
      makeBatch(plainBlocks(2, { first }), { batchNumber, l1OriginCheck });
    await post(l1, await batch(1n, 2));
    const outcome = await run("deriver --l1 l1 --out o --once", { cwd });
    failed(outcome, 75, /SequenceGap: batch 0 is missing on L1; 1 batch behind it wait/);
    match(outcome.stderr, /warning: batch 1 in L1 block 1 waits for batch 0$/m);

    await using following = start("deriver --l1 l1 --out o", { cwd });
    await following.untilSaid("waits for batch 0");
    await post(l1, await batch(0n, 0));
    await following.untilSaid("derived batch 1: 2 blocks");
    following.send("SIGTERM");
    match(succeeded(await following.ended), /^derived 2 batches, 4 blocks/);
  });
});
