/**
 * The methods of the Engine API, and those of `eth` that a consensus client asks for at the same port, over
 * an {@link EngineApiSource}.
 *
 * | method                                          |                                                       |
 * | ----------------------------------------------- | ----------------------------------------------------- |
 * | `engine_newPayloadV1` to `V4`                   | statuses: see `payload_chain.ts`                      |
 * | `engine_forkchoiceUpdatedV1` to `V3`            | `payloadId` is always null: no block is built here    |
 * | `engine_getPayloadV1` to `V5`                   | -38001, as none is built                              |
 * | `engine_getPayloadBodiesByHashV1` `…ByRangeV1`  | of blocks in hand; null for others; 128 at the most   |
 * | `engine_exchangeCapabilities`                   |                                                       |
 * | `engine_getClientVersionV1` `web3_clientVersion` |                                                       |
 * | `eth_chainId` `net_version`                     | as it was told; else -32000                           |
 * | `eth_syncing` `eth_blockNumber`                 | false; of the head that was chosen                    |
 * | `eth_getBlockByNumber` `eth_getBlockByHash`     | blocks in hand                                        |
 * | all else                                        | -32601                                                |
 *
 * (https://github.com/ethereum/execution-apis/tree/main/src/engine)
 *
 * @module
 */
import {
  EngineError,
  type EngineErrorCode,
  type EngineVersion,
  type ForkchoiceUpdate,
  type PayloadEnvelope,
  type PayloadStatus,
} from "../engine.ts";
import { CodecError, describeError } from "../errors.ts";
import { RPC_CODES } from "../ethereum.ts";
import { blockHashing } from "../l1/block_hashing.ts";
import { type JsonFields, objectOf, wrong } from "../l1/json_fields.ts";
import type { Log } from "../ports.ts";
import { COMMIT, VERSION } from "../version.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import type { EngineApiSource } from "./engine_source.ts";
import {
  headerJson,
  parseNewPayload,
  parseWithdrawals,
  payloadToJson,
  quantityOf,
  toQuantity,
} from "./payload.ts";
import { transactionToJson } from "./transaction_json.ts";

/** What is served. */
export interface EngineApiParts {
  readonly source: EngineApiSource;
  /** What `eth_chainId` answers. */
  readonly chainId?: bigint;
  readonly log?: Log;
}

/** An error of JSON-RPC. */
export interface RpcFault {
  readonly code: number;
  readonly message: string;
  readonly data?: object;
}

const CAPABILITIES: readonly string[] = [
  ...[1, 2, 3, 4].map((version) => `engine_newPayloadV${version}`),
  ...[1, 2, 3].map((version) => `engine_forkchoiceUpdatedV${version}`),
  "engine_getPayloadBodiesByHashV1",
  "engine_getPayloadBodiesByRangeV1",
  "engine_getClientVersionV1",
];

/** Of one call; the specification wants 32 at least. */
const MAX_BODIES = 128;

const FAULTS: Readonly<Record<EngineErrorCode, number>> = {
  UnknownPayload: -38001,
  InvalidForkchoice: -38002,
  InvalidAttributes: -38003,
  TooLarge: -38004,
  UnsupportedFork: -38005,
  Unavailable: -32000,
};

type Method = (parts: EngineApiParts, params: readonly unknown[]) => Promise<unknown>;

const METHODS: Readonly<Record<string, Method>> = {
  engine_exchangeCapabilities: () => Promise.resolve(CAPABILITIES),
  engine_getClientVersionV1: () => Promise.resolve([clientVersion()]),
  web3_clientVersion: () => Promise.resolve(`montana/v${VERSION}`),
  ...versions("engine_newPayloadV", [1, 2, 3, 4], newPayload),
  ...versions("engine_forkchoiceUpdatedV", [1, 2, 3], forkchoiceUpdated),
  ...versions("engine_getPayloadV", [1, 2, 3, 4, 5], getPayload),
  engine_getPayloadBodiesByHashV1: bodiesByHash,
  engine_getPayloadBodiesByRangeV1: bodiesByRange,
  eth_chainId: (parts) => chainIdOf(parts).then(toQuantity),
  net_version: (parts) => chainIdOf(parts).then(String),
  eth_syncing: () => Promise.resolve(false),
  eth_blockNumber: ({ source }) => Promise.resolve(toQuantity(source.headNumber ?? 0n)),
  eth_getBlockByNumber: ({ source }, [tag, full]) => blockJson(source.block(tagOf(tag)), full),
  eth_getBlockByHash: ({ source }, [hash, full]) =>
    blockJson(source.block(fromHex(hash, "the hash", 32)), full),
};

/** Answers a call: a result, or an error. It does not throw. */
export async function callEngine(
  parts: EngineApiParts,
  method: string,
  params: readonly unknown[],
): Promise<{ readonly result: unknown } | { readonly error: RpcFault }> {
  try {
    const answer = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
    if (answer) return { result: await answer(parts, params) };
    return {
      error: {
        code: RPC_CODES.methodNotFound,
        message: `Cannot answer ${method}: it is not offered here`,
      },
    };
  } catch (error) {
    parts.log?.({ event: "consensus.refused", error });
    return { error: faultOf(error) };
  }
}

function faultOf(error: unknown): RpcFault {
  if (error instanceof CodecError) return { code: RPC_CODES.invalidParams, message: error.message };
  if (!(error instanceof EngineError)) {
    return { code: RPC_CODES.internalError, message: describeError(error) };
  }
  const { message } = error;
  const code = FAULTS[error.code];
  return code === -32000 ? { code, message, data: { err: message } } : { code, message };
}

/** The same method in several versions. */
function versions<Version extends number>(
  name: string,
  numbers: readonly Version[],
  method: (version: Version, parts: EngineApiParts, params: readonly unknown[]) => Promise<unknown>,
): Readonly<Record<string, Method>> {
  return Object.fromEntries(
    numbers.map((version): [string, Method] => [
      `${name}${version}`,
      (parts, params) => method(version, parts, params),
    ]),
  );
}

async function newPayload(
  version: EngineVersion,
  { source }: EngineApiParts,
  params: readonly unknown[],
): Promise<JsonFields> {
  const status = await source.newPayload(parseNewPayload(version, params));
  const isOld = version === 1 && status.isWrongHash;
  return { ...statusJson(status), ...(isOld ? { status: "INVALID_BLOCK_HASH" } : {}) };
}

async function forkchoiceUpdated(
  version: 1 | 2 | 3,
  { source, log }: EngineApiParts,
  [state, attributes]: readonly unknown[],
): Promise<JsonFields> {
  const fields = objectOf(state, "forkchoiceState");
  const hash = (name: string) => fromHex(fields[name], `forkchoiceState.${name}`, 32);
  const choice: ForkchoiceUpdate = {
    head: hash("headBlockHash"),
    safe: hash("safeBlockHash"),
    finalized: hash("finalizedBlockHash"),
  };
  const status = await source.forkchoiceUpdated(choice);
  const isAsked = attributes !== undefined && attributes !== null;
  // What was chosen stays chosen, whatever is wrong with the attributes.
  if (isAsked && status.status === "VALID") {
    const head = source.block(choice.head)?.payload;
    checkAttributes(version, attributes, head?.timestamp);
    log?.({ event: "consensus.asked_to_build", headNumber: source.headNumber ?? 0n });
  }
  return { payloadStatus: statusJson(status), payloadId: null };
}

/** @throws {EngineError} `InvalidAttributes` */
function checkAttributes(
  version: 1 | 2 | 3,
  attributes: unknown,
  after: bigint | undefined,
): void {
  try {
    const name = "payloadAttributes";
    const fields = objectOf(attributes, name);
    const timestamp = quantityOf(fields.timestamp, `${name}.timestamp`);
    if (after !== undefined && timestamp <= after) {
      throw wrong(`${name}.timestamp`, `one after the head's, ${after}`, fields.timestamp);
    }
    fromHex(fields.prevRandao, `${name}.prevRandao`, 32);
    fromHex(fields.suggestedFeeRecipient, `${name}.suggestedFeeRecipient`, 20);
    const [hasWithdrawals, hasRoot] = [fields.withdrawals, fields.parentBeaconBlockRoot]
      .map((field) => field !== undefined && field !== null);
    if (version === 1 && hasWithdrawals) {
      throw wrong(`${name}.withdrawals`, "nothing in V1", "some");
    }
    if (version === 3 || hasWithdrawals) {
      parseWithdrawals(fields.withdrawals, `${name}.withdrawals`);
    }
    if (version === 3) {
      fromHex(fields.parentBeaconBlockRoot, `${name}.parentBeaconBlockRoot`, 32);
    } else if (hasRoot) {
      throw wrong(`${name}.parentBeaconBlockRoot`, `nothing in V${version}`, "one");
    }
  } catch (cause) {
    throw new EngineError("InvalidAttributes", describeError(cause), { cause });
  }
}

function getPayload(): Promise<never> {
  const message = "Cannot give a payload: this program builds no blocks";
  return Promise.reject(new EngineError("UnknownPayload", message));
}

function statusJson({ status, latestValidHash, validationError }: PayloadStatus): JsonFields {
  return {
    status,
    latestValidHash: latestValidHash ? toHex(latestValidHash) : null,
    validationError: validationError ?? null,
  };
}

function clientVersion(): JsonFields {
  const commit = /^[\da-f]{8}/.exec(COMMIT)?.[0] ?? "00000000";
  return { code: "MT", name: "Montana", version: `v${VERSION}`, commit: `0x${commit}` };
}

function chainIdOf({ chainId }: EngineApiParts): Promise<bigint> {
  if (chainId !== undefined) return Promise.resolve(chainId);
  const message = "Cannot tell the chain: nobody told this program (--l2-chain-id)";
  return Promise.reject(new EngineError("Unavailable", message));
}

function bodiesByHash(
  { source }: EngineApiParts,
  [hashes]: readonly unknown[],
): Promise<readonly unknown[]> {
  if (!Array.isArray(hashes)) throw wrong("the hashes", "a list", hashes);
  mustBeFew(BigInt(hashes.length));
  return Promise.resolve(
    hashes.map((each) => fromHex(each, "a hash", 32)).map((each) => bodyJson(source.block(each))),
  );
}

function bodiesByRange(
  { source }: EngineApiParts,
  [start, count]: readonly unknown[],
): Promise<readonly unknown[]> {
  const [first, blocks] = [quantityOf(start, "the start"), quantityOf(count, "the count")];
  if (first < 1n || blocks < 1n) throw wrong("start and count", "1 or more", [start, count]);
  mustBeFew(blocks);
  const head = source.headNumber ?? 0n;
  // Behind the head there is nothing, not even null.
  const end = first + blocks - 1n < head ? first + blocks - 1n : head;
  const bodies: unknown[] = [];
  for (let number = first; number <= end; number++) bodies.push(bodyJson(source.block(number)));
  return Promise.resolve(bodies);
}

function mustBeFew(blocks: bigint): void {
  if (blocks <= MAX_BODIES) return;
  const message = `Cannot give ${blocks} bodies at once: ${MAX_BODIES} are the most`;
  throw new EngineError("TooLarge", message);
}

/** Null where the block is not in hand. */
function bodyJson(envelope: PayloadEnvelope | undefined): JsonFields | null {
  if (envelope === undefined) return null;
  const { transactions, withdrawals = null } = payloadToJson(envelope.payload);
  return { transactions, withdrawals };
}

function tagOf(tag: unknown): "latest" | "safe" | "finalized" | bigint {
  if (tag === "latest" || tag === "safe" || tag === "finalized") return tag;
  if (tag === "pending") return "latest";
  return tag === "earliest" ? 0n : quantityOf(tag, "the number of a block");
}

/** Null where the block is not in hand. */
async function blockJson(
  envelope: PayloadEnvelope | undefined,
  full: unknown,
): Promise<JsonFields | null> {
  if (envelope === undefined) return null;
  const hashing = await blockHashing();
  const { withdrawals, transactions, blockHash, blockNumber } = envelope.payload;
  const place = { blockHash: toHex(blockHash), blockNumber: toQuantity(blockNumber) };
  const whole = (each: Uint8Array, index: number) =>
    transactionToJson(each, hashing)
      .then((json) => ({ ...json, ...place, transactionIndex: `0x${index.toString(16)}` }));
  return {
    ...await headerJson(envelope),
    uncles: [],
    transactions: full === true
      ? await Promise.all(transactions.map(whole))
      : transactions.map((each) => toHex(hashing.keccak256(each))),
    ...(withdrawals ? { withdrawals: payloadToJson(envelope.payload).withdrawals } : {}),
  };
}
