import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { type Answer, type Asked, withServer } from "../l1/rpc_server.ts";
import { holdsBlocks, linesOf, sourceText } from "./files.ts";
import { failed, run, start, succeeded } from "./montana.ts";

/** Posted in threes only: two blocks of 20 kB wait until the third comes. */
const FLAGS = "batcher --l2 - --l1 l1 --compressor none --batch-interval 1h " +
  "--max-blocks-per-batch 3 --throttle-interval 20ms --throttle-lower 10KB --throttle-upper 30KB";
const LINES = linesOf(sourceText(6, { size: 20_000 })).map((line) => line + "\n");

/** Transaction and block, in bytes, as a sequencer was told them. */
type Limits = readonly [maxTxBytes: number, maxBlockBytes: number];

/** A sequencer that takes what it is told, and keeps it. */
function sequencer(): { told: Limits[]; answer: Answer } {
  const told: Limits[] = [];
  const answer: Answer = ({ id, method, params }: Asked, response) => {
    equal(method, "miner_setMaxDASize");
    const [maxTxBytes, maxBlockBytes] = params.map(Number);
    told.push([maxTxBytes!, maxBlockBytes!]);
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result: true }));
  };
  return { told, answer };
}

test("montana batcher --throttle holds a sequencer back while blocks wait, and lets it go", async () => {
  const { told, answer } = sequencer();
  await withDirectory((cwd) =>
    withServer(answer, async (url, host) => {
      await using batcher = start(`${FLAGS} --throttle ${url}`, { cwd, stdin: "open" });
      await batcher.until("it tells at the start", () => told.length === 1);
      batcher.feed(LINES[0]! + LINES[1]!);
      await batcher.until("it holds back", () => told.at(-1)?.[1] === 2_000);
      batcher.feed(LINES[2]!);
      await batcher.until("it lets go", () => told.at(-1)?.[1] === 130_000);
      batcher.feed(LINES[3]! + LINES[4]!);
      await batcher.until("it holds back again", () => told.at(-1)?.[1] === 2_000);
      batcher.feed("", { end: true });
      const { code, stderr } = await batcher.ended;
      equal(code, 0, stderr);
      deepEqual([told[0], told.at(-1)], [[0, 130_000], [0, 130_000]]);
      match(stderr, /warning: holding sequencers back \(100 %\): 39\.1 KiB to be posted; /);
      match(stderr, /sequencers are held back no more: 0 B to be posted/);
      ok(!stderr.includes(`${host} `), stderr);
      await holdsBlocks(join(cwd, "l1"), 5);
    })
  );
});

test("montana batcher --throttle warns of a node without the method, and posts", async () => {
  const asked: string[] = [];
  const answer: Answer = ({ id, method }, response) => {
    asked.push(method);
    const error = { code: -32601, message: "the method does not exist" };
    response.end(JSON.stringify({ jsonrpc: "2.0", id, error }));
  };
  await withDirectory((cwd) =>
    withServer(answer, async (url, host) => {
      const env = { SEQUENCER: url };
      await using batcher = start(`${FLAGS} --throttle env:SEQUENCER`, { cwd, stdin: "open", env });
      await batcher.untilSaid(`warning: ${host} cannot be held back: it has no miner_setMaxDASize`);
      batcher.feed(LINES.join(""), { end: true });
      const { code, stderr } = await batcher.ended;
      equal(code, 0, stderr);
      equal(stderr.split("cannot be held back").length, 2, stderr);
      await holdsBlocks(join(cwd, "l1"), 6);
    })
  );
});

test("montana batcher --throttle posts beside a sequencer that hangs, tells others, and ends", async () => {
  let asked = 0;
  const { told, answer } = sequencer();
  await withDirectory((cwd) =>
    withServer(() => asked++, async (hanging) => {
      await withServer(answer, async (url) => {
        const both = `${FLAGS} --throttle ${hanging} --throttle ${url}`;
        await using batcher = start(both, { cwd, stdin: "open" });
        await batcher.until("it asks", () => asked > 0 && told.length > 0);
        batcher.feed(LINES.slice(0, 3).join(""));
        await batcher.untilSaid("batch 0: 3 blocks");
        await batcher.untilSaid(/cannot hold .* back: Timeout: .* no answer within 2000 ms/);
        batcher.feed(LINES.slice(3, 5).join(""));
        await batcher.until("the other is held back", () => told.at(-1)?.[1] === 2_000);
        batcher.feed(LINES[5]!, { end: true });
        equal((await batcher.ended).code, 0, batcher.stderr);
        deepEqual(told.at(-1), [0, 130_000]);
        await holdsBlocks(join(cwd, "l1"), 6);
      });
    })
  );
});

test("montana batcher refuses throttling that cannot be", async () => {
  const cases: [string, number, RegExp][] = [
    ["--throttle-lower 1MB", 2, /Cannot use --throttle-lower without --throttle: name the seq/],
    ["--throttle-strategy pid", 2, /Cannot use --throttle-strategy without --throttle/],
    [
      "--throttle http://a --throttle-strategy cubic",
      2,
      /--throttle-strategy "cubic": need one of/,
    ],
    [
      "--throttle http://a --throttle-upper 1MB",
      2,
      /--throttle-lower 3200000 with --throttle-upper/,
    ],
    ["--throttle http://a --throttle-tx-lower 1MB", 2, /--throttle-tx-lower 1000000 with --throt/],
    ["--throttle http://a --throttle-interval 0s", 2, /--throttle-interval 0: need some time/],
    ["--throttle sequencer", 78, /Cannot use --throttle: need http/],
    ["--throttle env:NO_SUCH_URL", 2, /--throttle env:NO_SUCH_URL: there is no such environment/],
  ];
  await withDirectory(async (cwd) => {
    for (const [flags, code, why] of cases) {
      failed(await run(`batcher --l2 - --l1 l1 ${flags}`, { cwd }), code, why);
    }
  });
});

test("montana batcher tells nobody anything without --throttle", async () => {
  await withDirectory(async (cwd) => {
    const text = LINES.join("");
    const outcome = await run("batcher --l2 - --l1 l1 --compressor none", { cwd, stdin: text });
    succeeded(outcome);
    ok(!/held back|holding/.test(outcome.stderr), outcome.stderr);
  });
});
