/**
 * `montana superblock` as a process: the seed's examples, what it refuses, what a crash leaves, and all the
 * way from the blocks of an L2 to the publisher.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  match,
  ok,
  strictEqual as equal,
} from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { withServer } from "../l1/rpc_server.ts";
import { OpSuccinctServer, PublisherServer, SuperblockProverServer } from "../provers/servers.ts";
import { LiveChains, nowSeconds, shortClock } from "./live_chains.ts";
import { failed, hasNoTrace, run as montana, type Running, start } from "./montana.ts";
import { SEED_ENVIRONMENT, SEED_YAML } from "./seed_configuration.ts";
import { skip, SmallDisk } from "./small_disk.ts";

/** Nothing that the seed's examples name is asked from a test. */
const OFFLINE = { HTTPS_PROXY: "http://127.0.0.1:9", NO_PROXY: "127.0.0.1,localhost" };

const hashOf = (number: number) => `0x${number.toString(16).padStart(64, "0")}`;

/** Reports a block of now. */
async function report(
  url: string,
  number: number,
  more: object = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${url}/v1/batch/blocks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      block_number: number,
      block_hash: hashOf(number),
      parent_hash: hashOf(number - 1),
      timestamp: nowSeconds(),
      tx_count: 1,
      ...more,
    }),
  });
  return { status: response.status, text: await response.text() };
}

function urlOf({ stderr }: Running): string {
  return /listening on (http:\S+)/.exec(stderr)![1]!;
}

for (const kind of ["YAML", "environment"] as const) {
  test(`The seed's ${kind} runs as it stands: batches are collected, and nothing is said to be proved`, async () => {
    await withDirectory(async (cwd) => {
      await writeFile(join(cwd, "montana.yaml"), SEED_YAML);
      const args = kind === "YAML" ? ["--config", "montana.yaml"] : [];
      const env = { ...OFFLINE, ...(kind === "YAML" ? {} : SEED_ENVIRONMENT) };
      await using service = start(["superblock", ...args], { cwd, env });
      await service.untilSaid(/batch \d+ collects blocks: slots \d+ to \d+, 0 blocks/);
      service.send("SIGTERM");
      const { code, stderr } = await service.ended;
      equal(code, 0, stderr);
      match(
        stderr,
        /^chain 1001: batches of 320 slots, 3840 s; epochs by L1's blocks, then the clock/,
      );
      match(stderr, /^warning: a URL of l1_listener holds a placeholder in place of a key$/m);
      match(stderr, /^warning: nothing is proved: no --prover is given; whole batches are kept/m);
      match(stderr, /^warning: no blocks will come: neither --l2 nor --listen is given$/m);
      match(stderr, /^ended; kept for the next start: 1 batch that collects blocks, 0 batches/m);
      // A key has no place in what is said.
      doesNotMatch(stderr, /YOUR_KEY/);
      deepEqual((await readdir(join(cwd, "superblock"))).sort(), ["batches", "jobs"]);
    });
  });
}

test("montana superblock refuses what cannot be, by flag, key, value and place", async () => {
  await withDirectory(async (cwd) => {
    const chain = "--set batch_manager.chain_id=1001";
    await writeFile(join(cwd, "bad.yaml"), SEED_YAML.replace("chain_id: 1001", "chain_id: x1"));
    await writeFile(join(cwd, "vkey.json"), "{");
    const proving = [
      "--prover http://127.0.0.1:1 --superblock-prover http://127.0.0.1:1",
      "--publisher http://127.0.0.1:1 --rollup-node http://127.0.0.1:1",
      `--rollup-config-hash ${hashOf(1)} --multi-block-vkey ${hashOf(2)}`,
      "--prover-address 0xff00000000000000000000000000000000008453",
    ].join(" ");
    const refused: readonly (readonly [string, number, RegExp])[] = [
      ["", 78, /batch_manager\.chain_id is not set\. .*BATCH_BATCH_MANAGER_CHAIN_ID/],
      ["--config bad.yaml", 78, /batch_manager\.chain_id x1 \(bad\.yaml:\d+:\d+\): need a whole/],
      ["--config none.yaml", 78, /none\.yaml: /],
      ["--set batch_manager.chain_id=0", 78, /batch_manager\.chain_id 0 \(--set\)/],
      ["--set pipeline.retries=1", 78, /pipeline\.retries .*no such key/],
      ["--set 7", 2, /--set "7": need key=value/],
      ["--preset fast", 2, /--preset "fast"/],
      [`${chain} --listen 70000`, 2, /--listen "70000"/],
      [`${chain} --l2 blocks.jsonl`, 78, /--l2/],
      [`${chain} --l2-head safe`, 2, /--l2-head safe without --l2/],
      [`${chain} --l2 http://127.0.0.1:1 --l2-head latest`, 2, /--l2-head "latest"/],
      [`${chain} --l2-trust-hashes`, 2, /--l2-trust-hashes without --l2/],
      [`${chain} --proof-poll 1ms`, 2, /--proof-poll 1ms/],
      [`${chain} --proof-type execute`, 2, /--proof-type execute without --superblock-prover/],
      [
        `${chain} --prover http://127.0.0.1:1`,
        2,
        /with --prover alone: name --superblock-prover, /,
      ],
      [`${chain} ${proving} --aggregation-vkey vkey.json`, 2, /vkey\.json: it holds no JSON/],
      [`${chain} ${proving} --aggregation-vkey none.json`, 2, /--aggregation-vkey none\.json/],
      [
        `${chain} ${proving.replace(hashOf(2), "0x12")} --aggregation-vkey bad.yaml`,
        2,
        /--multi-block-vkey "0x12": need 0x and 64 hexadecimal digits/,
      ],
      [
        `${chain} --data-dir ${"n".repeat(120)}`,
        2,
        /--data-dir n+: the path of its control socket/,
      ],
    ];
    for (const [args, code, why] of refused) {
      failed(await montana(`superblock ${args}`, { cwd }), code, why);
    }
    await writeFile(join(cwd, "vkey.json"), "{}");
    failed(
      await montana(`superblock ${chain} ${proving} --aggregation-vkey vkey.json`, { cwd }),
      78,
      /l1_listener\.l1_rpc is not set/,
    );
    // Of what was refused, nothing is left behind.
    deepEqual((await readdir(cwd)).filter((name) => name === "superblock"), []);
  });
});

test("montana superblock with batch.enabled: false does nothing, and says so", async () => {
  await withDirectory(async (cwd) => {
    const args = ["superblock", ...shortClock(nowSeconds()), "--set", "enabled=false"];
    await using service = start([...args, "--listen", "0"], { cwd });
    await service.untilSaid("listening on");
    const response = await fetch(`${urlOf(service)}/v1/batch/current`);
    equal(response.status, 503);
    match(await response.text(), /batch_disabled/);
    service.send("SIGINT");
    const { code, stderr } = await service.ended;
    equal(code, 0);
    match(
      stderr,
      /^warning: nothing is collected and nothing is proved: batch\.enabled is false$/m,
    );
  });
});

test("What montana superblock has acknowledged outlives kill -9, and no two run on one directory", async () => {
  await withDirectory(async (cwd) => {
    // A block of the last second of a window may be on its way for so long.
    const grace = ["--set", "batch_manager.late_block_grace=3s"];
    const clock = shortClock(nowSeconds() - 2);
    const args = ["superblock", ...clock, ...grace, "--data-dir", "d", "--listen", "0"];
    const begin = async () => {
      const service = start(args, { cwd });
      await service.untilSaid("listening on");
      return service;
    };
    let number = 0;
    for (let life = 0; life < 3; life++) {
      await using service = await begin();
      failed(await montana(args, { cwd }), 1, /Locked: .*d\/batches/);
      for (let more = 0; more < 5; more++) {
        const { status, text } = await report(urlOf(service), ++number);
        equal(status, 200, text);
      }
      service.send("SIGKILL");
      await service.ended;
    }
    await using service = await begin();
    const last = Math.floor((nowSeconds() + 5) / 4) * 4;
    while (nowSeconds() <= last) await new Promise((resolve) => setTimeout(resolve, 100));
    await service.untilSaid(/batch \d+ is whole/);
    service.send("SIGTERM");
    const { code, stderr } = await service.ended;
    equal(code, 0, stderr);
    match(stderr, /^goes on behind block 15$/m);
    hasNoTrace({ code, stderr, stdout: new Uint8Array() });
    const counts = [...stderr.matchAll(/batch \d+ is whole: slots \d+ to \d+, (\d+) block/g)];
    ok(counts.length > 0, stderr);
  });
});

test("montana superblock has the blocks of an L2 proved, whatever becomes of it and of the L2", async () => {
  await using chains = new LiveChains();
  const prover = new OpSuccinctServer();
  const network = new SuperblockProverServer();
  const publisher = new PublisherServer();
  const servers = [prover, network, publisher];
  await withDirectory(async (cwd) => {
    await withServer(({ id, params: [number] }, response) => {
      const outputRoot = hashOf(Number(number) + 1_000_000);
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { outputRoot } }));
    }, async (rollup) => {
      const [l1, l2] = await chains.serve();
      const urls = [];
      for (const server of servers) urls.push(await server.listen());
      await mkdir(join(cwd, "keys"));
      await writeFile(join(cwd, "keys", "vkey.json"), '{"vkey":"0x01"}');
      const args = [
        ...["superblock", ...shortClock(chains.genesis), "--data-dir", "d", "--listen", "0"],
        ...["--set", `l1_listener.l1_rpc=${l1}`, "--set", "pipeline.retry_delay=200ms"],
        ...["--l2", l2, "--proof-poll", "50ms"],
        ...["--prover", urls[0]!, "--superblock-prover", urls[1]!, "--publisher", urls[2]!],
        ...["--rollup-node", rollup, "--rollup-config-hash", hashOf(1)],
        ...["--multi-block-vkey", hashOf(2), "--aggregation-vkey", "keys/vkey.json"],
        ...["--prover-address", "0xff00000000000000000000000000000000008453"],
      ];
      const accepted = () =>
        publisher.calls.filter(({ method }) => method === "POST").map(({ body }) => ({
          number: Number(body!["superblock_number"]),
          start: Number(body!["l2_start_block"]),
          end: Number((body!["aggregation_outputs"] as Record<string, unknown>)["l2BlockNumber"]),
        }));
      try {
        {
          await using first = start(args, { cwd });
          await first.until("two batches are accepted", () => accepted().length >= 2);
          chains.setAway(true);
          prover.forget();
          // A window ends while nobody can read its blocks.
          await first.untilSaid(/trying again in \d+ ms/);
          const until = nowSeconds() + 5;
          await first.until("a window has ended", () => nowSeconds() > until);
          const response = await fetch(`${urlOf(first)}/readyz`);
          equal(response.status, 503);
          match(await response.text(), /"name":"l2","ok":false,"reason":"[^"]*127\.0\.0\.1/);
          first.send("SIGKILL");
          await first.ended;
        }
        await using second = start(args, { cwd });
        await second.untilSaid(/trying again in \d+ ms/);
        const known = accepted().length;
        chains.setAway(false);
        await second.until("three more are accepted", () => accepted().length >= known + 3);
        second.send("SIGINT");
        const { code, stderr } = await second.ended;
        equal(code, 0, stderr);
        hasNoTrace({ code, stderr, stdout: new Uint8Array() });
        match(stderr, /^goes on behind block \d+$/m);
        match(stderr, /proof job 1001-\d+ is completed: the publisher has accepted it/);

        const all = accepted();
        const firstNumber = all[0]!.number;
        deepEqual(all.map(({ number }) => number), all.map((_, index) => firstNumber + index));
        // Four blocks a window, block n in slot n: none is missing, and none is in another.
        deepEqual(
          all.map(({ start, end }) => [start, end]),
          all.map(({ number }) => [4 * number - 1, 4 * number + 3]),
        );
      } finally {
        for (const server of servers) await server.close();
      }
    });
  });
});

test(
  "montana superblock refuses blocks on a full disk, and has all that it acknowledged",
  { skip },
  async () => {
    await withDirectory(async (cwd) => {
      await mkdir(join(cwd, "disk"));
      using disk = new SmallDisk(join(cwd, "disk"), "2m");
      const longWindow = shortClock(nowSeconds()).map((each) =>
        each.replace(/(slots_per_epoch)=.*/, "$1=150").replace(/(batch_timeout)=.*/, "$1=10m")
      );
      const args = ["superblock", ...longWindow, "--data-dir", "disk/d", "--listen", "0"];
      const included_xtxs = Array.from({ length: 500 }, (_, at) => `xt-${at}`.padEnd(64, "x"));
      let acknowledged = 0;
      {
        await using service = start(args, { cwd });
        await service.untilSaid("listening on");
        for (;;) {
          const { status, text } = await report(urlOf(service), acknowledged + 1, {
            included_xtxs,
          });
          if (status !== 200) {
            equal(status, 507, text);
            match(text, /NoSpace/);
            break;
          }
          acknowledged += 1;
        }
        ok(acknowledged > 5, `${acknowledged}`);
        disk.remount("size=64m");
        const { status, text } = await report(urlOf(service), ++acknowledged, { included_xtxs });
        equal(status, 200, text);
        service.send("SIGKILL");
        await service.ended;
      }
      await using service = start(args, { cwd });
      await service.untilSaid("listening on");
      const response = await fetch(`${urlOf(service)}/v1/batch/current`);
      const { batch } = await response.json() as { batch: { blocks: { block_number: number }[] } };
      deepEqual(
        batch.blocks.map(({ block_number }) => block_number),
        Array.from({ length: acknowledged }, (_, at) => at + 1),
      );
    });
  },
);

test("montana superblock ends where the L2 has lost blocks that are being proved", async () => {
  await using chains = new LiveChains();
  await withDirectory(async (cwd) => {
    const [, l2] = await chains.serve();
    const args = ["superblock", ...shortClock(chains.genesis), "--l2", l2, "--l2-head", "unsafe"];
    await using service = start(args, { cwd });
    await service.untilSaid(/batch \d+ is whole/);
    chains.l2.reorganise(8);
    const ended = await service.ended;
    failed(ended, 5, /Reorganised: Cannot report L2.s blocks: .*batch \d+ is proving already/);
  });
});

test("Without block_reporting batches stay empty, and wait for no L2", async () => {
  await withDirectory(async (cwd) => {
    const args = ["superblock", ...shortClock(nowSeconds()), "--l2", "http://127.0.0.1:1"];
    const off = ["--set", "integration.block_reporting=false"];
    await using service = start([...args, ...off], { cwd });
    await service.untilSaid(/batch \d+ is whole: slots \d+ to \d+, 0 blocks/);
    match(service.stderr, /^warning: all batches stay empty: .*block_reporting is false$/m);
  });
});

test("montana superblock does not follow an L2 of another chain", async () => {
  await using chains = new LiveChains();
  await withDirectory(async (cwd) => {
    const [l1] = await chains.serve();
    const args = ["superblock", ...shortClock(chains.genesis), "--l2", l1];
    const { code, stderr } = await montana(args, { cwd });
    equal(code, 5, stderr);
    match(stderr, /chain id is 1,.* 1001/);
  });
});
