/**
 * superblock-prover over HTTP:
 *
 * | request           |                                                                                   |
 * | ----------------- | --------------------------------------------------------------------------------- |
 * | `POST /proof`     | `{"prev_superblock","new_superblock","input","proof_type"}` →                     |
 * |                   | `{"success","message","request_id","error"}`                                      |
 * | `GET /proof/{id}` | `{"success","status","result":{"proof","proving_time_ms","cycles"},"error"}`      |
 *
 * A status is `pending`, `running`, `completed` or `failed`. An id that it does not know is answered with
 * 200 and `"success":false`: its jobs are gone when it is started again.
 *
 * @module
 */
import type {
  NetworkProofInput,
  NetworkProver,
  ProofStatus,
  Superblock,
  SuperblockBlock,
  SuperblockHeader,
} from "../proving.ts";
import { shown } from "../wire/hex.ts";
import { ProverHttp, type ProverHttpOptions, said } from "./http.ts";
import { bytesOf, fieldsOf } from "./json.ts";
import { sealSuperblock } from "./superblock_hash.ts";
import { transitionJson } from "./superblock_json.ts";

/** Where it is, and what is asked of it. */
export interface SuperblockProverOptions extends ProverHttpOptions {
  /** `execute` proves nothing: the rules are run, and what comes back is marked so. `groth16` otherwise. */
  readonly proofType?: "execute" | "groth16";
}

/**
 * superblock-prover, or `montana prover`, which speaks the same.
 *
 * @example
 * ```ts
 * import { SuperblockProver, systemClock, toHex } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const prover = new SuperblockProver({ url: "http://127.0.0.1:1/", clock: systemClock });
 * const header = { number: 1n, slot: 320n, timestamp: 3840n, parentHash: new Uint8Array(32) };
 * const { merkleRoot } = await prover.seal(header, []);
 * if (toHex(merkleRoot) !== `0x${"00".repeat(32)}`) throw new Error("it has no blocks");
 * ```
 */
export class SuperblockProver implements NetworkProver {
  readonly #http: ProverHttp;
  readonly #proofType: "execute" | "groth16";

  /** @throws {ConfigError} `Invalid` where the URL is none */
  constructor({ proofType = "groth16", ...options }: SuperblockProverOptions) {
    this.#http = new ProverHttp(options);
    this.#proofType = proofType;
  }

  seal(header: SuperblockHeader, blocks: readonly SuperblockBlock[]): Promise<Superblock> {
    return sealSuperblock(header, blocks);
  }

  async request(input: NetworkProofInput, signal?: AbortSignal): Promise<string> {
    const path = "/proof";
    const body = { ...transitionJson(input), proof_type: this.#proofType };
    const json = await this.#http.post(path, body, signal);
    const { success, request_id, error } = this.#http.read(
      path,
      () => fieldsOf(json, "the answer"),
    );
    if (success !== true) throw this.#http.error("Failed", path, `it said: ${said(error)}`);
    if (typeof request_id === "string" && request_id !== "") return request_id;
    throw this.#http.error("Invalid", path, `request_id is ${shown(request_id)}`);
  }

  async status(requestId: string, signal?: AbortSignal): Promise<ProofStatus> {
    const path = `/proof/${encodeURIComponent(requestId)}`;
    const { status: code, json } = await this.#http.get(path, signal);
    if (code === 404) return { state: "unknown" };
    return this.#http.read(path, () => {
      const { success, status, result, error } = fieldsOf(json, "the answer");
      if (success === false) return { state: "unknown" };
      if (status === "pending" || status === "running") return { state: "pending" };
      if (status === "failed") return { state: "failed", reason: said(error) };
      if (status !== "completed") {
        throw this.#http.error("Invalid", path, `status is ${shown(status)}`);
      }
      const { proof } = fieldsOf(result, "result");
      if (proof !== null && proof !== undefined) {
        return { state: "proved", proof: bytesOf(proof, "proof") };
      }
      if (this.#proofType === "execute") {
        return { state: "proved", proof: new Uint8Array(), isExecutionCheck: true };
      }
      throw this.#http.error("Invalid", path, "it completed without a proof");
    });
  }
}
