import { match, ok, strictEqual as equal } from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { run, start, succeeded } from "./montana.ts";
import { acksOf, linesOf, shardLines } from "./operations.ts";
import { skip, SmallDisk } from "./small_disk.ts";

/** Lines of a kilobyte. */
function largeLines(count: number): string {
  return Array.from(
    { length: count },
    (_, index) => `key-${index % 7}\t${index}\t`.padEnd(1023, "x") + "\n",
  )
    .join("");
}

/** A directory with a disk in it. */
async function withDisk(size: string, action: (cwd: string, disk: SmallDisk) => Promise<void>) {
  await withDirectory(async (cwd) => {
    await mkdir(join(cwd, "disk"));
    using disk = new SmallDisk(join(cwd, "disk"), size);
    await action(cwd, disk);
  });
}

test(
  "montana processor whose log has no room waits, loses nothing, and goes on",
  { skip },
  async () => {
    await withDisk("1m", async (cwd, disk) => {
      const lines = largeLines(3000);
      const args =
        "processor --data-dir disk/data --to out --ack --interval 1h --max-batch 1000000";
      await using running = start(`${args} --batch-size fixed --max-batch-bytes 500MiB`, {
        cwd,
        stdin: lines,
      });
      await running.untilSaid(
        /warning: standard input waits: NoSpace: .*no space left on the device/,
      );
      const before = acksOf(running.stdout).length;
      ok(before > 0 && before < 3000, `${before}`);
      disk.remount("size=64m");
      const outcome = await running.ended;
      succeeded(outcome);
      equal(acksOf(outcome.stdout).length, 3000);
      const numbers = (await shardLines(join(cwd, "out"))).map((line) =>
        Number(line.split("\t")[1])
      );
      equal(numbers.length, 3000);
    });
  },
);

test("montana processor killed on a full disk has what it acknowledged", { skip }, async () => {
  await withDisk("1m", async (cwd, disk) => {
    const lines = largeLines(3000);
    const args = "processor --data-dir disk/data --to out";
    const paused = `${args} --ack --interval 1h --max-batch 1000000 --batch-size fixed`;
    await using running = start(`${paused} --max-batch-bytes 500MiB`, { cwd, stdin: lines });
    await running.untilSaid("standard input waits: NoSpace");
    running.send("SIGKILL");
    const acknowledged = linesOf(lines).slice(0, acksOf((await running.ended).stdout).length);
    disk.remount("size=64m");
    succeeded(await run(args, { cwd }));
    const written = new Set(await shardLines(join(cwd, "out")));
    equal(acknowledged.filter((line) => !written.has(line)).length, 0);
  });
});

test(
  "montana processor whose shards have no room waits, and writes each once",
  { skip },
  async () => {
    await withDisk("1m", async (cwd, disk) => {
      const args =
        "processor --data-dir data --to disk/out --ack --interval 5ms --retry-delay 10ms";
      await using running = start(args, { cwd, stdin: largeLines(3000) });
      await running.untilSaid(/NoSpace: .*; batch \d+-\d+, try \d+: trying again/);
      disk.remount("size=64m");
      const outcome = await running.ended;
      succeeded(outcome);
      match(outcome.stderr, /^handled 3000 operations/m);
      equal((await shardLines(join(cwd, "disk/out"))).length, 3000);
      ok(!(await readdir(join(cwd, "data"))).includes("dead"));
    });
  },
);
