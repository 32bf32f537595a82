/**
 * The range and aggregation prover of op-succinct, as its HTTP server was up to v1.2.6
 * (`proposer/succinct/bin/server.rs`):
 *
 * | request                    |                                                                          |
 * | -------------------------- | ------------------------------------------------------------------------ |
 * | `POST /request_span_proof` | `{"start","end"}` → `{"proof_id":[bytes]}`                               |
 * | `POST /request_agg_proof`  | `{"subproofs":[base64],"head":"0x…"}` → `{"proof_id":[bytes]}`           |
 * | `GET /status/{hex id}`     | `{"fulfillment_status","execution_status","proof":[bytes]}`              |
 *
 * | fulfillment | execution | the proof is                                        |
 * | ----------: | --------: | --------------------------------------------------- |
 * |           3 |           | there                                               |
 * |             |         3 | impossible: the blocks cannot be executed           |
 * |           4 |           | given up                                            |
 * |           0 |         0 | unknown, as it is after a 404                       |
 * |        1, 2 |           | under way                                           |
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ProofStatus, Prover, RangeWork } from "../proving.ts";
import { shown, toHex } from "../wire/hex.ts";
import { ProverHttp, type ProverHttpOptions, said } from "./http.ts";
import { bytesOf, type Fields, fieldsOf, jsonNumber } from "./json.ts";

const FULFILLED = 3;
const UNFULFILLABLE = 4;
const UNEXECUTABLE = 3;

/** Where it is, and what is taken from it. */
export interface OpSuccinctOptions extends ProverHttpOptions {
  /** Takes reports of `montana prover`, which proves nothing; without it, they are refused. */
  readonly acceptsExecutionChecks?: boolean;
}

/**
 * op-succinct over HTTP, or `montana prover`, which speaks the same.
 *
 * @example
 * ```ts
 * import { OpSuccinctProver, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const prover = new OpSuccinctProver({ url: "http://127.0.0.1:1/", clock: systemClock });
 * const error = await prover.requestRange({ start: 0n, end: 10n }).catch((error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * ```
 */
export class OpSuccinctProver implements Prover {
  readonly #http: ProverHttp;
  readonly #acceptsExecutionChecks: boolean;

  /** @throws {ConfigError} `Invalid` where the URL is none */
  constructor({ acceptsExecutionChecks = false, ...options }: OpSuccinctOptions) {
    this.#http = new ProverHttp(options);
    this.#acceptsExecutionChecks = acceptsExecutionChecks;
  }

  async requestRange(
    { start, end }: Pick<RangeWork, "start" | "end">,
    signal?: AbortSignal,
  ): Promise<string> {
    const body = { start: jsonNumber(start, "start"), end: jsonNumber(end, "end") };
    return await this.#request("/request_span_proof", body, signal);
  }

  async requestAggregation(
    proofs: readonly Uint8Array[],
    l1Head: Uint8Array,
    signal?: AbortSignal,
  ): Promise<string> {
    const subproofs = proofs.map((proof) => Buffer.from(proof).toString("base64"));
    return await this.#request("/request_agg_proof", { subproofs, head: toHex(l1Head) }, signal);
  }

  async status(requestId: string, signal?: AbortSignal): Promise<ProofStatus> {
    const path = `/status/${requestId}`;
    const { status, json } = await this.#http.get(path, signal);
    if (status === 404) return { state: "unknown" };
    const answer = this.#fields(path, json);
    const { fulfillment_status, execution_status, proof, execution_check, error } = answer;
    const why = typeof error === "string" ? `: ${said(error)}` : "";
    if (execution_status === UNEXECUTABLE) {
      return { state: "unprovable", reason: `execution status 3, unexecutable${why}` };
    }
    if (fulfillment_status === UNFULFILLABLE) {
      return { state: "failed", reason: `fulfillment status 4, unfulfillable${why}` };
    }
    if (fulfillment_status === 1 || fulfillment_status === 2) return { state: "pending" };
    if (fulfillment_status === 0) return { state: "unknown" };
    if (fulfillment_status !== FULFILLED) {
      throw this.#http.error("Invalid", path, `fulfillment_status is ${shown(fulfillment_status)}`);
    }
    const proved = { state: "proved", proof: this.#bytes(path, proof, "proof") } as const;
    if (execution_check === undefined) return proved;
    if (this.#acceptsExecutionChecks) return { ...proved, isExecutionCheck: true };
    const refusal =
      "it answered with an execution check, and a proof was asked for. Name a prover, or " +
      "say that execution checks will do";
    throw this.#http.error("Refused", path, refusal);
  }

  async #request(path: string, body: object, signal?: AbortSignal): Promise<string> {
    const { proof_id } = this.#fields(path, await this.#http.post(path, body, signal));
    return toHex(this.#bytes(path, proof_id, "proof_id")).slice(2);
  }

  #fields(path: string, json: unknown): Fields {
    return this.#http.read(path, () => fieldsOf(json, "the answer"));
  }

  #bytes(path: string, value: unknown, field: string): Uint8Array {
    const bytes = this.#http.read(path, () => bytesOf(value, field));
    if (bytes.length > 0) return bytes;
    throw this.#http.error("Invalid", path, `${field} is empty`);
  }
}
