/**
 * A stand-in for the Shared Publisher's collector of proofs, so that a pipeline can be run to its end and
 * looked at without one. It takes what the publisher takes and refuses what that refuses; it keeps all in
 * memory, looks into no proof, and hands nothing on to L1.
 *
 * | request                       |                                                                     |
 * | ----------------------------- | ------------------------------------------------------------------- |
 * | `POST /v1/proofs/op-succinct` | the proof of one chain → 202                                        |
 * | `GET /v1/proofs/status/0x…`   | `{"superblock_hash","superblock_number","required_chain_ids",       |
 * |                               | "received","state","stand_in":true}`; 404 `not_found`               |
 *
 * A superblock is `collecting` until each chain that was named has handed in, and `queued` then, for ever.
 * A chain that was not named is refused, and counts for nothing; nor does what was handed in for another
 * superblock.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { describeError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { bytesOf, type Fields, fieldsOf } from "../provers/json.ts";
import { parseU64, toHex } from "../wire/hex.ts";
import type { ApiRequest, ApiResponse } from "./api.ts";

const MAX_BODY_BYTES = 64 * 2 ** 20;
/** Superblocks that are remembered. */
const KEPT_SUPERBLOCKS = 4096;
const HASHES = ["l2PreRoot", "l2PostRoot", "rollupConfigHash", "multiBlockVKey"] as const;

/** What it is made of. */
export interface StandInPublisherParts {
  readonly clock: Clock;
  /** Chains whose proofs a superblock waits for. */
  readonly requiredChainIds: readonly bigint[];
  /** Told of each proof that is taken for the first time; `isProof` is false where it came without one. */
  readonly onAccepted?: (superblock: bigint, chainId: bigint, isProof: boolean) => void;
}

interface Collected {
  readonly number: bigint;
  /** By chain, when. */
  readonly received: Map<bigint, string>;
}

/** The collector's codes. */
type RefusalCode =
  | "invalid_json"
  | "invalid_superblock_hash"
  | "invalid_l1_head"
  | "invalid_aggregation_outputs"
  | "invalid_l2_start_block"
  | "missing_agg_vk"
  | "submit_failed"
  | "not_found";

/** A request that is refused. */
class Refusal extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Answers the collector's two paths. */
export class StandInPublisherApi {
  readonly #parts: StandInPublisherParts;
  readonly #collected = new Map<string, Collected>();

  constructor(parts: StandInPublisherParts) {
    this.#parts = parts;
  }

  /** `undefined` for what is not its path. */
  async answer(request: ApiRequest): Promise<ApiResponse | undefined> {
    const { url: { pathname }, method } = request;
    const hash = /^\/v1\/proofs\/status\/(.+)$/.exec(pathname)?.[1];
    if (hash !== undefined && method === "GET") return this.#status(hash.toLowerCase());
    if (pathname !== "/v1/proofs/op-succinct" || method !== "POST") return undefined;
    const bytes = await request.body(MAX_BODY_BYTES);
    if (!bytes) return this.#refusal(413, "invalid_json", `more than ${MAX_BODY_BYTES} bytes`);
    try {
      this.#take(bytes);
      return { status: 202, body: { status: "accepted" } };
    } catch (error) {
      if (error instanceof Refusal) return this.#refusal(400, error.code, error.message);
      throw error;
    }
  }

  #take(bytes: Uint8Array): void {
    const { clock, requiredChainIds, onAccepted } = this.#parts;
    const read = <T>(code: RefusalCode, action: () => T): T => {
      try {
        return action();
      } catch (error) {
        throw error instanceof Refusal ? error : new Refusal(code, describeError(error));
      }
    };
    const body = read(
      "invalid_json",
      () => fieldsOf(JSON.parse(Buffer.from(bytes).toString()), "the request"),
    );
    const hash = read("invalid_superblock_hash", () => {
      const hash = bytesOf(body.superblock_hash, "superblock_hash", 32);
      if (hash.some((byte) => byte !== 0)) return toHex(hash);
      throw new Refusal("invalid_superblock_hash", "it is zero");
    });
    const l1Head = read("invalid_l1_head", () => toHex(bytesOf(body.l1_head, "l1_head", 32)));
    const lastBlock = read("invalid_aggregation_outputs", () => lastBlockOf(body, l1Head));
    const chainId = read("invalid_json", () => parseU64(body.chain_id, "chain_id"));
    const number = read(
      "invalid_json",
      () => parseU64(body.superblock_number, "superblock_number"),
    );
    const start = read(
      "invalid_l2_start_block",
      () => parseU64(body.l2_start_block, "l2_start_block"),
    );
    if (start > lastBlock) {
      throw new Refusal("invalid_l2_start_block", `${start} is above l2BlockNumber ${lastBlock}`);
    }
    if ((body.agg_vk ?? undefined) === undefined) {
      throw new Refusal("missing_agg_vk", "there is no agg_vk");
    }
    if (!requiredChainIds.includes(chainId)) {
      const why = `chain ${chainId} is none of those that take part: ${
        requiredChainIds.join(", ")
      }`;
      throw new Refusal("submit_failed", why);
    }
    const collected = this.#collected.get(hash) ?? { number, received: new Map() };
    if (collected.number !== number) {
      const why = `${hash} was handed in as superblock ${collected.number}, not ${number}`;
      throw new Refusal("submit_failed", why);
    }
    // The first counts: another time the same is taken, and changes nothing.
    if (collected.received.has(chainId)) return;
    collected.received.set(chainId, new Date(clock.now()).toISOString());
    this.#collected.set(hash, collected);
    for (const old of this.#collected.keys()) {
      if (this.#collected.size <= KEPT_SUPERBLOCKS) break;
      this.#collected.delete(old);
    }
    onAccepted?.(number, chainId, (body.proof ?? undefined) !== undefined);
  }

  #status(hash: string): ApiResponse {
    const collected = this.#collected.get(hash);
    if (!collected) return this.#refusal(404, "not_found", `nothing was handed in for ${hash}`);
    const { number, received } = collected;
    const chains = [...this.#parts.requiredChainIds].sort((one, other) => one < other ? -1 : 1);
    const state = chains.every((chain) => received.has(chain)) ? "queued" : "collecting";
    const there = chains.filter((chain) => received.has(chain));
    return {
      status: 200,
      body: {
        superblock_hash: hash,
        superblock_number: Number(number),
        required_chain_ids: chains.map(Number),
        received: Object.fromEntries(there.map((chain) => [`${chain}`, received.get(chain)])),
        state,
        job_id: "",
        stand_in: true,
      },
    };
  }

  #refusal(status: number, code: RefusalCode, message: string): ApiResponse {
    const timestamp = new Date(this.#parts.clock.now()).toISOString();
    const error = { code, message, request_id: crypto.randomUUID(), timestamp };
    return { status, body: { error } };
  }
}

/** Of outputs that are whole, and of the same L1 head. */
function lastBlockOf(body: Fields, l1Head: string): bigint {
  const outputs = fieldsOf(body.aggregation_outputs, "aggregation_outputs");
  const own = toHex(bytesOf(outputs.l1Head, "l1Head", 32));
  if (own !== l1Head) {
    throw new Refusal("invalid_aggregation_outputs", `l1Head is ${own}, l1_head ${l1Head}`);
  }
  for (const field of HASHES) bytesOf(outputs[field], field, 32);
  bytesOf(outputs.proverAddress, "proverAddress", 20);
  return parseU64(outputs.l2BlockNumber, "l2BlockNumber");
}
