import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { ok, strictEqual as equal } from "node:assert/strict";
import { appendFile, mkdir, rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { noise, withDirectory } from "../helpers.ts";
import { holdsBlocks, joinLines, linesOf, report, sameBlocks, sourceText } from "./files.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, start, succeeded } from "./montana.ts";

const GOOD = sourceText(12);
const LINES = linesOf(GOOD);
const BATCHER = "batcher --once --compressor none --log-level none";

/** The source with line 6 (block 5) changed. */
function withBlock(change: (block: Record<string, unknown>) => void): string {
  const block = JSON.parse(LINES[5]!);
  change(block);
  return joinLines(LINES.with(5, JSON.stringify(block)));
}

function withTransaction(transaction: unknown): string {
  return withBlock((block) => block["transactions"] = [transaction]);
}

const zipped = gzipSync(GOOD);
const TS = "need a whole number from 0 to 2\\^64 - 1";

/** Name, content, what is said. `FILE` stands for the name. */
const cases: [string, string | Uint8Array, string][] = [
  ["empty", "", "Empty: Cannot take blocks from FILE: it holds none"],
  ["blank lines", "\n\n", "Empty: Cannot take blocks from FILE: it holds none"],
  ["empty.gz", "", "Empty: Cannot take blocks from FILE: it holds none"],
  ["empty inside.gz", gzipSync(""), "Empty: Cannot take blocks from FILE: it holds none"],
  ["torn", GOOD.slice(0, -30), "InvalidBlock: .*FILE:12: the file ends in the middle of it"],
  ["torn.gz", zipped.subarray(0, -20), "Unreadable: .*FILE: it is damaged or cut gzip"],
  ["magic only.gz", zipped.subarray(0, 2), "Unreadable: .*FILE: it is damaged or cut gzip"],
  ["flipped.gz", zipped.with(300, zipped[300]! ^ 1), "FILE"],
  ["more behind.gz", Buffer.concat([zipped, noise(9)]), "Unreadable: .*FILE: it is damaged or cut"],
  ["not gzip.gz", GOOD, "Unreadable: Cannot read blocks from FILE: it is not gzip"],
  ["noise", noise(500), "InvalidBlock: Cannot read a block at FILE:1"],
  ["words", joinLines(LINES.with(5, "hello")), 'InvalidBlock: .*FILE:6: no JSON: "hello"'],
  ["null", joinLines(LINES.with(5, "null")), "InvalidBlock: .*FILE:6: need an object"],
  ["list", joinLines(LINES.with(5, "[1]")), "InvalidBlock: .*FILE:6: need an object"],
  ["odd hex", withTransaction("0xabc"), "FILE:6: .*transactions\\[0\\]: need an even number"],
  ["wrong hex", withTransaction("0xzz"), 'FILE:6: .*transactions\\[0\\]: need .*: "0xzz"'],
  ["no 0x", withTransaction("abcd"), 'FILE:6: .*transactions\\[0\\]: need 0x .*: "abcd"'],
  ["number for hex", withTransaction(7), "FILE:6: .*transactions\\[0\\]: need 0x .*: 7"],
  ["no transactions", withBlock((it) => delete it["transactions"]), "FILE:6: .*list of transac"],
  ["no timestamp", withBlock((it) => delete it["timestamp"]), `FILE:6: .*timestamp: ${TS}`],
  ["negative time", withBlock((it) => it["timestamp"] = -1), `FILE:6: .*timestamp: ${TS}.* -1`],
  ["broken time", withBlock((it) => it["timestamp"] = 1.5), `FILE:6: .*timestamp: ${TS}.* 1.5`],
  ["short hash", withBlock((it) => it["hash"] = "0x12"), "FILE:6: .*hash: need 32 bytes, has 1"],
  [
    "time going back",
    withBlock((it) => it["timestamp"] = 5),
    "InvalidBlock: .*block 5 at FILE:6 after block 4: its timestamp 5 is below 1008",
  ],
  [
    "wrong parent",
    withBlock((it) => it["parentHash"] = "0x" + "11".repeat(32)),
    "WrongParent: Cannot take block 5 at FILE:6 after block 4: its parent is 0x(11){32}, that " +
    "block is 0x",
  ],
  [
    "gap",
    joinLines([...LINES.slice(0, 5), ...LINES.slice(7)]),
    "Gap: Cannot take block 7 at FILE:6 after block 4: 2 blocks are missing between them",
  ],
  [
    "twice",
    joinLines([...LINES.slice(0, 5), ...LINES.slice(4)]),
    "Gap: Cannot take block 4 at FILE:6 after block 4: its number must be 5",
  ],
];

test("montana batcher says what is wrong with its blocks, and goes on once it is mended", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "good.jsonl"), GOOD);
    const isZipped = ([name]: (typeof cases)[number]) => name.endsWith(".gz");
    const plain = halfOf(cases.filter((each) => !isZipped(each)));
    // Each runtime unzips in its own way.
    await inPairs([...cases.filter(isZipped), ...plain], async ([name, content, said]) => {
      const l1 = `l1 of ${name}`;
      await writeFile(join(cwd, name), content);
      const flags = [...BATCHER.split(" "), "--l1", l1];
      const outcome = await run([...flags, "--l2", name], { cwd });
      failed(outcome, 1, new RegExp(said.replaceAll("FILE", name)));
      equal(outcome.stdout.length, 0, name);
      // What stood before the bad line was posted, and is not posted again.
      succeeded(await run([...flags, "--l2", "good.jsonl"], { cwd }));
      await holdsBlocks(join(cwd, l1), 12);
    });
  });
});

test("montana batcher says the same of standard input", async () => {
  await withDirectory(async (cwd) => {
    const inputs: [string | Uint8Array, RegExp][] = [
      ["", /Empty: Cannot take blocks from standard input: it holds none/],
      [GOOD.slice(0, -30), /InvalidBlock: .*standard input:12: the file ends in the middle/],
      [withTransaction("0xabc"), /InvalidBlock: .*standard input:6: .*need an even number/],
      [joinLines(LINES.toSpliced(5, 1)), /Gap: .*block 6 at standard input:6 after block 4/],
      [zipped.subarray(0, -20), /Unreadable: .*standard input: it is damaged or cut gzip/],
      [zipped.subarray(0, 1), /InvalidBlock: .*standard input:1: the file ends in the middle/],
    ];
    for (const [stdin, error] of inputs) {
      failed(await run(`${BATCHER} --l2 - --l1 l1`, { cwd, stdin }), 1, error);
    }
    succeeded(await run(`${BATCHER} --l2 - --l1 l1`, { cwd, stdin: GOOD }));
    await holdsBlocks(join(cwd, "l1"), 12);
  });
});

test("montana batcher names a file that it cannot read, and makes no L1", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "file"), GOOD);
    await mkdir(join(cwd, "directory"));
    const names: [string, RegExp][] = [
      ["nothing", /NotFound: Cannot read blocks from nothing: there is no such file/],
      ["nothing/below", /NotFound: Cannot read blocks from nothing\/below: there is no such file/],
      ["file/below", /Unreadable: Cannot read blocks from file\/below: a part of the path/],
    ];
    await inPairs(names, async ([name, error]) => {
      for (const mode of ["--once", ""]) {
        failed(await run(`batcher --l2 ${name} --l1 l1 ${mode}`, { cwd }), 1, error);
      }
    });
    ok(!existsSync(join(cwd, "l1")));
    spawnSync("mkfifo", [join(cwd, "pipe")]);
    const pipe = await run("batcher --l2 pipe --l1 l1 --once", { cwd });
    failed(pipe, 1, /Unreadable: Cannot read blocks from pipe: it is no file; give it as standard/);
    const outcome = await run("batcher --l2 directory --l1 l1 --once", { cwd });
    failed(outcome, 1, /Unreadable: Cannot read blocks from directory: it is a directory/);
  });
});

/** What happens to a file under the batcher that follows it, and what the batcher says. */
const changes: [string, (path: string) => Promise<void>, RegExp][] = [
  [
    "is cut",
    (path) => truncate(path, 500),
    /Changed: Cannot go on with blocks\.jsonl: it changed .*: it had \d+ bytes and has 500 now/,
  ],
  [
    "is replaced",
    async (path) => {
      await writeFile(`${path}.new`, joinLines(LINES));
      await rename(`${path}.new`, path);
    },
    /Changed: Cannot go on with blocks\.jsonl: .*: another file has taken its name/,
  ],
  [
    "is rewritten",
    (path) => writeFile(path, sourceText(7, { size: 30 })),
    // It may be seen while it is empty.
    /Changed: Cannot go on with blocks\.jsonl: it changed .*: (the bytes at 0 are others|it had)/,
  ],
  [
    "grows by a block that does not follow",
    (path) => appendFile(path, LINES[9] + "\n"),
    /Gap: Cannot take block 9 at blocks\.jsonl:8 after block 6: 2 blocks are missing/,
  ],
];

for (const [what, change, error] of changes) {
  test(`montana batcher stops where the file it follows ${what}`, async () => {
    await withDirectory(async (cwd) => {
      const path = join(cwd, "blocks.jsonl");
      await writeFile(path, joinLines(LINES.slice(0, 7)));
      const args =
        "batcher --l2 blocks.jsonl --l1 l1 --max-blocks-per-batch 3 --poll-interval 10ms";
      {
        await using batcher = start(args, { cwd });
        await batcher.untilSaid("batch 1: 3 blocks");
        await change(path);
        failed(await batcher.ended, 1, error);
      }
      // What it had taken is posted still.
      equal((await report("l1", { cwd })).totals["blocks"], 7);
      // Once the file is what it was, it goes on.
      await writeFile(path, GOOD);
      succeeded(await run(`${args} --once`, { cwd }));
      await holdsBlocks(join(cwd, "l1"), 12);
      succeeded(await run("deriver --l1 l1 --out derived.jsonl --once", { cwd }));
      await sameBlocks(join(cwd, "derived.jsonl"), path);
    });
  });
}

test("montana batcher refuses a block that no transaction can carry, and posts those before", async () => {
  await withDirectory(async (cwd) => {
    const [small, large] = [linesOf(sourceText(3)), linesOf(sourceText(4, { size: 900_000 }))];
    await writeFile(join(cwd, "blocks.jsonl"), joinLines([...small, large[3]!]));
    const batcher = "batcher --l2 blocks.jsonl --l1 l1 --once --level 1";
    const outcome = await run(batcher, { cwd });
    failed(outcome, 1, /BlockTooLarge: Cannot post block 3: alone it .* takes 780264 at most/);
    await holdsBlocks(join(cwd, "l1"), 3);
  });
});
