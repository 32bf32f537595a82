/**
 * `montana deriver --listen`: blocks over HTTP, beside `--out`.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { noise, withDirectory } from "../helpers.ts";
import { toHex } from "../../src/wire/hex.ts";
import { ToyExecutionClient } from "../l2/toy_execution_client.ts";
import { StreamClient } from "../service/served_blocks.ts";
import { contentOf, joinLines, linesOf, readText, sourceText } from "./files.ts";
import { failed, run, type Running, start, succeeded } from "./montana.ts";

const SOURCE = sourceText(20);
const BATCHER =
  "batcher --l2 blocks.jsonl --l1 l1 --once --max-blocks-per-batch 4 --compressor none --log-level none";

/** Where it listens. */
async function serverOf(running: Running): Promise<{ name: string; close(): Promise<void> }> {
  await running.untilSaid(/listening on (\S+)\n/);
  const [, name] = /listening on (\S+)\n/.exec(running.stderr)!;
  return { name: name!, close: () => Promise.resolve() };
}

// deno-lint-ignore no-explicit-any -- the tests know what is in it
async function get(server: { name: string }, path: string): Promise<any> {
  return await (await fetch(server.name + path)).json();
}

/** A directory with the first `count` blocks on L1, and a way to post the others. */
async function inPlace(
  count: number,
  action: (cwd: string, postAll: () => Promise<void>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    const post = async (lines: readonly string[]) => {
      await writeFile(join(cwd, "blocks.jsonl"), joinLines(lines));
      succeeded(await run(BATCHER, { cwd }));
    };
    await post(linesOf(SOURCE).slice(0, count));
    await action(cwd, () => post(linesOf(SOURCE)));
  });
}

for (const flags of ["", "--data-dir data"]) {
  const how = flags === "" ? "without --data-dir" : `with ${flags}`;

  test(`montana deriver --listen streams each block once over a kill, ${how}`, async () => {
    await inPlace(12, async (cwd, postAll) => {
      const deriver = `deriver --l1 l1 --out o.jsonl --listen 0 --poll-interval 10ms ${flags}`;
      const lines: string[] = [];
      let last: string;
      {
        await using running = start(deriver, { cwd });
        const server = await serverOf(running);
        await using client = await StreamClient.open(server, { from: 1 });
        while (lines.length < 10) {
          const { event, data, id } = (await client.next())!;
          if (event !== "block") continue;
          equal(data.number, lines.length + 1);
          lines.push(JSON.stringify(data));
          last = id!;
        }
        running.send("SIGKILL");
      }
      await postAll();
      await using running = start(deriver, { cwd });
      const server = await serverOf(running);
      // Without a data directory it derives again first; until then it does not know the block.
      let client = await StreamClient.open(server, { last: last! });
      await running.until("the block is known", async () => {
        if (client.status === 200) return true;
        equal(client.refusal.code, "UnknownId");
        client = await StreamClient.open(server, { last: last });
        return false;
      });
      while (lines.length < 20) {
        const { event, data } = (await client.next())!;
        if (event !== "block") continue;
        equal(data.number, lines.length + 1);
        lines.push(JSON.stringify(data));
      }
      await client[Symbol.asyncDispose]();
      deepEqual(contentOf(joinLines(lines)), contentOf(SOURCE));
      // Old and new, by number, out of the file.
      const { blocks } = await get(server, "/v1/blocks?from=1&limit=1000");
      deepEqual(
        blocks.map((each: object) => JSON.stringify(each)).map(withoutStatus),
        lines.map(withoutStatus),
      );
      await running.until(
        "all is final",
        async () => (await get(server, "/v1/head")).finalized === 20,
      );
      equal((await get(server, "/v1/blocks/7")).status, "finalized");
      running.send("SIGTERM");
      succeeded(await running.ended);
      deepEqual(contentOf(await readText(join(cwd, "o.jsonl"))), contentOf(SOURCE));
    });
  });
}

function withoutStatus(line: string): string {
  return line.replace(/"status":"\w+",/, "");
}

test("montana deriver --listen serves beside an execution client, and beside standard output", async () => {
  const secret = noise(32, 7);
  await using toy = await ToyExecutionClient.start({ secret });
  await inPlace(20, async (cwd) => {
    await writeFile(join(cwd, "jwt.hex"), toHex(secret), { mode: 0o600 });
    const engine =
      `--out ${toy.url} --jwt-secret jwt.hex --parent-check off --first-block 1 --data-dir engine`;
    const ids: string[] = [];
    for (const out of [engine, "--out - --data-dir stdout", engine]) {
      await using running = start(`deriver --l1 l1 ${out} --listen 0 --poll-interval 10ms`, {
        cwd,
      });
      const server = await serverOf(running);
      await running.until(
        "all are served",
        async () => (await get(server, "/v1/head")).head.number === 20,
      );
      ids.push((await get(server, "/v1/head")).head.id);
      running.send("SIGTERM");
      equal((await running.ended).code, 0);
    }
    equal(toy.content.length, 20);
    // The third run derived nothing: it knows the last block by its state.
    deepEqual(new Set(ids).size, 1);
  });
});

test("montana deriver --listen says where it cannot", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as AddressInfo;
  try {
    await inPlace(4, async (cwd) => {
      const deriver = "deriver --l1 l1 --out o.jsonl --once --listen";
      const outcome = await run(`${deriver} ${port}`, { cwd });
      match(outcome.stderr, /Cannot listen on 127\.0\.0\.1:\d+: /);
      equal(outcome.code === 0, false);
      failed(await run(`${deriver} nowhere`, { cwd }), 2, /Cannot use --listen "nowhere"/);
    });
  } finally {
    taken.close();
  }
});
