import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { PayloadEnvelope } from "../../src/engine.ts";
import { JwtSecret } from "../../src/l2/jwt.ts";
import { systemClock } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { ConsensusClient } from "../l2/consensus_client.ts";
import { BEFORE, payloadChain } from "../l2/payloads.ts";
import { linesOf } from "./files.ts";
import { failed, run, type Running, start, succeeded } from "./montana.ts";
import { filesIn } from "./traps.ts";

const SECRET = new Uint8Array(32).fill(0xa5);
const BATCHER =
  "batcher --l2 engine:0 --jwt-secret jwt.hex --l2-chain-id 900 --l1 l1 --data-dir data " +
  "--max-blocks-per-batch 10 --compressor none --poll-interval 10ms --min-batch-bytes 0";

async function withSecret(action: (cwd: string) => Promise<void>): Promise<void> {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "jwt.hex"), toHex(SECRET), { mode: 0o600 });
    await action(cwd);
  });
}

/** A consensus client of the program that runs. */
async function clientOf(running: Running): Promise<ConsensusClient> {
  await running.untilSaid(/consensus client on http:\S+\n/);
  const [, url = ""] = /consensus client on (http:\S+)/.exec(running.stderr) ?? [];
  const jwt = await JwtSecret.from(SECRET.slice(), systemClock);
  return new ConsensusClient(url, () => jwt.authorization());
}

let derivations = 0;

/** Timestamp and transactions of each block that is on L1. */
async function derivedIn(cwd: string): Promise<string[]> {
  const out = `derived-${++derivations}.jsonl`;
  succeeded(await run(`deriver --l1 l1 --out ${out} --once`, { cwd }));
  const lines = linesOf(await readFile(join(cwd, out), "utf8"));
  return lines.map((line) => {
    const { timestamp, transactions } = JSON.parse(line);
    return [timestamp, ...transactions].join();
  });
}

const contentOf = (payloads: readonly PayloadEnvelope[]) =>
  payloads.map(({ payload }) => [payload.timestamp, ...payload.transactions.map(toHex)].join());

test("montana batcher takes blocks from a consensus client, and steps back with it", async () => {
  await withSecret(async (cwd) => {
    const chain = await payloadChain(25);
    const fork = await payloadChain(15, chain[21]!.payload, 1);
    await using running = start(`${BATCHER} --batch-interval 1h`, { cwd });
    const client = await clientOf(running);
    equal((await client.call("eth_chainId")).result, "0x384");
    for (const envelope of chain) equal(await client.give(envelope), "VALID");
    equal(await client.choose(chain[24]!, { safe: chain[20]! }), "VALID");
    await running.untilSaid("batch 1: 10 blocks");
    // Five are taken, and in no batch.
    for (const envelope of fork) equal(await client.give(envelope), "ACCEPTED");
    equal(await client.choose(fork[14]!), "VALID");
    await running.untilSaid("batch 2: 10 blocks");
    running.send("SIGTERM");
    succeeded(await running.ended);
    deepEqual(await derivedIn(cwd), contentOf([...chain.slice(0, 22), ...fork]));
  });
});

test("montana batcher stops when the chosen branch never held the blocks that it sealed", async () => {
  await withSecret(async (cwd) => {
    const chain = await payloadChain(11);
    const before = { ...BEFORE, blockNumber: 98n, blockHash: new Uint8Array(32).fill(0x98) };
    const fork = await payloadChain(17, before, 1);
    await using running = start(
      `${BATCHER.replace("batch 10", "batch 11")} --batch-interval 50ms`,
      { cwd },
    );
    const client = await clientOf(running);
    for (const envelope of chain) await client.give(envelope);
    equal(await client.choose(chain[10]!), "VALID");
    await running.untilSaid("batch 0: 11 blocks");
    for (const envelope of fork) equal(await client.give(envelope).catch(() => "gone"), "SYNCING");
    await client.choose(fork[16]!).catch(() => {});
    failed(await running.ended, 5, /L2 no longer has blocks 100 to 110/);
  });
});

test("montana batcher follows the safe head of a consensus client, from a start block", async () => {
  await withSecret(async (cwd) => {
    const chain = await payloadChain(12);
    await using running = start(
      `${BATCHER} --l2-head safe --start-block 103 --batch-interval 50ms`,
      { cwd },
    );
    const client = await clientOf(running);
    for (const envelope of chain) equal(await client.give(envelope), "VALID");
    equal(await client.choose(chain[11]!, { safe: chain[8]! }), "VALID");
    await running.untilSaid(/took|batch 0/);
    running.send("SIGTERM");
    succeeded(await running.ended);
    deepEqual(await derivedIn(cwd), contentOf(chain.slice(3, 9)));
  });
});

test("with another data directory it waits for the blocks that are on L1, and goes on behind them", async () => {
  await withSecret(async (cwd) => {
    const chain = await payloadChain(12);
    const batcher = BATCHER.replace("--max-blocks-per-batch 10", "--max-blocks-per-batch 4");
    for (const [data, count] of [["one", 8], ["two", 12]] as const) {
      const flags = `${
        batcher.replace("--data-dir data", `--data-dir ${data}`)
      } --batch-interval 1h`;
      await using running = start(flags, { cwd });
      const client = await clientOf(running);
      for (const envelope of chain.slice(0, count)) equal(await client.give(envelope), "VALID");
      equal(await client.choose(chain[count - 1]!), "VALID");
      await running.untilSaid(`batch ${count / 4 - 1}: 4 blocks`);
      running.send("SIGTERM");
      succeeded(await running.ended);
    }
    deepEqual(await derivedIn(cwd), contentOf(chain));
  });
});

test("killed or ended in a stream of payloads: each that was acknowledged is there, and posted once", async () => {
  await withSecret(async (cwd) => {
    const chain = await payloadChain(200);
    let next = 0;
    let kills = 0;
    while (next < chain.length) {
      await using running = start(`${BATCHER} --batch-interval 50ms`, { cwd });
      const client = await clientOf(running);
      // What was acknowledged before is known without being given again.
      if (next > 0) equal(await client.choose(chain[next - 1]!), "VALID");
      const until = next + 30 + 7 * kills;
      const giving = (async () => {
        for (; next < chain.length; next++) {
          const status = await client.give(chain[next]!).catch(() => undefined);
          // Gone, or about to go.
          if (status === undefined || status === "error -32000") return;
          equal(status, "VALID");
          // While the stream goes on: before, in and after a write.
          const end = kills % 3 === 1 ? "SIGTERM" : "SIGKILL";
          if (next === until) systemClock.sleep(kills % 4).then(() => running.send(end));
          if (next % 3 === 0) await client.choose(chain[next]!).catch(() => {});
        }
      })();
      await giving;
      if (next < chain.length) {
        kills += 1;
        await running.ended;
        continue;
      }
      equal(await client.choose(chain.at(-1)!), "VALID");
      // What is chosen and not taken yet when it ends, the next start would post.
      const last = contentOf(chain.slice(-1))[0]!;
      await running.until("all is on L1", async () => (await derivedIn(cwd)).at(-1) === last);
      running.send("SIGTERM");
      succeeded(await running.ended);
    }
    ok(kills >= 3, `${kills} kills`);
    deepEqual(await derivedIn(cwd), contentOf(chain));
  });
});

test("what a consensus client cannot be listened for with is said", async () => {
  await withSecret(async (cwd) => {
    const listen = "batcher --l1 l1 --l2 engine:0";
    for (
      const [flags, reason] of [
        ["", /without --data-dir/],
        ["--data-dir data", /without --jwt-secret/],
        ["--data-dir data --jwt-secret jwt.hex --once", /with --once/],
        ["--data-dir data --jwt-secret jwt.hex --l2-trust-hashes", /with --l2-trust-hashes/],
        ["--data-dir data --jwt-secret jwt.hex --l2 other.jsonl", /beside another --l2/],
      ] as const
    ) {
      failed(await run(`${listen} ${flags}`, { cwd }), 2, reason);
    }
    failed(
      await run("batcher --l1 l1 --l2 - --jwt-secret jwt.hex", { cwd }),
      2,
      /without --l2 engine/,
    );
    failed(await run("batcher --l1 l1 --l2 engine:70000", { cwd }), 2, /from 0 to 65535/);
    await writeFile(join(cwd, "open.hex"), toHex(SECRET), { mode: 0o644 });
    const open = await run(`${listen} --data-dir data --jwt-secret open.hex`, { cwd });
    match(open.stderr, /TooOpen/);
    ok(!open.stderr.includes("a5a5"));
    failed(await run(`${listen} --data-dir data --jwt-secret none.hex`, { cwd }), 78, /none\.hex/);
    deepEqual(filesIn(cwd), ["jwt.hex", "open.hex"], "something was left behind");
  });
});
