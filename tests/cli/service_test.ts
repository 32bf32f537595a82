import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ServiceWatch } from "../../src/cli/service_watch.ts";
import type { BatchSink, Clock } from "../../src/ports.ts";
import { skipWithout, withDirectory } from "../helpers.ts";
import { sourceText } from "./files.ts";
import { run, start, succeeded } from "./montana.ts";
import { Notified, PYTHON } from "./notified.ts";

const telling =
  "montana run tells systemd when all roles have looked, that they are alive, and the end";
test(telling, { skip: skipWithout(PYTHON, telling) }, async () => {
  await withDirectory(async (cwd) => {
    const socket = join(cwd, "notify");
    await using systemd = await Notified.listen(socket);
    const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "400000" };
    await using running = start("deriver --l1 l1 --out derived.jsonl", { cwd, env });
    // There is no L1 yet: nothing was looked at.
    await running.until("it says that it lives", () => systemd.told.length >= 2);
    deepEqual([...new Set(systemd.told)], ["WATCHDOG=1"]);

    await writeFile(join(cwd, "blocks.jsonl"), sourceText(5));
    succeeded(await run("batcher --l2 blocks.jsonl --l1 l1 --once", { cwd }));
    const ready = "READY=1 STATUS=running deriver";
    await running.until("it is ready", () => systemd.told.includes(ready));
    const before = systemd.told.length;
    await running.until("it goes on", () => systemd.told.length >= before + 2);
    deepEqual(systemd.told.filter((line) => line !== "WATCHDOG=1"), [ready]);
    running.send("SIGTERM");
    succeeded(await running.ended);
    await untilTold(systemd, /^STOPPING=1 STATUS=SIGTERM: ending after this batch/);
  });
});

const lastReady = "montana run is ready once the last of its roles is";
test(
  lastReady,
  { skip: skipWithout(PYTHON, lastReady) },
  async () => {
    await withDirectory(async (cwd) => {
      const name = `@montana-test-${crypto.randomUUID()}`;
      await using systemd = await Notified.listen(name);
      await writeFile(join(cwd, "blocks.jsonl"), sourceText(5));
      const flags = "--l2 blocks.jsonl --l1 l1 --out derived.jsonl --data-dir data";
      const env = { NOTIFY_SOCKET: name };
      await using running = start(`run --role batcher,deriver ${flags}`, { cwd, env });
      await running.until("it is ready", () => systemd.told.length > 0);
      running.send("SIGTERM");
      succeeded(await running.ended);
      await untilTold(systemd, /^STOPPING=1/);
      const [first, second, ...others] = systemd.told;
      match(first!, /^READY=1 STATUS=running batcher, deriver$/);
      match(second!, /^STOPPING=1 STATUS=ending: SIGTERM$/);
      deepEqual(others, []);
    });
  },
);

const kept = "montana processor keeps from its command who is to be told";
test(kept, { skip: skipWithout(PYTHON, kept) }, async () => {
  await withDirectory(async (cwd) => {
    const socket = join(cwd, "notify");
    await using systemd = await Notified.listen(socket);
    const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "10000000", WATCHDOG_PID: "1" };
    const stdin = "operation\n";
    const { code, stderr } = await run(
      ["processor", "--data-dir", "data", "--exec", "cat > /dev/null; env > env.txt"],
      { cwd, env, stdin },
    );
    ok(code === 0, stderr);
    const inherited = await readFile(join(cwd, "env.txt"), "utf8");
    doesNotMatch(inherited, /^(NOTIFY_SOCKET|WATCHDOG_)/m);
    match(inherited, /^MONTANA_BATCH_COUNT=1$/m);
    await untilTold(systemd, /^READY=1 STATUS=running processor$/);
    // Another process is to say that it lives.
    deepEqual(systemd.told.filter((line) => line === "WATCHDOG=1"), []);
  });
});

const deaf = "where systemd cannot be told, it says so once and goes on";
const whyNotDeaf = process.versions["deno"] && !process.env["MONTANA_CLI"]
  ? false
  : "only Deno can be kept from the C library";
if (whyNotDeaf) process.stdout.write(`skipped: ${deaf}: ${whyNotDeaf}\n`);
test(deaf, { skip: whyNotDeaf }, async () => {
  await withDirectory((cwd) => {
    const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
    const { status, stderr } = spawnSync(
      process.execPath,
      ["run", "-A", "--deny-ffi", cli, "processor", "--data-dir", "data"],
      { cwd, encoding: "utf8", input: "", env: { ...process.env, NOTIFY_SOCKET: "/nowhere" } },
    );
    equal(status, 0, stderr);
    equal(stderr.match(/^warning: systemd is not told/gm)?.length, 1, stderr);
    return Promise.resolve();
  });
});

test("a role is alive while its loops sleep, turn, or wait for L1, and not when stuck in a turn", async () => {
  const clock = new SteppedClock();
  const role = new ServiceWatch(["batcher"], undefined, clock).of("batcher");
  const [loop, account] = [role.loop(), role.loop(() => isExcused)];
  let isExcused = false;
  const isAlive = () => role.isAlive(100);

  clock.advance(99);
  ok(isAlive());
  clock.advance(1);
  ok(!isAlive(), "neither has turned");
  loop.turned();
  ok(!isAlive(), "one loop does not stand for another");
  isExcused = true;
  ok(isAlive(), "it has nothing to do");
  isExcused = false;
  account.turned();

  const naps = [loop.sleep(500), account.sleep(1000)];
  clock.advance(499);
  ok(isAlive(), "a loop that sleeps is not stuck");
  clock.advance(1);
  await naps[0];
  clock.advance(99);
  ok(isAlive());
  clock.advance(1);
  ok(!isAlive());

  const landed = Promise.withResolvers<never>();
  const sink = loop.waitingFor({ submit: () => landed.promise } as unknown as BatchSink);
  const submitted = sink.submit({ batchNumber: 0n, data: new Uint8Array() });
  clock.advance(300);
  ok(isAlive(), "L1 may take its time, and the account has a loop of its own");
  landed.reject(new Error("no"));
  await rejects(submitted);
  ok(isAlive(), "an answer is a turn");
  clock.advance(100);
  ok(!isAlive());
  role.over();
  ok(isAlive(), "what has ended need not turn");
});

test("systemd is told that a process lives every quarter of its time, as long as no role is stuck", async () => {
  const clock = new SteppedClock();
  const told: string[] = [];
  const tell = (what: string) => () => told.push(what) > 0;
  const notifier = {
    watchdogMs: 400,
    ready: (status: string) => tell(`ready: ${status}`)(),
    stopping: tell("stopping"),
    alive: tell("alive"),
  };
  const service = new ServiceWatch(["batcher", "deriver"], notifier, clock);
  const batcher = service.of("batcher");
  const loop = batcher.loop();
  const quarter = async () => {
    clock.advance(100);
    await new Promise((resolve) => setTimeout(resolve));
    return told.splice(0);
  };
  deepEqual(told.splice(0), ["alive"]);
  deepEqual(await quarter(), ["alive"]);
  deepEqual(await quarter(), [], "it has not turned for half of the time");
  deepEqual(await quarter(), []);

  const source = loop.watching(new Source(), "pendingBlocks", () => batcher.looked());
  await rejects(source.pendingBlocks());
  deepEqual(await quarter(), ["alive"], "an answer is a turn, a bad one too");
  deepEqual(await source.pendingBlocks(), 2);
  deepEqual(told, [], "one of two has looked");
  service.of("deriver").looked();
  service.of("deriver").looked();
  deepEqual(told.splice(0), ["ready: running batcher, deriver"]);
  equal(source.blocksLeft, 2);
  service.close();
  loop.turned();
  deepEqual(await quarter(), []);
});

test("systemd is told again that all is ready where it had no room, and not once it ends", async () => {
  const clock = new SteppedClock();
  const told: string[] = [];
  let hasRoom = false;
  const notifier = {
    watchdogMs: 400,
    ready: (status: string) => hasRoom && told.push(status) > 0,
    stopping: (why: string) => told.push(why) > 0,
    alive: () => true,
  };
  const begin = () => new ServiceWatch(["batcher"], notifier, clock);
  const quarter = async () => {
    clock.advance(100);
    await new Promise((resolve) => setTimeout(resolve));
    return told.splice(0);
  };
  const service = begin();
  service.of("batcher").looked();
  deepEqual(await quarter(), []);
  hasRoom = true;
  deepEqual(await quarter(), ["running batcher"]);
  deepEqual(await quarter(), [], "once is enough");
  service.close();

  const ending = begin();
  ending.stopping("ending");
  ending.of("batcher").looked();
  deepEqual(await quarter(), ["ending"]);
  ending.close();
});

/** Answers the second time. */
class Source {
  #asked = 0;

  get blocksLeft(): number {
    return this.#asked;
  }

  pendingBlocks(): Promise<number> {
    this.#asked += 1;
    return this.#asked > 1 ? Promise.resolve(this.#asked) : Promise.reject(new Error("not yet"));
  }
}

/** Who sleeps by it wakes when it is moved. */
class SteppedClock implements Clock {
  #nowMs = 0;
  #asleep: { readonly untilMs: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((wake) => {
      this.#asleep.push({ untilMs: this.#nowMs + ms, wake });
      signal?.addEventListener("abort", () => wake());
    });
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const { untilMs, wake } of this.#asleep) if (untilMs <= this.#nowMs) wake();
    this.#asleep = this.#asleep.filter(({ untilMs }) => untilMs > this.#nowMs);
  }
}

/** It comes after the process has ended. */
async function untilTold(systemd: Notified, line: RegExp): Promise<void> {
  for (let tries = 0; !systemd.told.some((each) => line.test(each)); tries++) {
    ok(tries < 1000, `${line} is not in ${JSON.stringify(systemd.told)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
