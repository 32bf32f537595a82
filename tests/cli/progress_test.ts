import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { describeProgress, Progress, type WorkState } from "../../src/cli/progress.ts";
import { l1BlocksLeft } from "../../src/cli/l1.ts";
import { InboxSource } from "../../src/local/inbox.ts";
import { ManualClock, MemoryL1 } from "../../src/local/memory.ts";
import { Events, withDirectory } from "../helpers.ts";
import { withNode } from "../l2/l2_server.ts";
import { ScriptedL2 } from "../l2/scripted_l2.ts";
import { holdsBlocks } from "./files.ts";
import { type Running, start } from "./montana.ts";

/** A work on a clock that is turned by hand; `shown` is what stands on the terminal, where there is one. */
function progressOf(unit: WorkState["leftUnit"], { isTerminal = false } = {}) {
  const clock = new ManualClock(1_000_000);
  const events = new Events();
  const shown: (string | undefined)[] = [];
  let state: WorkState = { blocks: 0, left: undefined, leftUnit: unit };
  const progress = new Progress({
    task: unit === "block" ? "batcher" : "deriver",
    read: () => state,
    clock,
    log: events.log,
    ...(isTerminal ? { show: (line: string | undefined) => shown.push(line) } : {}),
  });
  /** So many seconds, each with so much done and so much less left. */
  const go = (seconds: number, blocks: number, gone: number) => {
    for (let half = 0; half < 2 * seconds; half++) {
      clock.advance(500);
      state = { ...state, blocks: state.blocks + blocks / 2, left: state.left! - gone / 2 };
      progress.look();
    }
  };
  const set = (change: Partial<WorkState>) => {
    state = { ...state, ...change };
    progress.look();
  };
  const texts = () => events.of("progress").map((event) => describeProgress(event).text);
  return { go, set, texts, shown, events, progress, clock };
}

test("Progress tells every ten seconds off a terminal, and once when it has caught up", () => {
  const { go, set, texts, events } = progressOf("block");
  set({ left: 100_000, waiting: 3000, newestTimestamp: 900n });
  go(9.5, 2000, 2000);
  deepEqual(texts(), []);
  go(0.5, 2000, 2000);
  deepEqual(texts(), [
    "posted 20000 blocks, 3000 more taken, 2000 blocks/s, 80000 blocks to go, 40 s left, newest block 110 s old",
  ]);
  go(40, 2000, 2000);
  // The last line stands for the fifth.
  equal(texts().length, 5);
  equal(
    texts().at(-1),
    "caught up: posted 100000 blocks in 50 s, 2000 blocks/s, 3000 more taken, newest block 3 min old",
  );
  go(100, 1, 0);
  equal(texts().length, 5);
  deepEqual(events.of("progress").map(({ isCaughtUp }) => isCaughtUp), [
    ...[false, false, false, false],
    true,
  ]);
});

test("Progress shows nothing of who is caught up, or soon is", () => {
  const steady = progressOf("block");
  for (let minute = 0; minute < 10; minute++) {
    steady.set({ left: minute % 3 });
    steady.go(60, 1, 0);
  }
  const short = progressOf("block");
  short.set({ left: 5000 });
  short.go(9, 555, 555);
  short.set({ left: 0 });
  const unknown = progressOf("L1 block");
  unknown.set({ left: undefined });
  unknown.clock.advance(60_000);
  unknown.set({ blocks: 1_000_000 });
  deepEqual([steady.texts(), short.texts(), unknown.texts()], [[], [], []]);
});

test("Progress counts what comes meanwhile, and tells no end where it comes no nearer", () => {
  const { go, set, events } = progressOf("L1 block");
  set({ left: 1000 });
  go(10, 500, 50);
  equal(events.of("progress").at(-1)!.timeLeftMs, 10_000);
  go(100, 500, 0);
  const stuck = events.of("progress").at(-1)!;
  deepEqual([stuck.left, stuck.blocksPerSecond, stuck.timeLeftMs], [500, 500, undefined]);
  // The pace is that of late.
  go(30, 500, 10);
  equal(events.of("progress").at(-1)!.timeLeftMs, 20_000);
});

test("Progress writes one line anew on a terminal, and takes it away", async () => {
  const { go, set, texts, shown, progress } = progressOf("L1 block", { isTerminal: true });
  set({ left: 320 });
  go(2, 64, 64);
  equal(shown.length, 4);
  match(shown[0]!, /^derived 32 blocks, 64 blocks\/s, 288 L1 blocks to go, 5 s left$/);
  go(3, 64, 64);
  equal(shown.at(-1), undefined);
  deepEqual(texts(), ["caught up: derived 320 blocks in 5 s, 64 blocks/s"]);
  set({ left: 320 });
  go(1, 64, 64);
  ok(shown.at(-1));
  await progress.run(AbortSignal.abort());
  equal(shown.at(-1), undefined);
});

test("describeProgress() tells times as people do", () => {
  const age = (lagMs: number) =>
    describeProgress({
      event: "progress",
      task: "verify",
      isCaughtUp: false,
      blocks: 1,
      blocksPerSecond: 0.12345,
      left: 100,
      leftUnit: "block",
      elapsedMs: 1,
      lagMs,
    }).text;
  equal(age(4000), "compared 1 block, 0.123 blocks/s, 100 blocks to go, newest block 4 s old");
  match(age(600_000), / 10 min old$/);
  match(age(3 * 3_600_000), / 3\.0 h old$/);
  match(age(5 * 86_400_000), / 5\.0 d old$/);
});

test("l1BlocksLeft() counts what was only read ahead, and no quiet end of L1", async () => {
  const standing = { next: 100n, head: 109n };
  const left = (aheadBytes: number, l1Position?: bigint) =>
    l1BlocksLeft({ standing }, { aheadBytes, l1Position });
  deepEqual([left(0), left(0, 40n), left(5000), left(5000, 40n)], [10, 10, 10, 69]);
  equal(
    l1BlocksLeft({ standing: { next: 110n, head: 109n } }, { aheadBytes: 0, l1Position: 3n }),
    0,
  );
  equal(l1BlocksLeft({}, { aheadBytes: 0, l1Position: 3n }), undefined);

  const l1 = new MemoryL1();
  for (let mined = 0; mined < 5; mined++) await l1.mine([], BigInt(mined));
  const source = new InboxSource(l1, { head: "latest" });
  deepEqual(source.standing, { next: 0n, head: -1n });
  await source.nextBatch();
  deepEqual(source.standing, { next: 6n, head: 5n });
});

/** A program on a terminal: what it writes there comes as standard output. */
const ON_TERMINAL = [
  "python3",
  "-c",
  "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))",
];
const INBOX = "--inbox 0xff00000000000000000000000000000000008453";
const ADDRESSES = `${INBOX} --batcher 0x5050f69a9786f081509234f1a7f4684b5e5b76c9`;

/** A node that takes five seconds for each block from `first` on, until it is let go: nobody gives up so soon. */
function heldNode(head: number, first: number) {
  const node = new ScriptedL2(head);
  let release = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  const later = () => Promise.race([released, new Promise((end) => setTimeout(end, 5000).unref())]);
  node.answer = (method, [tag], answer) => {
    const isHeld = method === "eth_getBlockByNumber" && Number(tag) >= first && Number(tag) < head;
    return isHeld ? later().then(() => answer) : answer;
  };
  return { node, release };
}

/** What was written on the terminal, with ⌫ where its last line is taken away. */
const textOn = ({ stdout }: Running) =>
  new TextDecoder().decode(stdout).replaceAll("\r\x1b[2K", "⌫");

test("montana batcher writes its progress on a terminal in one line, with others above it", async () => {
  const { node, release } = heldNode(2000, 900);
  await withDirectory((cwd) =>
    withNode(node, async (url) => {
      const flags =
        `batcher --l2 ${url} --l1 l1 --compressor none --max-blocks-per-batch 100 --once`;
      await using batcher = start(flags, { cwd, under: ON_TERMINAL });
      const line = /⌫posted \d+ blocks(, \d+ more taken)?, [\d.]+ blocks\/s, \d+ blocks to go/;
      await batcher.until("it shows how far it is", () => line.test(textOn(batcher)));
      release();
      equal((await batcher.ended).code, 0, textOn(batcher));
      const text = textOn(batcher);
      match(text, /⌫[\d:.]+ caught up: posted \d+ blocks in \d+ s, [\d.]+ blocks\/s/);
      match(text, /posted 20 batches, 2000 blocks/);
      // At the end nothing of it is left: what a terminal shows of each line is what follows its last erasure.
      const left = text.split("\n").map((each) => each.slice(each.lastIndexOf("⌫") + 1));
      ok(!left.some((each) => / to go/.test(each)), text);
      await holdsBlocks(join(cwd, "l1"), 2000);
    })
  );
});

test("montana run shows in the line whose progress it is, and takes its own away only", async () => {
  const { node, release } = heldNode(1000, 400);
  await withDirectory((cwd) =>
    withNode(node, async (url) => {
      const flags = `run --role batcher,deriver --l2 ${url} --l1 l1 --out o --data-dir d ` +
        "--compressor none --max-blocks-per-batch 100 --once";
      await using roles = start(flags, { cwd, under: ON_TERMINAL });
      const line =
        /⌫batcher: posted \d+ blocks(, \d+ more taken)?, [\d.]+ blocks\/s, \d+ blocks to go/;
      await roles.until("it shows how far it is", () => line.test(textOn(roles)));
      release();
      const caughtUp = /⌫batcher: [\d:.]+ caught up: posted \d+ blocks/;
      await roles.until("it is caught up", () => caughtUp.test(textOn(roles)));
      await roles.until(
        "all is derived",
        () => /deriver: \S+ derived batch 9:/.test(textOn(roles)),
      );
      roles.send("SIGTERM");
      equal((await roles.ended).code, 0, textOn(roles));
      const left = textOn(roles).split("\n").map((each) => each.slice(each.lastIndexOf("⌫") + 1));
      ok(!left.some((each) => / to go/.test(each)), textOn(roles));
    })
  );
});

test("montana batcher tells its progress as an event of the log off a terminal", async () => {
  const { node, release } = heldNode(4000, 900);
  await withDirectory((cwd) =>
    withNode(node, async (url) => {
      const flags = `batcher --l2 ${url} --l1 l1 --compressor none --log-format json --once`;
      await using batcher = start(flags, { cwd });
      await batcher.untilSaid('"event":"progress"');
      release();
      const { code, stderr } = await batcher.ended;
      equal(code, 0, stderr);
      const events = stderr.trim().split("\n").map((line) => JSON.parse(line))
        .filter(({ event }) => event === "progress");
      const { task, level, left, left_unit: unit, caught_up: isCaughtUp } = events[0];
      deepEqual([task, level, unit, isCaughtUp], ["batcher", "info", "block", "false"]);
      ok(left >= 100 && left <= 3100, `${left}`);
      deepEqual([events.at(-1).caught_up, events.at(-1).left], ["true", 0]);
      ok(!stderr.includes("\x1b"), stderr);
    })
  );
});

test("montana deriver shows how much of L1 is left to read", async () => {
  const { node, release } = heldNode(300, 50);
  await withDirectory((cwd) =>
    withNode(node, async (url) => {
      const flags = `deriver --l1 ${url} ${ADDRESSES} --confirmations 0 --out derived.jsonl --once`;
      await using deriver = start(flags, { cwd, under: ON_TERMINAL });
      const line = /⌫derived 0 blocks, 0 blocks\/s, 2\d\d L1 blocks to go/;
      await deriver.until("it shows how far it is", () => line.test(textOn(deriver)));
      release();
      equal((await deriver.ended).code, 0, textOn(deriver));
      match(textOn(deriver), /caught up: derived 0 blocks in \d+ s/);
    })
  );
});

test("montana verify shows how many blocks are to be compared", async () => {
  const { node, release } = heldNode(400, 200);
  await withDirectory((cwd) =>
    withNode(new ScriptedL2(400), async (source) => {
      const posting = `batcher --l2 ${source} --l1 l1 --compressor none --once --log-level none`;
      await using batcher = start(posting, { cwd });
      equal((await batcher.ended).code, 0, batcher.stderr);
      await withNode(node, async (url) => {
        const flags = `verify --l2 ${url} --l1 l1 --from 1 --to 400`;
        await using verify = start(flags, { cwd, under: ON_TERMINAL });
        const line = /⌫compared \d+ blocks?, [\d.]+ blocks\/s, [23]\d\d blocks to go/;
        await verify.until("it shows how far it is", () => line.test(textOn(verify)));
        release();
        equal((await verify.ended).code, 0, textOn(verify));
        match(textOn(verify), /caught up: compared \d+ blocks in \d+ s/);
        match(textOn(verify), /blocks 1 to 400: 400 blocks with 0 transactions the same/);
      });
    })
  );
});
