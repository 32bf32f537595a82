import { ok, strictEqual as equal } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { SeededRandom } from "../../src/local/memory.ts";
import { withDirectory } from "../helpers.ts";
import { run, start, succeeded } from "./montana.ts";
import { acksOf, linesOf, operationLines, shardLines } from "./operations.ts";

const ROUNDS = 8;
const random = new SeededRandom(11);

/** Feeds a run with lines and kills it at some moment; gives the lines that it acknowledged. */
async function cutOff(args: string[], cwd: string, lines: string): Promise<string[]> {
  await using running = start(args, { cwd, stdin: "open" });
  const half = lines.length / 2;
  running.feed(lines.slice(0, half));
  await running.until("it acknowledges", () => running.stdout.length > 0);
  running.feed(lines.slice(half));
  await new Promise((resolve) => setTimeout(resolve, 250 * random.next()));
  running.send("SIGKILL");
  const { stdout } = await running.ended;
  return linesOf(lines).slice(0, acksOf(stdout).length);
}

test("montana processor killed under load has each acknowledged operation in the shards, once", async () => {
  await withDirectory(async (cwd) => {
    const flags = "processor --data-dir data --to out --shards 5 --interval 5ms --log-level none";
    const acknowledged: string[] = [];
    const count = 20_000;
    let cut = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const acks = await cutOff(
        [...flags.split(" "), "--ack"],
        cwd,
        operationLines(count, round * count),
      );
      if (acks.length < count) cut += 1;
      acknowledged.push(...acks);
    }
    ok(cut > 0, "no round was cut off while it took operations");
    succeeded(await run(flags, { cwd }));
    const written = new Set(await shardLines(join(cwd, "out")));
    const lost = acknowledged.filter((each) => !written.has(each));
    equal(lost.length, 0, `lost: ${lost.slice(0, 5)} …`);
    ok(acknowledged.length > ROUNDS);
  });
});

test("montana processor killed while a command runs gives it the same batch again", async () => {
  await withDirectory(async (cwd) => {
    const command =
      'cat > /dev/null; echo "$MONTANA_BATCH_FIRST-$MONTANA_BATCH_LAST" >> seen; sleep 0.2';
    const flags = ["processor", "--data-dir", "data", "--exec", command, "--interval", "5ms"];
    const acknowledged: string[] = [];
    for (let round = 0; round < 4; round++) {
      const lines = operationLines(500, round * 500);
      acknowledged.push(...await cutOff([...flags, "--ack"], cwd, lines));
    }
    succeeded(await run(flags, { cwd }));
    const seen = linesOf(await readFile(join(cwd, "seen")));
    const batches = [...new Set(seen)].map((each) => each.split("-").map(Number));
    batches.sort(([a], [b]) => a! - b!);
    for (const [index, [first]] of batches.entries()) {
      const before = batches[index - 1];
      ok(!before || first! > before[1]!, `${first} is in two batches`);
    }
    ok(acknowledged.length > 0);
  });
});
