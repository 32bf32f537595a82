/**
 * An execution client, a sink into it, and blocks to hand over.
 *
 * @module
 */
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { EngineClient } from "../../src/l2/engine_client.ts";
import { EngineApiSink, type EngineApiSinkOptions } from "../../src/l2/engine_sink.ts";
import { systemClock } from "../../src/runtime.ts";
import type { DerivedBlock } from "../../src/types.ts";
import { Events, plainBlocks } from "../helpers.ts";
import { ToyExecutionClient, type ToyOptions } from "./toy_execution_client.ts";

/** Blocks as derivation gives them: two a batch, one batch an L1 block from 100 on. */
export function derived(count: number, { size = 20 } = {}): DerivedBlock[] {
  return plainBlocks(count, { size }).map((block, index) => ({
    ...block,
    batchNumber: BigInt(index >> 1),
    l1Origin: BigInt(90 + (index >> 1)),
    l1Block: BigInt(100 + (index >> 1)),
  }));
}

export const BLOCKS = derived(8);

function clientOf(toy: ToyExecutionClient, timeoutMs = 5000): EngineClient {
  return new EngineClient(new HttpJsonRpc({ url: toy.url, clock: systemClock, timeoutMs }));
}

/** A client, a sink into it, and what the sink told. */
export async function place(
  toyOptions: ToyOptions = {},
  options: EngineApiSinkOptions = {},
  timeoutMs?: number,
) {
  const toy = await ToyExecutionClient.start(toyOptions);
  const events = new Events();
  const sinkWith = (more: EngineApiSinkOptions = {}) =>
    new EngineApiSink({ client: clientOf(toy, timeoutMs), clock: systemClock, log: events.log }, {
      patienceMs: 600,
      ...options,
      ...more,
    });
  return {
    toy,
    events,
    sinkWith,
    sink: sinkWith(),
    [Symbol.asyncDispose]: () => toy[Symbol.asyncDispose](),
  };
}

export async function handOver(
  sink: EngineApiSink,
  blocks: readonly DerivedBlock[],
): Promise<void> {
  for (const block of blocks) await sink.ingest(block);
  await sink.flush();
}

export function hashAt(toy: ToyExecutionClient, number: number): string {
  return String(toy.chain[number]!.payload.blockHash);
}
