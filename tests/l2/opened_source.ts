/**
 * An {@link EngineApiSource} in memory, and the calls of a consensus client upon it.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import type { PayloadEnvelope } from "../../src/engine.ts";
import { EngineApiSource, type EngineApiSourceOptions } from "../../src/l2/engine_source.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { MemoryPayloadJournal } from "../../src/local/memory_payload_journal.ts";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { Events } from "../helpers.ts";

export const ZERO = new Uint8Array(32);

export async function open(options: Partial<EngineApiSourceOptions> = {}) {
  const journal = new MemoryPayloadJournal();
  const events = new Events();
  const source = await EngineApiSource.open({
    journal,
    l1: new MemoryL1(),
    log: events.log,
    ...options,
  });
  return { source, events, journal: (options.journal ?? journal) as MemoryPayloadJournal };
}

export type Source = EngineApiSource;

export const give = async (source: Source, envelope: PayloadEnvelope) =>
  (await source.newPayload({ envelope })).status;

export const giveAll = async (source: Source, envelopes: readonly PayloadEnvelope[]) => {
  const statuses = [];
  for (const envelope of envelopes) statuses.push(await give(source, envelope));
  return statuses;
};

export const hashOf = (envelope: PayloadEnvelope | undefined) =>
  envelope?.payload.blockHash ?? ZERO;

export const choose = async (
  source: Source,
  head: PayloadEnvelope,
  { safe, finalized }: { safe?: PayloadEnvelope; finalized?: PayloadEnvelope } = {},
) =>
  (await source.forkchoiceUpdated({
    head: hashOf(head),
    safe: hashOf(safe),
    finalized: hashOf(finalized),
  })).status;

export const numbers = (blocks: readonly L2Block[]) => blocks.map(({ number }) => Number(number));
export const hashes = (of: readonly (L2Block | PayloadEnvelope)[]) =>
  of.map((each) => toHex("payload" in each ? each.payload.blockHash : each.hash!));

export const reorganised =
  (block: bigint) => (error: { code: string; kind: string; details: object }) => {
    deepEqual([error.code, error.kind], ["Reorganised", "reset"]);
    equal((error.details as { block: bigint }).block, block);
    return true;
  };
