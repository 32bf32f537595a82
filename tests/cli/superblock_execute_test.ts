import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { shortClock } from "./live_chains.ts";
import { failed, hasNoTrace, run as montana, start } from "./montana.ts";

const skip = skipWithoutAnvil("montana superblock with nothing but montana prover");

test(
  "montana superblock and montana prover need nothing but an L2 and an L1",
  { skip },
  async () => {
    await using anvil = await startAnvil({ blockTimeS: 1, chainId: 1001, slotsInAnEpoch: 1 });
    const { timestamp } = await anvil.rpc("eth_getBlockByNumber", ["0x0", false]) as {
      timestamp: string;
    };
    await withDirectory(async (cwd) => {
      await using prover = start(
        ["prover", "--listen", "0", "--l2", anvil.url, "--publisher-for", "1001"],
        { cwd },
      );
      await prover.untilSaid("it stands in for the publisher of chains 1001");
      const [, url = ""] = /listening on (http:\S+);/.exec(prover.stderr)!;
      // anvil's block 0 has no state root of its state: no range may begin there.
      await prover.until("block 5", async () => Number(await anvil.rpc("eth_blockNumber", [])) > 5);
      const places = ["--prover", url, "--superblock-prover", url, "--publisher", url];
      const args = [
        ...["superblock", ...shortClock(Number(timestamp)), "--data-dir", "d", "--l2", anvil.url],
        ...["--l2-head", "unsafe", "--proof-poll", "50ms", "--set", "pipeline.retry_delay=200ms"],
        ...["--set", `l1_listener.l1_rpc=${anvil.url}`, ...places],
      ];
      // Who wants proofs must say what with.
      failed(await montana(args, { cwd }), 2, /name --rollup-config-hash, --multi-block-vkey, /);
      await using service = start([...args, "--proof-type", "execute"], { cwd });
      await prover.until(
        "two superblocks",
        () => /superblock \d+: no proof[^]*superblock \d+: no proof/.test(prover.stderr),
      );
      service.send("SIGTERM");
      const { code, stderr } = await service.ended;
      equal(code, 0, stderr);
      hasNoTrace({ code, stderr, stdout: new Uint8Array() });
      match(stderr, /warning: nothing is proved: --proof-type execute takes execution checks/);
      for (const stage of ["range proof", "aggregation", "network aggregation"]) {
        match(stderr, new RegExp(`passed an execution check of its ${stage}, no proof`));
      }
      ok(!/tries its/.test(stderr), stderr);
      const numbers = [...prover.stderr.matchAll(/handed in superblock (\d+)/g)].map(([, each]) =>
        Number(each)
      );
      deepEqual(numbers, numbers.map((_, at) => numbers[0]! + at));
      match(
        prover.stderr,
        /superblock \d+ keeps the settlement rules: an execution check, no proof/,
      );
    });
  },
);
