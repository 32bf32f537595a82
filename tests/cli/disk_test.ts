import { match, ok, strictEqual as equal } from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { holdsBlocks, report, sameBlocks, sourceText } from "./files.ts";
import { failed, hasNoTrace, inPairs, run, start, succeeded, textOf } from "./montana.ts";
import { skip, SmallDisk } from "./small_disk.ts";

const BATCHER = "batcher --l2 blocks.jsonl --compressor none --max-blocks-per-batch 1";
const FOLLOW = "--poll-interval 10ms --batch-interval 0s";

/** A directory with twelve blocks of 100 kB in `blocks.jsonl`, and in it a disk of a few of them. */
async function withSmallDisk(
  size: string,
  action: (cwd: string, disk: SmallDisk) => Promise<void>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(12, { size: 100_000 }));
    await mkdir(join(cwd, "disk"));
    using disk = new SmallDisk(join(cwd, "disk"), size);
    await action(cwd, disk);
  });
}

async function comesBack(cwd: string, l1: string): Promise<void> {
  await holdsBlocks(join(cwd, l1), 12);
  succeeded(await run(`deriver --l1 ${l1} --out checked.jsonl --once`, { cwd }));
  await sameBlocks(join(cwd, "checked.jsonl"), join(cwd, "blocks.jsonl"));
}

test("montana batcher --once gives up on a full disk, and goes on when there is room", {
  skip,
}, async () => {
  await withSmallDisk("1m", async (cwd, disk) => {
    const full = await run(`${BATCHER} --l1 disk/l1 --once`, { cwd });
    failed(full, 75, /NoSpace: Cannot write L1 directory disk\/l1: no space left on the device/);
    match(full.stderr, /warning: NoSpace: .*; trying again in \d+ ms$/m);
    const posted = (await report("disk/l1", { cwd })).totals["blocks"]!;
    ok(posted > 0 && posted < 12, `${posted}`);
    disk.remount("size=8m");
    match(succeeded(await run(`${BATCHER} --l1 disk/l1 --once`, { cwd })), /^posted \d batches/);
    await comesBack(cwd, "disk/l1");
  });
});

test("montana batcher waits while the disk is full, and goes on by itself", { skip }, async () => {
  await withSmallDisk("1m", async (cwd, disk) => {
    await using batcher = start(`${BATCHER} --l1 disk/l1 --data-dir data ${FOLLOW}`, { cwd });
    await batcher.untilSaid(/warning: NoSpace: .*; trying again/);
    disk.remount("size=8m");
    await batcher.untilSaid("batch 11: ");
    batcher.send("SIGTERM");
    match(succeeded(await batcher.ended), /^posted 12 batches, 12 blocks/);
    await comesBack(cwd, "disk/l1");
  });
});

test(
  "montana batcher stopped on a full disk ends with 3, and loses nothing",
  { skip },
  async () => {
    await withSmallDisk("1m", async (cwd, disk) => {
      {
        const flags = `--l1 disk/l1 ${FOLLOW} --shutdown-timeout 100ms`;
        await using batcher = start(`${BATCHER} ${flags}`, { cwd });
        await batcher.untilSaid(/warning: NoSpace: .*; trying again/);
        batcher.send("SIGTERM");
        const outcome = await batcher.ended;
        failed(outcome, 3, /NoSpace: Cannot write L1 directory disk\/l1: no space left/);
        match(outcome.stderr, /^stopped with \d+ blocks not posted; start again$/m);
      }
      disk.remount("size=8m");
      succeeded(await run(`${BATCHER} --l1 disk/l1 --once`, { cwd }));
      await comesBack(cwd, "disk/l1");
    });
  },
);

test("montana batcher makes an L1 on a full disk once there is room", { skip }, async () => {
  await withSmallDisk("64k", async (cwd, disk) => {
    await writeFile(join(disk.path, "ballast"), new Uint8Array(65_536)).catch(() => {});
    const args = `${BATCHER} --l1 disk/l1 --once`;
    failed(await run(args, { cwd }), 75, /NoSpace: Cannot write L1 directory disk\/l1: no space/);
    disk.remount("size=8m");
    succeeded(await run(args, { cwd }));
    await comesBack(cwd, "disk/l1");
  });
});

for (const flags of ["", "--data-dir data"]) {
  test(`montana deriver goes on after a full disk ${flags}`, { skip }, async () => {
    await withSmallDisk("1m", async (cwd, disk) => {
      succeeded(await run(`${BATCHER} --l1 l1 --once`, { cwd }));
      const deriver = `deriver --l1 l1 --out disk/derived.jsonl ${flags}`;
      await using following = start(deriver, { cwd });
      await following.untilSaid(/warning: NoSpace: .*; trying again/);
      disk.remount("size=8m");
      await following.untilSaid("derived batch 11: ");
      following.send("SIGTERM");
      succeeded(await following.ended);
      await sameBlocks(join(cwd, "disk/derived.jsonl"), join(cwd, "blocks.jsonl"));
      succeeded(await run(`${deriver} --once`, { cwd }));
      await sameBlocks(join(cwd, "disk/derived.jsonl"), join(cwd, "blocks.jsonl"));
    });
  });
}

test("montana loses no blocks where the disk of --data-dir is full", { skip }, async () => {
  await withSmallDisk("8m", async (cwd, disk) => {
    succeeded(await run(`${BATCHER} --l1 other --once`, { cwd }));
    await writeFile(join(disk.path, "ballast"), new Uint8Array(2 ** 23)).catch(() => {});
    const roles = [
      `${BATCHER} --l1 l1 --once --data-dir disk`,
      "deriver --l1 l1 --out derived.jsonl --once --data-dir disk",
    ];
    for (const args of roles) {
      const outcome = await run(args.replace("deriver --l1 l1", "deriver --l1 other"), { cwd });
      failed(outcome, 75, /NoSpace: Cannot .* disk\/\w+.*: no space left/);
    }
    await rm(join(disk.path, "ballast"));
    for (const args of roles) succeeded(await run(args, { cwd }));
    await comesBack(cwd, "l1");
    await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "blocks.jsonl"));
  });
});

test(
  "montana doctor says to make room where the disk of --data-dir is full",
  { skip },
  async () => {
    await withSmallDisk("1m", async (cwd, disk) => {
      await writeFile(join(disk.path, "ballast"), new Uint8Array(2 ** 20)).catch(() => {});
      const outcome = await run("doctor --data-dir disk/data", { cwd });
      equal(outcome.code, 4);
      match(textOf(outcome), /^fail {2}data-dir: .*: no space left.*\n {6}fix: make room: /m);
    });
  },
);

test("montana tells of a file system that is read-only", { skip }, async () => {
  await withSmallDisk("8m", async (cwd, disk) => {
    succeeded(await run(`${BATCHER} --l1 disk/l1 --once`, { cwd }));
    await writeFile(join(cwd, "more.jsonl"), sourceText(13, { size: 100_000 }));
    const more = BATCHER.replace("blocks.jsonl", "more.jsonl");
    disk.remount("ro");
    const why = "the file system is read-only";
    const cases: [string, RegExp][] = [
      [`${more} --l1 disk/l1 --once`, RegExp(`Unwritable: Cannot write L1 .* disk/l1: ${why}`)],
      [`${more} --l1 disk/l2 --once`, RegExp(`Unwritable: Cannot write L1 .* disk/l2: ${why}`)],
      [
        "deriver --l1 disk/l1 --out disk/o --once",
        RegExp(`Unwritable: .* blocks to disk/o: ${why}`),
      ],
      ["encode --stage blob --out disk/o", RegExp(`Unwritable: .* output to disk/o: ${why}`)],
    ];
    for (const [args, error] of cases) failed(await run(args, { cwd }), 1, error);
    // Reading needs no right to write.
    await comesBack(cwd, "disk/l1");
  });
});

test("montana tells where it may not write, before it has done anything", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(3));
    await writeFile(join(cwd, "file"), "");
    await mkdir(join(cwd, "directory"));
    succeeded(await run(`${BATCHER} --l1 l1 --once`, { cwd }));
    const [batcher, deriver] = [`${BATCHER} --once`, "deriver --l1 l1 --once"];
    const cases: [string, RegExp][] = [
      [`${batcher} --l1 file/l1`, /Unreadable: Cannot read L1 directory file\/l1: a part of the/],
      [`${batcher} --l1 /proc/l1`, /Unwritable: Cannot write L1 directory \/proc\/l1: /],
      [
        `${batcher} --l1 l1 --data-dir file`,
        /Unwritable: Cannot .* file\/batcher: a part of the path/,
      ],
      [`${deriver} --out file/o`, /Unwritable: Cannot write blocks to file\/o: a part of the path/],
      [`${deriver} --out nowhere/o`, /Unwritable: Cannot write blocks to nowhere\/o: there is no/],
      [`${deriver} --out directory`, /Unwritable: Cannot write blocks to directory: it is a dir/],
      [`${deriver} --out /proc/o`, /Unwritable: Cannot write blocks to \/proc\/o: /],
      [
        `${deriver} --out o --data-dir file`,
        /Unwritable: Cannot .* file\/deriver: a part of the path/,
      ],
    ];
    await inPairs(cases, async ([args, error]) => {
      const outcome = await run(args, { cwd });
      failed(outcome, 1, error);
      equal(outcome.stdout.length, 0);
    });
    ok(!existsSync(join(cwd, "o")));
    await holdsBlocks(join(cwd, "l1"), 3);
  });
});

test("montana deriver tries a full device again, then says to try later", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(3));
    succeeded(await run(`${BATCHER} --l1 l1 --once`, { cwd }));
    const outcome = await run("deriver --l1 l1 --out /dev/full --once", { cwd });
    failed(outcome, 75, /NoSpace: Cannot write blocks to \/dev\/full: no space left on the device/);
    equal(outcome.stderr.match(/warning: NoSpace: /g)?.length, 3);
    equal(outcome.stdout.length, 0);
  });
});

const isRoot = process.getuid?.() === 0;
if (isRoot) {
  process.stdout.write("skipped: a directory without the right to write: root may write\n");
}

test("montana tells of directories that it may not write to", { skip: isRoot }, async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(3));
    await mkdir(join(cwd, "locked"));
    await chmod(join(cwd, "locked"), 0o555);
    const batcher = await run(`${BATCHER} --l1 locked/l1 --once`, { cwd });
    failed(batcher, 1, /Unwritable: Cannot write L1 directory locked\/l1: permission denied/);
    hasNoTrace(batcher);
    succeeded(await run(`${BATCHER} --l1 l1 --once`, { cwd }));
    const deriver = await run("deriver --l1 l1 --out locked/o --once", { cwd });
    failed(deriver, 1, /Unwritable: Cannot write blocks to locked\/o: permission denied/);
    await chmod(join(cwd, "locked"), 0o755);
    succeeded(await run("deriver --l1 l1 --out locked/o --once", { cwd }));
  });
});
