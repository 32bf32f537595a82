import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, type Running, start, succeeded, textOf } from "./montana.ts";
import { acksOf, linesOf, operationLines, shardLines } from "./operations.ts";
import { filesIn } from "./traps.ts";

const DATA = "processor --data-dir data";
/** Nothing is handed over unless it is asked for. */
const IDLE = "--interval 1h --max-batch 1000000 --batch-size fixed";

/** Waits for so many acknowledgements. */
function acknowledged(running: Running, count: number): Promise<void> {
  return running.until(`${count} acknowledgements`, () => linesOf(running.stdout).length >= count);
}

async function status(cwd: string): Promise<Record<string, unknown>> {
  return JSON.parse(succeeded(await run("ctl status --data-dir data --json", { cwd })));
}

test("montana processor takes lines, acknowledges them in order, and ends with the input", async () => {
  await withDirectory(async (cwd) => {
    const args = `${DATA} --to out --shards 3 --ack --interval 50ms`;
    const outcome = await run(args, { cwd, stdin: operationLines(5000) });
    succeeded(outcome);
    equal(acksOf(outcome.stdout).length, 5000);
    deepEqual((await shardLines(join(cwd, "out"))).length, 5000);
    match(outcome.stderr, /^handled 5000 operations in \d+ batch(es)?$/m);
    // The log has nothing left, and its numbers go on.
    const again = await run(args, { cwd, stdin: "key-x\t1" });
    succeeded(again);
    equal(acksOf(again.stdout).length, 1);
    ok(acksOf(again.stdout)[0]! > acksOf(outcome.stdout).at(-1)!);
    match(again.stderr, /^handled 1 operation in 1 batch$/m);
  });
});

test("montana processor writes to standard output, any bytes as they are", async () => {
  await withDirectory(async (cwd) => {
    const input = Uint8Array.of(0x1f, 0x8b, 0xff, 0, 10, 10, 13, 10, 0xef, 0xbb, 0xbf, 10, 65);
    const outcome = await run(DATA, { cwd, stdin: input });
    succeeded(outcome);
    deepEqual(outcome.stdout, Uint8Array.of(...input, 10));
    equal((await run(`${DATA} --stdout`, { cwd })).stdout.length, 0);
  });
});

test("montana processor --key-field takes the key out of JSON", async () => {
  await withDirectory(async (cwd) => {
    const line = (index: number) => JSON.stringify({ value: index, user: `u${index % 5}` }) + "\n";
    const stdin = Array.from({ length: 100 }, (_, index) => line(index)).join("");
    succeeded(await run(`${DATA} --to out --shards 4 --key-field user`, { cwd, stdin }));
    const shardOf = new Map<string, string>();
    for (const name of ["0000", "0001", "0002", "0003"]) {
      for (const each of linesOf(await readFile(join(cwd, `out/shard-${name}.log`)))) {
        const { user } = JSON.parse(each);
        equal(shardOf.get(user) ?? name, name);
        shardOf.set(user, name);
      }
    }
    equal(shardOf.size, 5);
  });
});

test("montana processor --exec gives batches to a command, with their identity", async () => {
  await withDirectory(async (cwd) => {
    const command =
      `cat >> all; echo "$MONTANA_BATCH_FIRST $MONTANA_BATCH_LAST $MONTANA_BATCH_COUNT"`;
    const args = [...DATA.split(" "), "--exec", command, "--interval", "1h", "--log-level", "none"];
    const outcome = await run(args, { cwd, stdin: operationLines(50) });
    succeeded(outcome);
    equal(await readFile(join(cwd, "all"), "utf8"), operationLines(50));
    match(outcome.stderr, /^0 49 50$/m);
  });
});

test("montana processor --exec tries again, says what the command said, and keeps the dead", async () => {
  await withDirectory(async (cwd) => {
    const command = 'echo "no room for that" >&2; cat > /dev/null; exit 3';
    const flags = ["--exec", command, "--retries", "2", "--retry-delay", "10ms"];
    const outcome = await run([...DATA.split(" "), ...flags], { cwd, stdin: "a\nb\n" });
    failed(outcome, 1, /Dead: .*1 batch found no taker, and is kept in data\/dead/);
    equal(outcome.stderr.match(/ended with 3: no room for that; batch 0-1, try \d/g)?.length, 3);
    const dead = linesOf(await readFile(join(cwd, "data/dead/0-1.jsonl")));
    match(JSON.parse(dead[0]!).error, /ended with 3: no room for that/);
    deepEqual(dead.slice(1).map((line) => JSON.parse(line).text), ["a", "b"]);
  });
});

test("montana processor --when-dead stop stands still until it is resumed", async () => {
  await withDirectory(async (cwd) => {
    const command = "test -e open && cat >> all";
    const flags = [
      "--exec",
      command,
      "--retries",
      "0",
      "--when-dead",
      "stop",
      "--interval",
      "10ms",
    ];
    await using running = start([...DATA.split(" "), ...flags], { cwd, stdin: "open" });
    running.feed("a\n");
    await running.untilSaid("the line stands still until it is resumed");
    equal((await status(cwd))["state"], "stopped");
    await writeFile(join(cwd, "open"), "");
    running.feed("b\n");
    succeeded(await run("ctl resume --data-dir data", { cwd }));
    await running.until("b is handled", () => existsSync(join(cwd, "all")));
    running.feed("", { end: true });
    failed(await running.ended, 1, /Dead: .*1 batch found no taker/);
    equal(await readFile(join(cwd, "all"), "utf8"), "b\n");
  });
});

test("montana processor --http posts batches with an idempotency key, and tries again", async () => {
  await withDirectory(async (cwd) => {
    const answers = [503, 429, 200];
    const seen: [string, string][] = [];
    const server = createServer(async (request, response) => {
      const parts: Uint8Array[] = [];
      for await (const part of request) parts.push(part as Uint8Array);
      seen.push([`${request.headers["idempotency-key"]}`, Buffer.concat(parts).toString()]);
      response.writeHead(answers.shift() ?? 200).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    try {
      const flags = `--http http://127.0.0.1:${port}/batches --retry-delay 10ms`;
      succeeded(await run(`${DATA} ${flags}`, { cwd, stdin: "a\nb\n" }));
      equal(seen.length, 3);
      equal(new Set(seen.map(([key]) => key)).size, 1);
      match(seen[0]![0], /^[0-9a-f]{32}-0-1$/);
      ok(seen.every(([, body]) => body === "a\nb\n"));
      // For good: it is not tried again.
      answers.push(400);
      failed(await run(`${DATA} ${flags}`, { cwd, stdin: "c\n" }), 1, /Dead/);
      equal(seen.length, 4);
    } finally {
      server.close();
    }
  });
});

test("montana ctl and SIGUSR1 flush what waits for its interval", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${DATA} --to out --ack ${IDLE}`, { cwd, stdin: "open" });
    running.feed(operationLines(10));
    await acknowledged(running, 10);
    equal((await status(cwd))["pendingOperations"], 10);
    match(succeeded(await run("ctl flush --data-dir data", { cwd })), /^pending +0 operations/m);
    equal((await shardLines(join(cwd, "out"))).length, 10);

    running.feed(operationLines(5, 10));
    await acknowledged(running, 15);
    running.send("SIGUSR1");
    await running.until(
      "all is there",
      async () => (await shardLines(join(cwd, "out"))).length === 15,
    );
    running.feed("", { end: true });
    succeeded(await running.ended);
  });
});

test("montana ctl pauses, resumes, drains and tells the status", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${DATA} --to out --ack --interval 10ms`, { cwd, stdin: "open" });
    running.feed("key\t1\n");
    await acknowledged(running, 1);
    match(succeeded(await run("ctl pause --data-dir data", { cwd })), /^state +paused$/m);
    running.feed("key\t2\n");
    await acknowledged(running, 2);
    const paused = await status(cwd);
    deepEqual([paused["state"], paused["pendingOperations"]], ["paused", 1]);
    const flush = await run("ctl flush --data-dir data", { cwd });
    failed(flush, 75, /Paused: Cannot flush: it is paused with 1 operation in/);
    succeeded(await run("ctl resume --data-dir data", { cwd }));

    match(succeeded(await run("ctl drain --data-dir data", { cwd })), /^state +draining$/m);
    deepEqual(await shardLines(join(cwd, "out")), ["key\t1", "key\t2"]);
    running.feed("key\t3\n");
    await running.untilSaid("standard input waits: Draining");
    succeeded(await run("ctl resume --data-dir data", { cwd }));
    await acknowledged(running, 3);
    running.send("SIGTERM");
    succeeded(await running.ended);
    deepEqual(await shardLines(join(cwd, "out")), ["key\t1", "key\t2", "key\t3"]);
    ok(!existsSync(join(cwd, "data/control.sock")));
    failed(
      await run("ctl status --data-dir data", { cwd }),
      75,
      /Connection: .*no processor runs there; start/,
    );
    const mistyped = await run("ctl status --data-dir dada", { cwd });
    failed(mistyped, 2, /Usage: Cannot use --data-dir dada: there is no such file or directory/);
    const whole = await run("wal ls data", { cwd });
    failed(whole, 1, /Cannot read a log in data: there is none; did you mean data\/wal\?/);
  });
});

test("montana ctl flush ends at its deadline where the handler hangs", async () => {
  await withDirectory(async (cwd) => {
    const args = [
      ...DATA.split(" "),
      "--exec",
      "sleep 1000",
      "--ack",
      "--shutdown-timeout",
      "100ms",
    ];
    await using running = start(args, { cwd, stdin: "open" });
    running.feed("a\n");
    await acknowledged(running, 1);
    const flush = await run("ctl flush --data-dir data --deadline 200ms", { cwd });
    failed(flush, 75, /Deadline: Cannot flush in time: 1 operation is not handled/);
    running.send("SIGTERM");
    const outcome = await running.ended;
    failed(outcome, 3, /Deadline: Cannot shut down in time/);
    match(outcome.stderr, /^stopped with 1 operation in data, after 0 operations/m);
  });
  await withDirectory(async (cwd) => {
    // What was left is handled by the next start.
    const hang = ["--exec", "sleep 1000", "--shutdown-timeout", "10ms"];
    failed(await run([...DATA.split(" "), ...hang], { cwd, stdin: "a\nb\n" }), 3, /Deadline/);
    const outcome = await run(DATA, { cwd });
    equal(succeeded(outcome), "a\nb\n");
  });
});

test("montana processor quits at once at a second signal, and nothing is lost", async () => {
  await withDirectory(async (cwd) => {
    const args = [...DATA.split(" "), "--exec", "sleep 1000", "--ack"];
    await using running = start(args, { cwd, stdin: "open" });
    running.feed("a\n");
    await acknowledged(running, 1);
    running.send("SIGTERM");
    await running.untilSaid("SIGTERM: handling what was taken");
    running.send("SIGTERM");
    equal((await running.ended).code, 130);
    equal(succeeded(await run(DATA, { cwd })), "a\n");
  });
});

test("montana processor refuses flags that contradict each other, before it makes anything", async () => {
  await withDirectory(async (cwd) => {
    const cases: [string, RegExp][] = [
      ["--to a --exec b", /Cannot use --to and --exec together: name one/],
      ["--http http://a --stdout", /Cannot use --http and --stdout together/],
      ["--shards 3", /Cannot use --shards without --to/],
      ["--exec a --key-field b", /Cannot use --key-field without --to/],
      ["--ack", /Cannot use --ack with standard output/],
      ["--stdout --ack", /Cannot use --ack with standard output/],
      ["--to a --shards 0", /--shards "0": need a whole number from 1 to 1024/],
      ["--http ftp://a", /--http "ftp:\/\/a": need a URL/],
      ["--interval 5", /--interval "5": need a time/],
      ["--max-batch 0", /--max-batch "0": need a whole number/],
      ["--when-full drop", /--when-full "drop": need one of wait, reject/],
      ["--when-dead drop", /--when-dead "drop": need one of continue, stop/],
      ["--batch-size big", /--batch-size "big": need one of adaptive, fixed/],
      ["--listen 70000", /--listen "70000": need PORT or HOST:PORT, a port from 0 to 65535/],
      ["--listen here", /--listen "here": need PORT or HOST:PORT/],
    ];
    await inPairs(halfOf(cases), async ([flags, why]) => {
      failed(await run(`${DATA} ${flags}`, { cwd }), 2, why);
    });
    const ctl: [string, RegExp][] = [
      ["ctl flsh --data-dir data", /unknown command 'flsh'/],
      ["ctl status --data-dir data --deadline 1s", /unknown option '--deadline'/],
      ["ctl flush", /required option '--data-dir <dir>' not specified/],
      ["ctl flush --data-dir data --deadline soon", /--deadline "soon": need a time/],
    ];
    await inPairs(halfOf(ctl), async ([args, why]) => failed(await run(args, { cwd }), 2, why));
    ok(!existsSync(join(cwd, "data")));
  });
});

test("montana processor refuses a second process, other shards, and a directory it cannot write", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${DATA} --to out --shards 2 --ack`, { cwd, stdin: "open" });
    running.feed("a\t1\n");
    await acknowledged(running, 1);
    failed(await run(`${DATA} --to other`, { cwd }), 1, /Locked/);
    failed(await run("processor --data-dir data-2 --to out --shards 2", { cwd }), 1, /Locked/);
    running.feed("", { end: true });
    succeeded(await running.ended);
    failed(
      await run(`${DATA} --to out --shards 3`, { cwd }),
      78,
      /Cannot write 3 shards to out: it has 2/,
    );
    const other = "processor --data-dir data-2 --to out --shards 2";
    failed(await run(other, { cwd }), 78, /they belong to log [0-9a-f]{32}, this is/);

    await writeFile(join(cwd, "file"), "");
    failed(await run("processor --data-dir file/data", { cwd }), 1, /no directory|Unwritable/);
    await mkdir(join(cwd, "data-3"));
    await writeFile(join(cwd, "data-3/control.sock"), "");
    failed(
      await run("processor --data-dir data-3", { cwd }),
      78,
      /control.sock: it is there, and no socket/,
    );
  });
});

test("montana processor stops at a line that is too long, and has taken those before it", async () => {
  await withDirectory(async (cwd) => {
    const stdin = `a\nb\n${"x".repeat(2000)}\nc\n`;
    const outcome = await run(`${DATA} --max-operation 1000B`, { cwd, stdin });
    failed(
      outcome,
      1,
      /TooLarge: Cannot take line 3 of standard input: it has more than 1000 bytes/,
    );
    equal(textOf(outcome), "a\nb\n");
  });
});

test("montana processor --ack whose reader has gone ends, and loses nothing", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${DATA} --to out --ack`, { cwd, stdin: "open" });
    running.feed("key-0\t0\n");
    await acknowledged(running, 1);
    running.closeStdout();
    // Its pipe tells at the first or second write.
    running.feed(operationLines(10, 1));
    await new Promise((resolve) => setTimeout(resolve, 100));
    running.feed(operationLines(10, 11));
    failed(
      await running.ended,
      1,
      /Unwritable: Cannot acknowledge: .*what was taken is in the log/,
    );
    ok((await shardLines(join(cwd, "out"))).includes("key-0\t0"));
  });
});

test("montana processor --ack whose reader has gone tells what is left", async () => {
  await withDirectory(async (cwd) => {
    const args = [
      ...DATA.split(" "),
      "--exec",
      "sleep 100",
      "--ack",
      "--shutdown-timeout",
      "100ms",
    ];
    await using running = start(args, { cwd, stdin: "open" });
    running.feed("one\n");
    await acknowledged(running, 1);
    running.closeStdout();
    running.feed("two\n");
    await new Promise((resolve) => setTimeout(resolve, 100));
    running.feed("three\n");
    const outcome = await running.ended;
    equal(outcome.code, 3, outcome.stderr);
    match(outcome.stderr, /error: Unwritable: Cannot acknowledge/);
    match(outcome.stderr, /stopped with \d operations? in data/);
  });
});

test("montana processor keeps a request to flush that comes before it can", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${DATA} --to out --interval 1h --ack`, { cwd, stdin: "open" });
    running.feed("key\t1\n");
    await running.until("a log", () => existsSync(join(cwd, "data/wal")));
    running.send("SIGUSR1");
    await acknowledged(running, 1);
    running.send("SIGTERM");
    succeeded(await running.ended);
    deepEqual(await shardLines(join(cwd, "out")), ["key\t1"]);
  });
});

test("montana processor refuses a --data-dir whose socket could not be named, and makes nothing", async () => {
  await withDirectory(async (cwd) => {
    const long = "d".repeat(100);
    const outcome = await run(["processor", "--data-dir", long, "--to", "out"], { cwd, stdin: "" });
    failed(outcome, 2, /control socket would have 113 bytes, 103 are allowed; use a shorter path/);
    deepEqual(filesIn(cwd), []);
  });
});
