/**
 * A sink into an execution client that fails, forgets and crashes, and that is itself ended and started
 * anew: in the end the client has what was derived.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MontanaError } from "../../src/errors.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { EngineClient } from "../../src/l2/engine_client.ts";
import { EngineApiSink, isOnClient } from "../../src/l2/engine_sink.ts";
import { systemClock } from "../../src/runtime.ts";
import type { DerivedBlock } from "../../src/types.ts";
import { content, noise } from "../helpers.ts";
import { statusOf, type ToyAnswer, ToyExecutionClient } from "./toy_execution_client.ts";

const FAULTS: readonly ToyAnswer[] = [
  { http: 503, body: "" },
  { error: { code: -32000, message: "not now" } },
  { error: { code: -38001, message: "Unknown payload" } },
  { result: { payloadStatus: statusOf("SYNCING"), payloadId: null } },
  { after: "close" },
];
const METHODS = [
  "engine_forkchoiceUpdated",
  "engine_getPayload",
  "engine_newPayload",
  "eth_getBlockByNumber",
];

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("give" as const),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("fault" as const),
      count: fc.nat({ max: FAULTS.length * METHODS.length - 1 }),
    }),
  },
  fc.record({ kind: fc.constant("back" as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant("final" as const), count: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ kind: fc.constant("restart" as const), count: fc.nat({ max: 1 }) }),
  fc.record({ kind: fc.constant("client crash" as const), count: fc.integer({ min: 1, max: 4 }) }),
);

/** Tries the same again, as runners do. */
async function insist<T>(action: () => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await action();
    } catch (error) {
      const isTemporary = error instanceof MontanaError && error.isRetryable;
      if (!isTemporary || tries > 30) throw error;
    }
  }
}

test("EngineApiSink leads a client to what was derived, whatever fails on the way", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await using toy = await ToyExecutionClient.start();
      const client = new EngineClient(new HttpJsonRpc({ url: toy.url, clock: systemClock }));
      const sinkFrom = (from?: NonNullable<EngineApiSink["position"]>) =>
        new EngineApiSink({ client, clock: systemClock }, {
          patienceMs: 0,
          ...(from ? { from } : {}),
        });
      let sink = sinkFrom();
      const chain: DerivedBlock[] = [];
      let seed = 0;
      let finalBlocks = 0;
      const give = async (blocks: readonly DerivedBlock[]) => {
        for (const block of blocks) await insist(() => sink.ingest(block));
        await insist(() => sink.flush());
      };
      /** A new run of the program: behind the last state that the client still has, or from the start. */
      const restart = async (withState: boolean) => {
        const { position } = sink;
        const state = withState && position && await insist(() => isOnClient(client, position))
          ? position
          : undefined;
        sink = sinkFrom(state);
        await give(chain.slice(state ? Number(state.number) : 0));
      };
      /** A client that lost more than is remembered ends a run: the next one begins anew. */
      const surviving = async (action: () => Promise<void>, then: () => Promise<void>) => {
        try {
          await action();
        } catch (error) {
          if (!(error instanceof MontanaError) || error.code !== "Changed") throw error;
          await restart(false);
          await then();
        }
      };
      for (const { kind, count } of steps) {
        if (kind === "give") {
          const more = Array.from({ length: count }, (_, index): DerivedBlock => ({
            timestamp: BigInt(1000 + 2 * (chain.length + index)),
            transactions: [Uint8Array.of(2, ...noise(10, seed++))],
            batchNumber: 0n,
            l1Origin: 0n,
            l1Block: BigInt(chain.length + index + 1),
          }));
          chain.push(...more);
          await surviving(() => give(more), () => Promise.resolve());
        } else if (kind === "fault") {
          toy.answer(METHODS[count % METHODS.length]!, FAULTS[Math.floor(count / METHODS.length)]!);
        } else if (kind === "back") {
          const blocks = Math.min(count, chain.length - finalBlocks);
          if (blocks === 0) continue;
          const back = () => insist(() => sink.retract(blocks));
          await surviving(back, back);
          chain.length -= blocks;
        } else if (kind === "final") {
          const number = Math.max(finalBlocks, chain.length - count);
          if (number === 0) continue;
          const heads = { safe: BigInt(chain.length), finalized: BigInt(number) };
          const note = () => insist(() => sink.noteL1Heads(heads));
          await surviving(note, note);
          finalBlocks = number;
        } else if (kind === "restart") {
          await restart(count === 1);
        } else {
          // It may have lost some before that it was not handed again yet.
          const lost = Math.min(count, toy.content.length - finalBlocks);
          toy.lose(Math.max(0, lost));
          if (count % 2 === 0) await restart(true);
        }
      }
      toy.script.clear();
      await restart(false);
      deepEqual(toy.content, content(chain));
      ok(toy.numbers.finalized <= chain.length);
    }),
    { numRuns: 60 },
  );
});
