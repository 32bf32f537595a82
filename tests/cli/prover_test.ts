import { match, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { OpSuccinctProver } from "../../src/provers/op_succinct.ts";
import { SharedPublisher } from "../../src/provers/shared_publisher.ts";
import { sealSuperblock } from "../../src/provers/superblock_hash.ts";
import { SuperblockProver } from "../../src/provers/superblock_prover.ts";
import { systemClock as clock } from "../../src/runtime.ts";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { failed, run as montana, start } from "./montana.ts";

const skip = skipWithoutAnvil("montana prover on blocks of anvil");

test("montana prover answers as superblock-prover does, and says that it proves nothing", async () => {
  await using server = start(["prover", "--listen", "127.0.0.1:0"]);
  await server.untilSaid("it checks the settlement rules");
  const [, url] = /listening on (http:\S+);/.exec(server.stderr)!;
  const prover = new SuperblockProver({ url: url!, clock, proofType: "execute" });
  const header = { number: 1n, slot: 1n, timestamp: 1n, parentHash: new Uint8Array(32) };
  const previous = await sealSuperblock(header, []);
  const next = await sealSuperblock(
    { number: 2n, slot: 2n, timestamp: 2n, parentHash: previous.hash },
    [],
  );
  const id = await prover.request({ previous, next, chainId: 1n, aggregationVKey: {} });
  let status = await prover.status(id);
  while (status.state === "pending") status = await prover.status(id);
  equal(status.state, "proved");
  server.send("SIGTERM");
  const ended = await server.ended;
  equal(ended.code, 0);
  match(ended.stderr, /superblock 2 keeps the settlement rules: an execution check, no proof/);
});

test(
  "montana prover checks ranges of an L2, and stands in for the publisher",
  { skip },
  async () => {
    await using anvil = await startAnvil({ noMining: true });
    await anvil.mine(5);
    const flags = ["--l2", anvil.url, "--publisher-for", "1001", "--publisher-for", "1002"];
    await using server = start(["prover", "--listen", "127.0.0.1:0", ...flags]);
    await server.untilSaid("it stands in for the publisher of chains 1001, 1002");
    const [, url = ""] = /listening on (http:\S+);/.exec(server.stderr)!;
    const prover = new OpSuccinctProver({ url, clock, acceptsExecutionChecks: true });
    const settled = async (id: string) => {
      for (;;) {
        const status = await prover.status(id);
        if (status.state !== "pending") return status;
        await clock.sleep(5);
      }
    };
    const status = await settled(await prover.requestRange({ start: 1n, end: 4n }));
    equal(status.state === "proved" && status.isExecutionCheck, true);
    await settled(await prover.requestRange({ start: 1n, end: 40n }));
    const publisher = new SharedPublisher({ url, clock });
    equal(await publisher.hasReceived(new Uint8Array(32).fill(1), 1001n), false);
    server.send("SIGTERM");
    const { code, stderr } = await server.ended;
    equal(code, 0);
    match(stderr, /range of blocks 2 to 4 is as it should be: an execution check, no proof/);
    match(stderr, /range of blocks 2 to 40 cannot be checked: Invalid: Cannot use L2 block 6/);
  },
);

test("montana prover refuses flags that cannot be", async () => {
  failed(await montana(["prover", "--listen", "x"]), 2, /--listen/);
  failed(await montana(["prover", "--publisher-for", "x"]), 2, /--publisher-for "x"/);
  failed(await montana(["prover", "--l2-trust-hashes"]), 2, /without --l2/);
  failed(await montana(["prover", "--l2", "nowhere"]), 78, /--l2/);
});
