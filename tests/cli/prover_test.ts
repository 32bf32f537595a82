import { match, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { sealSuperblock } from "../../src/provers/superblock_hash.ts";
import { SuperblockProver } from "../../src/provers/superblock_prover.ts";
import { systemClock as clock } from "../../src/runtime.ts";
import { failed, run as montana, start } from "./montana.ts";

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

test("montana prover refuses an address that is none", async () => {
  failed(await montana(["prover", "--listen", "x"]), 2, /--listen/);
});
