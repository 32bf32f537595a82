/**
 * Execution payloads for tests: each with the hash that it must have, so that chains and forks of them can
 * be told apart by their hashes, as real ones.
 *
 * @module
 */
import type { EngineVersion, ExecutionPayload, PayloadEnvelope } from "../../src/engine.ts";
import { payloadHash } from "../../src/l2/payload.ts";

/** What stands before the first block of a test. */
export const BEFORE: Pick<ExecutionPayload, "blockHash" | "blockNumber" | "timestamp"> = {
  blockHash: new Uint8Array(32).fill(0xbe),
  blockNumber: 99n,
  timestamp: 1_700_000_000n,
};

/** What a test chooses of a payload. */
export interface PayloadDraft extends Partial<ExecutionPayload> {
  readonly version?: EngineVersion;
  readonly executionRequests?: readonly Uint8Array[];
}

/** A payload that follows another; whatever is not told is as dull as can be. */
export async function payloadAfter(
  parent: Pick<ExecutionPayload, "blockHash" | "blockNumber" | "timestamp">,
  { version = 4, executionRequests, ...draft }: PayloadDraft = {},
): Promise<PayloadEnvelope> {
  const zeros = (size: number) => new Uint8Array(size);
  const payload: ExecutionPayload = {
    parentHash: parent.blockHash,
    feeRecipient: zeros(20),
    stateRoot: zeros(32),
    receiptsRoot: zeros(32),
    logsBloom: zeros(256),
    prevRandao: zeros(32),
    blockNumber: parent.blockNumber + 1n,
    gasLimit: 30_000_000n,
    gasUsed: 21_000n,
    timestamp: parent.timestamp + 2n,
    extraData: zeros(0),
    baseFeePerGas: 7n,
    blockHash: zeros(32),
    transactions: [],
    ...(version >= 2 ? { withdrawals: [] } : {}),
    ...(version >= 3 ? { blobGasUsed: 0n, excessBlobGas: 0n } : {}),
    ...draft,
  };
  const envelope: PayloadEnvelope = {
    payload,
    ...(version >= 3 ? { parentBeaconBlockRoot: zeros(32) } : {}),
    ...(version >= 4 ? { executionRequests: executionRequests ?? [] } : {}),
  };
  if (draft.blockHash !== undefined) return envelope;
  return { ...envelope, payload: { ...payload, blockHash: await payloadHash(envelope) } };
}

/** So many payloads in a row; `tag` tells the transactions of one fork from those of another. */
export async function payloadChain(
  count: number,
  parent: Pick<ExecutionPayload, "blockHash" | "blockNumber" | "timestamp"> = BEFORE,
  tag = 0,
  draft: PayloadDraft = {},
): Promise<PayloadEnvelope[]> {
  const chain: PayloadEnvelope[] = [];
  for (let index = 0; index < count; index++) {
    const before = chain.at(-1)?.payload ?? parent;
    const transaction = Uint8Array.of(2, tag, Number(before.blockNumber % 251n), index % 251);
    chain.push(await payloadAfter(before, { transactions: [transaction], ...draft }));
  }
  return chain;
}
