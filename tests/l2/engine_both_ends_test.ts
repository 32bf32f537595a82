/**
 * The Engine API from both ends: blocks that an execution client built of derived ones go on, as from a
 * consensus client, to the server that batchers take blocks from.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { type EnginePayload, parseBuilt } from "../../src/l2/engine_block.ts";
import { EngineClient } from "../../src/l2/engine_client.ts";
import { serveEngine } from "../../src/l2/engine_server.ts";
import { EngineApiSink } from "../../src/l2/engine_sink.ts";
import { EngineApiSource } from "../../src/l2/engine_source.ts";
import { JwtSecret } from "../../src/l2/jwt.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { MemoryPayloadJournal } from "../../src/local/memory_payload_journal.ts";
import { systemClock } from "../../src/runtime.ts";
import type { DerivedBlock } from "../../src/types.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { content, noise, plainBlocks } from "../helpers.ts";
import { type ToyBlock, ToyExecutionClient } from "./toy_execution_client.ts";

const SECRET = noise(32, 7);
const ZEROS = new Uint8Array(32);

function derived(count: number, first = 0): DerivedBlock[] {
  return plainBlocks(count, { first })
    .map((block) => ({ ...block, batchNumber: 0n, l1Origin: 0n, l1Block: 1n }));
}

async function clientAt(url: string): Promise<EngineClient> {
  const jwt = await JwtSecret.from(SECRET.slice(), systemClock);
  const headers = async () => ({ authorization: await jwt.authorization() });
  return new EngineClient(new HttpJsonRpc({ url, clock: systemClock, headers }));
}

/** An execution client, and a server of a batcher. */
async function bothEnds() {
  const toy = await ToyExecutionClient.start({ secret: SECRET });
  const source = await EngineApiSource.open({
    journal: new MemoryPayloadJournal(),
    l1: new MemoryL1(),
  });
  const jwt = await JwtSecret.from(SECRET.slice(), systemClock);
  const server = await serveEngine({ source, jwt, port: 0, chainId: 0x2105n });
  return {
    toy,
    source,
    batcher: await clientAt(server.name),
    sink: new EngineApiSink({ client: await clientAt(toy.url), clock: systemClock }),
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await source.close();
      await toy[Symbol.asyncDispose]();
    },
  };
}

function payloadOf({ payload }: ToyBlock): EnginePayload {
  return parseBuilt({ executionPayload: payload, executionRequests: [] });
}

/** Hands blocks on, as a consensus client does. */
async function relay(batcher: EngineClient, blocks: readonly ToyBlock[]): Promise<void> {
  for (const block of blocks) {
    const payload = payloadOf(block);
    const root = fromHex(block.parentBeaconBlockRoot, "root", 32);
    const { status } = await batcher.newPayload(payload, root);
    // Beside its head it accepts a block, and says that it is valid once that is the head.
    ok(status === "VALID" || status === "ACCEPTED", status);
    const state = { head: payload.hash, safe: ZEROS, finalized: ZEROS };
    equal((await batcher.forkchoiceUpdated(state)).status, "VALID");
  }
}

test("EngineApiSource gives again the blocks that EngineApiSink had built, with their hashes", async () => {
  await using here = await bothEnds();
  const blocks = derived(6);
  for (const block of blocks) await here.sink.ingest(block);
  await here.sink.flush();
  await relay(here.batcher, here.toy.chain.slice(1));
  const given = await here.source.pendingBlocks();
  deepEqual(content(given), content(blocks));
  deepEqual(
    given.map(({ hash }) => toHex(hash!)),
    here.toy.chain.slice(1).map(({ payload }) => payload.blockHash),
  );

  // What derivation takes back, the batcher that stands behind learns as a reorganisation.
  await here.sink.retract(2);
  const others = derived(2, 10);
  for (const block of others) await here.sink.ingest(block);
  await here.sink.flush();
  await relay(here.batcher, here.toy.chain.slice(5));
  await rejects(here.source.pendingBlocks(), {
    code: "Reorganised",
    details: { block: 4n, depth: 2n },
  });
  here.source.rewind(4n);
  deepEqual(content(await here.source.pendingBlocks()), content(others));
});

test("EngineApiSink refuses a client that takes blocks and builds none, as this batcher's server", async () => {
  await using here = await bothEnds();
  const sink = new EngineApiSink({ client: here.batcher, clock: systemClock });
  await rejects(sink.ingest(derived(1)[0]!), {
    code: "Unsupported",
    message: /it offers no version of engine_getPayload/,
  });
});
