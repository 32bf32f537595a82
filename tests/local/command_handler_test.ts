import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { MontanaError } from "../../src/errors.ts";
import { CommandHandler } from "../../src/local/command_handler.ts";
import type { OperationBatch } from "../../src/types.ts";
import { withDirectory } from "../helpers.ts";

function batchOf(...texts: string[]): OperationBatch {
  const operations = texts.map((text, index) => ({
    sequence: BigInt(40 + index),
    data: new TextEncoder().encode(text),
  }));
  return { first: 40n, last: BigInt(39 + texts.length), operations, bytes: 0 };
}

const never = new AbortController().signal;

test("CommandHandler gives lines and the batch's identity to a command", async () => {
  await withDirectory(async (directory) => {
    const out = join(directory, "out");
    const said: string[] = [];
    const handler = new CommandHandler(
      `cat > ${out}; echo $MONTANA_BATCH_FIRST $MONTANA_BATCH_LAST $MONTANA_BATCH_COUNT`,
      (data) => said.push(new TextDecoder().decode(data)),
    );
    await handler.handle(batchOf("a", "", "c\td"), never);
    equal(await readFile(out, "utf8"), "a\n\nc\td\n");
    deepEqual(said.join(""), "40 42 3\n");
  });
});

test("CommandHandler gives a batch that no pipe holds at once", async () => {
  await withDirectory(async (directory) => {
    const out = join(directory, "out");
    const large = "x".repeat(3_000_000);
    await new CommandHandler(`sleep 0.05; wc -c > ${out}`).handle(batchOf(large), never);
    equal(Number(await readFile(out, "utf8")), 3_000_001);
  });
});

test("CommandHandler fails with the code and the end of what the command said", async () => {
  const cases: [string, RegExp][] = [
    ["exit 7", /"exit 7" ended with 7$/],
    ["echo why >&2; exit 1", /ended with 1: why$/],
    ["kill -9 $$", /was ended by SIGKILL$/],
    ["no-such-command-here", /ended with 127: .*not found/],
  ];
  for (const [command, why] of cases) {
    await rejects(new CommandHandler(command).handle(batchOf("a"), never), {
      code: "Failed",
      isRetryable: true,
      message: why,
    });
  }
  const noisy = new CommandHandler("seq 1 100000 >&2; exit 1").handle(batchOf("a"), never);
  await rejects(noisy, (error: MontanaError) => {
    match(error.message, /100000$/);
    return error.message.length < 3000;
  });
});

test("CommandHandler does not mind a command that does not read all", async () => {
  await new CommandHandler("exit 0").handle(batchOf("x".repeat(1_000_000)), never);
});

test("CommandHandler ends the command, and what it started, when it is aborted", async () => {
  await withDirectory(async (directory) => {
    const pids = join(directory, "pids");
    const abort = new AbortController();
    const command = `sleep 1000 & echo $! $$ > ${pids}; sleep 1000`;
    const handled = new CommandHandler(command).handle(batchOf("a"), abort.signal);
    handled.catch(() => {});
    let text = "";
    while (!text.endsWith("\n")) {
      text = await readFile(pids, "utf8").catch(() => "");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    abort.abort();
    await rejects(handled, { code: "Failed" });
    for (const pid of text.trim().split(" ").map(Number)) {
      const isThere = () => {
        try {
          // A process that has ended and that nobody has asked about is still there.
          process.kill(pid, 0);
          return !/^State:\s+Z/m.test(statusOf(pid));
        } catch {
          return false;
        }
      };
      for (let look = 0; look < 200 && isThere(); look++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      ok(!isThere(), `process ${pid} goes on`);
    }
    const aborted = new CommandHandler("exit 0").handle(batchOf("a"), AbortSignal.abort());
    await rejects(aborted, { name: "AbortError" });
  });
});

test("CommandHandler refuses an operation that is no line, for good", async () => {
  const handled = new CommandHandler("exit 0").handle(batchOf("a\nb"), never);
  await rejects(handled, { code: "Rejected", isRetryable: false });
});

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}
