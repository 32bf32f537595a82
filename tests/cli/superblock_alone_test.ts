/**
 * The whole way with nothing but this program and a node: anvil as L1 and as L2, `montana prover` in the
 * place of all provers and of the publisher.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { start } from "./montana.ts";

const ALONE =
  "montana superblock and montana prover alone bring blocks to a publisher, and call nothing proved";

test(ALONE, { skip: skipWithoutAnvil(ALONE) }, async () => {
  await using anvil = await startAnvil({ blockTimeS: 1, chainId: 1001, slotsInAnEpoch: 1 });
  await withDirectory(async (cwd) => {
    const { timestamp } = await anvil.rpc("eth_getBlockByNumber", ["0x0", false]);
    const genesis = Number(timestamp) - 20;
    await writeFile(join(cwd, "agg.json"), "{}");
    await writeFile(
      join(cwd, "montana.yaml"),
      `batch:
  l1_listener:
    l1_rpc: ${anvil.url}
    genesis_time: ${genesis}
    slot_duration: 1s
    slots_per_epoch: 2
    batch_factor: 2
    poll_interval: 1s
  batch_manager:
    chain_id: 1001
    batch_timeout: 20s
    late_block_grace: 1s
`,
    );
    // Block 0 cannot be checked: see the head of `tests/l1/anvil.ts`.
    while (await anvil.head() < 5n) await new Promise((resolve) => setTimeout(resolve, 100));
    const zeros = `0x${"00".repeat(32)}`;
    const flags = ["--listen", "0", "--l2", anvil.url, "--publisher-for", "1001"];
    await using prover = start(["prover", ...flags], { cwd });
    await prover.untilSaid("listening on");
    const [, url] = /listening on (http:\S+);/.exec(prover.stderr)!;
    await using service = start([
      ...["superblock", "--config", "montana.yaml", "--l2", anvil.url, "--proof-poll", "100ms"],
      ...["--prover", url!, "--superblock-prover", url!, "--publisher", url!],
      ...["--proof-type", "execute", "--rollup-config-hash", zeros, "--multi-block-vkey", zeros],
      ...["--prover-address", `0x${"00".repeat(20)}`, "--aggregation-vkey", "agg.json"],
    ], { cwd });
    const completed = () => [...service.stderr.matchAll(/proof job 1001-(\d+) is completed/g)];
    await service.until("three batches are completed", () => completed().length >= 3);
    service.send("SIGTERM");
    prover.send("SIGTERM");
    const { code, stderr } = await service.ended;
    equal(code, 0, stderr);
    match(stderr, /^warning: nothing is proved: --proof-type execute/m);
    const numbers = completed().map(([, number]) => Number(number));
    deepEqual(numbers, numbers.map((_, index) => numbers[0]! + index));
    match(stderr, /passed an execution check of its range proof, no proof/);
    match(stderr, /passed an execution check of its network aggregation, no proof/);
    const said = (await prover.ended).stderr;
    match(said, /chain 1001 handed in superblock \d+: no proof, after execution checks/);
  });
});
