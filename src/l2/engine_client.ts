/**
 * The Engine API of an execution client, as a consensus client asks it. What the client offers is asked
 * first; which version of a method belongs to a block is told by its parent, and where a fork lies between
 * the two, by the client: it refuses the others.
 *
 * | answer of the client                  | taken as                                             |
 * | ------------------------------------- | ---------------------------------------------------- |
 * | HTTP 401, 403                         | `Unsupported`: the token is not taken                |
 * | -38005 Unsupported fork               | the next version is tried; of all: `Unsupported`     |
 * | -38001 Unknown payload                | it is built again                                    |
 * | -38003, -32601, -32602                | `Unsupported`                                        |
 * | any other error                       | `Connection`: it is asked again                      |
 *
 * @module
 */
import { CodecError, RpcError, SinkError } from "../errors.ts";
import { type JsonRpc, RPC_CODES } from "../ethereum.ts";
import { shown, toHex } from "../wire/hex.ts";
import { type JsonFields, objectOf } from "../l1/json_fields.ts";
import { blobHashesOf } from "./blob_hashes.ts";
import {
  type EngineBlock,
  type EngineChainBlock,
  type EnginePayload,
  parseBuilt,
  parseChainBlock,
} from "./engine_block.ts";
import { toQuantity } from "./payload.ts";

/** What a block is built of. */
export interface EngineAttributes {
  /** Unix seconds. */
  readonly timestamp: bigint;
  readonly prevRandao: Uint8Array;
  readonly feeRecipient: Uint8Array;
  readonly parentBeaconBlockRoot: Uint8Array;
  /** All of the block, in order. */
  readonly transactions: readonly Uint8Array[];
  readonly gasLimit: bigint;
  /** 8 bytes: denominator and elasticity, from Holocene on. */
  readonly eip1559Params: Uint8Array | undefined;
  /** Wei, from Jovian on. */
  readonly minBaseFee: bigint | undefined;
}

/** What the client is told of the chain: hashes. */
export interface ForkchoiceState {
  readonly head: Uint8Array;
  /** 32 zeros where nothing is safe. */
  readonly safe: Uint8Array;
  /** 32 zeros where nothing is final. */
  readonly finalized: Uint8Array;
}

/** What became of a block. */
export type EngineStatus =
  | "VALID"
  | "INVALID"
  | "SYNCING"
  | "ACCEPTED"
  | "INVALID_BLOCK_HASH";

const STATUSES: readonly string[] = [
  "VALID",
  "INVALID",
  "SYNCING",
  "ACCEPTED",
  "INVALID_BLOCK_HASH",
] satisfies EngineStatus[];

/** What the client answered to a block or a head. */
export interface EngineAnswer {
  readonly status: EngineStatus;
  /** Why it is invalid, in the client's words; empty where it did not say. */
  readonly validationError: string;
  /** By which a block that it builds is asked for. */
  readonly payloadId: string | undefined;
}

/** Of `engine_` methods, as they are offered and asked for. */
const METHODS = {
  engine_forkchoiceUpdated: [1, 2, 3],
  engine_getPayload: [1, 2, 3, 4, 5],
  engine_newPayload: [1, 2, 3, 4],
} as const;
type Method = keyof typeof METHODS;

const { methodNotFound: METHOD_NOT_FOUND, invalidParams: INVALID_PARAMS } = RPC_CODES;
/** Those of the Engine API. */
const UNKNOWN_PAYLOAD = -38001;
const INVALID_ATTRIBUTES = -38003;
const UNSUPPORTED_FORK = -38005;
/** Another version of the method may be the right one. */
const WRONG_VERSION: readonly unknown[] = [UNSUPPORTED_FORK, INVALID_ATTRIBUTES, INVALID_PARAMS];
const NEVER: readonly unknown[] = [
  METHOD_NOT_FOUND,
  INVALID_PARAMS,
  INVALID_ATTRIBUTES,
  UNSUPPORTED_FORK,
];

const NEEDED = "is it a client that takes `transactions`, `noTxPool` and `gasLimit` as payload " +
  "attributes, as op-geth and op-reth do?";

/** Bytes of a node's text in an error. */
const MAX_SAID = 300;

/**
 * An execution client.
 *
 * @example
 * ```ts
 * import { EngineClient, HttpJsonRpc, JwtSecret, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const secret = await JwtSecret.from(crypto.getRandomValues(new Uint8Array(32)), systemClock);
 * const client = new EngineClient(
 *   new HttpJsonRpc({
 *     url: "http://127.0.0.1:1",
 *     clock: systemClock,
 *     headers: async () => ({ authorization: await secret.authorization() }),
 *   }),
 * );
 * const error = await client.block("latest").then(undefined, (error) => error);
 * if (error.code !== "Unreachable") throw new Error("nobody answers there");
 * ```
 */
export class EngineClient {
  readonly #rpc: JsonRpc;
  /** `undefined` until it was asked; `null` where the client does not tell. */
  #offered: readonly string[] | null | undefined;
  #payloadVersion: number | undefined;
  #attributesVersion: number | undefined;

  /** @param rpc sends a fresh token with each request */
  constructor(rpc: JsonRpc) {
    this.#rpc = rpc;
  }

  /** Host only. */
  get name(): string {
    return this.#rpc.name;
  }

  /**
   * Makes sure that the client builds blocks and takes them. One that does not tell what it offers is told the
   * head that it has: a port without the Engine API shows, and else nothing changes.
   *
   * @throws {SinkError} `Unsupported` where it says that it has no such method
   */
  async check(): Promise<void> {
    const offered = await this.#offers();
    if (offered === null) return await this.#probe();
    for (const method of Object.keys(METHODS)) {
      if (offered.some((each) => each.startsWith(`${method}V`))) continue;
      throw this.#unsupported(`it offers no version of ${method}`);
    }
  }

  async #probe(): Promise<void> {
    const head = await this.block("latest");
    if (!head) return;
    const [safe, finalized] = [await this.block("safe"), await this.block("finalized")];
    const zero = new Uint8Array(32);
    const state = { head: head.hash, safe: safe?.hash ?? zero, finalized: finalized?.hash ?? zero };
    try {
      await this.forkchoiceUpdated(state);
    } catch (error) {
      if (!isOf(error, [METHOD_NOT_FOUND])) throw error;
      throw this.#unsupported(
        "it has no engine_ methods; is that the port of its Engine API (8551, as a rule), and not that " +
          "of its other JSON-RPC?",
        METHOD_NOT_FOUND,
      );
    }
  }

  /** A block of the client's chain; `undefined` where there is none, or no such head. */
  async block(
    tag: bigint | "latest" | "safe" | "finalized",
  ): Promise<EngineChainBlock | undefined> {
    const name = typeof tag === "bigint" ? toQuantity(tag) : tag;
    const block = await this.#blockOf("eth_getBlockByNumber", name);
    if (block && typeof tag === "bigint" && block.number !== tag) {
      throw this.#invalid("eth_getBlockByNumber", `block ${block.number} instead of ${tag}`);
    }
    return block;
  }

  /** A block that the client knows, of its chain or beside it. */
  blockByHash(hash: Uint8Array): Promise<EngineChainBlock | undefined> {
    return this.#blockOf("eth_getBlockByHash", toHex(hash));
  }

  /**
   * Tells the client its head, and what is safe and final.
   *
   * @param build what to build on that head, and the head itself
   */
  async forkchoiceUpdated(
    { head, safe, finalized }: ForkchoiceState,
    build?: { readonly parent: EngineBlock; readonly attributes: EngineAttributes },
  ): Promise<EngineAnswer> {
    const state = {
      headBlockHash: toHex(head),
      safeBlockHash: toHex(safe),
      finalizedBlockHash: toHex(finalized),
    };
    const method = "engine_forkchoiceUpdated";
    if (!build) {
      const { result } = await this.#versioned(method, 3, () => [state, null]);
      return answerOf(result, () => this.#invalid(method, shown(result)));
    }
    const { parent, attributes } = build;
    const guess = this.#attributesVersion ?? Math.min(parent.fork, 3);
    const { version, result } = await this.#versioned(
      method,
      guess,
      (version) => [state, attributesJson(attributes, version)],
    );
    this.#attributesVersion = version;
    return answerOf(result, () => this.#invalid(method, shown(result)));
  }

  /** The block that the client built; `undefined` where it knows of none (any more). */
  async payload(id: string, parent: EngineBlock): Promise<EnginePayload | undefined> {
    const method = "engine_getPayload";
    try {
      const guess = this.#payloadVersion ?? parent.fork;
      const { version, result } = await this.#versioned(method, guess, () => [id]);
      this.#payloadVersion = version;
      return this.#reading(method, () => parseBuilt(result));
    } catch (error) {
      if (isOf(error, [UNKNOWN_PAYLOAD])) return undefined;
      throw error;
    }
  }

  /** Hands a block to the client, in the version of its fork. */
  async newPayload(
    { json, transactions, requests, fork: version }: EnginePayload,
    parentBeaconBlockRoot: Uint8Array,
  ): Promise<EngineAnswer> {
    const method = "engine_newPayload";
    const hashes = version < 3 ? [] : (await blobHashesOf(transactions)).map(toHex);
    const result = await this.#ask(
      `${method}V${version}`,
      [json, hashes, toHex(parentBeaconBlockRoot), requests].slice(0, [0, 1, 1, 3, 4][version]),
    );
    return answerOf(result, () => this.#invalid(method, shown(result)));
  }

  /**
   * Asks in the version that is likely right, then in those above, then in those below, as far as they
   * are offered.
   */
  async #versioned(
    method: Method,
    guess: number,
    params: (version: number) => readonly unknown[],
  ): Promise<{ readonly version: number; readonly result: unknown }> {
    const all = METHODS[method] as readonly number[];
    const offered = await this.#offers();
    const near = [...all.filter((each) => each >= guess)]
      .concat(all.filter((each) => each < guess).reverse());
    const versions = near.filter((each) => offered?.includes(`${method}V${each}`) ?? true);
    if (versions.length === 0) {
      throw this.#unsupported(`it offers no version of ${method}`);
    }
    // Who does not tell which versions there are may lack some.
    const wrong = offered === null ? [...WRONG_VERSION, METHOD_NOT_FOUND] : WRONG_VERSION;
    let first: unknown;
    for (const version of versions) {
      try {
        return { version, result: await this.#ask(`${method}V${version}`, params(version)) };
      } catch (error) {
        first ??= error;
        if (!isOf(error, wrong)) throw error;
      }
    }
    throw first;
  }

  /** The methods that the client offers; `null` where it does not tell. */
  async #offers(): Promise<readonly string[] | null> {
    if (this.#offered !== undefined) return this.#offered;
    const method = "engine_exchangeCapabilities";
    const ours = Object.entries(METHODS)
      .flatMap(([name, versions]) => versions.map((version) => `${name}V${version}`));
    try {
      const answer = await this.#ask(method, [ours]);
      if (!Array.isArray(answer)) throw this.#invalid(method, shown(answer));
      return this.#offered = answer.map(String);
    } catch (error) {
      if (!isOf(error, [METHOD_NOT_FOUND])) throw error;
      return this.#offered = null;
    }
  }

  async #blockOf(method: string, name: string): Promise<EngineChainBlock | undefined> {
    try {
      const answer = await this.#rpc.request(method, [name, false]);
      if (answer === null) return undefined;
      return this.#reading(method, () => parseChainBlock(answer));
    } catch (error) {
      // Geth has no safe and no final block until it is told one, and says so.
      const isNone = error instanceof RpcError && error.code === "Answered" &&
        /not found|unknown block/i.test(error.message);
      if (isNone) return undefined;
      throw this.#asSinkError(method, error);
    }
  }

  async #ask(method: string, params: readonly unknown[]): Promise<unknown> {
    try {
      return await this.#rpc.request(method, params);
    } catch (error) {
      throw this.#asSinkError(method, error);
    }
  }

  #reading<T>(method: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      throw this.#invalid(method, error.message);
    }
  }

  #asSinkError(method: string, error: unknown): unknown {
    if (!(error instanceof RpcError)) return error;
    if (error.code === "Refused" && [401, 403].includes(error.details.status as number)) {
      return this.#unsupported(
        `it answered ${error.details.status} to our token: both sides need the same --jwt-secret, and ` +
          "clocks less than 60 s apart",
      );
    }
    if (error.code !== "Answered") return error;
    const { rpcCode } = error.details;
    const said = `it answered ${rpcCode} to ${method}: ${error.message.slice(0, MAX_SAID)}`;
    if (NEVER.includes(rpcCode)) {
      const isBuilding = method.startsWith("engine_forkchoiceUpdated");
      return this.#unsupported(isBuilding ? `${said}; ${NEEDED}` : said, rpcCode);
    }
    const message = `Cannot hand blocks to ${this.name}: ${said}`;
    return new SinkError("Connection", message, { details: { rpcCode } });
  }

  #unsupported(why: string, rpcCode?: string | number | bigint): SinkError {
    const details = rpcCode === undefined ? {} : { rpcCode };
    return new SinkError("Unsupported", `Cannot hand blocks to ${this.name}: ${why}`, { details });
  }

  #invalid(method: string, what: string): RpcError {
    return new RpcError("Invalid", `Cannot ask ${this.name} for ${method}: it answered ${what}`, {
      details: { endpoint: this.name, method },
    });
  }
}

function isOf(error: unknown, codes: readonly unknown[]): boolean {
  return error instanceof SinkError && codes.includes(error.details.rpcCode);
}

/** The fields of OP-style clients stand beside those of Ethereum: a client without them ignores or refuses them. */
function attributesJson(attributes: EngineAttributes, version: number): JsonFields {
  const { eip1559Params, minBaseFee } = attributes;
  return {
    timestamp: toQuantity(attributes.timestamp),
    prevRandao: toHex(attributes.prevRandao),
    suggestedFeeRecipient: toHex(attributes.feeRecipient),
    ...(version >= 2 ? { withdrawals: [] } : {}),
    ...(version >= 3 ? { parentBeaconBlockRoot: toHex(attributes.parentBeaconBlockRoot) } : {}),
    transactions: attributes.transactions.map(toHex),
    noTxPool: true,
    gasLimit: toQuantity(attributes.gasLimit),
    ...(eip1559Params ? { eip1559Params: toHex(eip1559Params) } : {}),
    ...(minBaseFee === undefined ? {} : { minBaseFee: Number(minBaseFee) }),
  };
}

function answerOf(json: unknown, invalid: () => RpcError): EngineAnswer {
  try {
    const answer = objectOf(json, "answer");
    // `engine_newPayload` answers the status itself.
    const status = answer.payloadStatus === undefined
      ? answer
      : objectOf(answer.payloadStatus, "payloadStatus");
    if (!STATUSES.includes(String(status.status))) throw invalid();
    return {
      status: status.status as EngineStatus,
      validationError: String(status.validationError ?? "").slice(0, MAX_SAID),
      payloadId: typeof answer.payloadId === "string" ? answer.payloadId : undefined,
    };
  } catch (error) {
    if (error instanceof CodecError) throw invalid();
    throw error;
  }
}
