/**
 * The Shared Publisher's collector of proofs:
 *
 * | request                       |                                                                       |
 * | ----------------------------- | --------------------------------------------------------------------- |
 * | `POST /v1/proofs/op-succinct` | the proof of one chain → 202                                          |
 * | `GET /v1/proofs/status/0x…`   | what it has for a superblock: `received` by chain; 404 where nothing  |
 *
 * @module
 */
import type { AggregationOutputs, ProofSubmission, Publisher } from "../proving.ts";
import { toHex } from "../wire/hex.ts";
import { ProverHttp, type ProverHttpOptions } from "./http.ts";
import { fieldsOf, jsonNumber } from "./json.ts";

/** The publisher's `chain_id` has 32 bits. */
const MAX_CHAIN_ID = 2n ** 32n - 1n;

/**
 * A Shared Publisher over HTTP.
 *
 * @example
 * ```ts
 * import { SharedPublisher, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const publisher = new SharedPublisher({ url: "http://127.0.0.1:1/", clock: systemClock });
 * const error = await publisher.hasReceived(new Uint8Array(32), 1001n).catch((error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * ```
 */
export class SharedPublisher implements Publisher {
  readonly #http: ProverHttp;

  /** @throws {ConfigError} `Invalid` where the URL is none */
  constructor(options: ProverHttpOptions) {
    this.#http = new ProverHttp(options);
  }

  async submit(submission: ProofSubmission, signal?: AbortSignal): Promise<void> {
    const path = "/v1/proofs/op-succinct";
    const { superblockNumber, superblockHash, chainId, outputs, startBlock } = submission;
    if (chainId > MAX_CHAIN_ID) {
      const why = `its chain_id has 32 bits, ${chainId} has more`;
      throw this.#http.error("Refused", path, why);
    }
    await this.#http.post(path, {
      superblock_number: jsonNumber(superblockNumber, "superblock_number"),
      superblock_hash: toHex(superblockHash),
      chain_id: Number(chainId),
      l1_head: toHex(outputs.l1Head),
      aggregation_outputs: outputsJson(outputs),
      l2_start_block: jsonNumber(startBlock, "l2_start_block"),
      agg_vk: submission.aggregationVKey,
      // Its `proof` may be missing: what proves nothing is not handed in as a proof.
      ...(submission.isExecutionCheck ? {} : { proof: toHex(submission.proof) }),
    }, signal);
  }

  async hasReceived(
    superblockHash: Uint8Array,
    chainId: bigint,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const path = `/v1/proofs/status/${toHex(superblockHash)}`;
    const { status, json } = await this.#http.get(path, signal);
    if (status === 404) return false;
    return this.#http.read(path, () => {
      const received = fieldsOf(fieldsOf(json, "the answer").received, "received");
      return Object.hasOwn(received, `${chainId}`);
    });
  }
}

/** As op-succinct has them. */
export function outputsJson(outputs: AggregationOutputs): object {
  const { l2BlockNumber, mailboxRoot } = outputs;
  return {
    l1Head: toHex(outputs.l1Head),
    l2PreRoot: toHex(outputs.l2PreRoot),
    l2PostRoot: toHex(outputs.l2PostRoot),
    l2BlockNumber: jsonNumber(l2BlockNumber, "l2BlockNumber"),
    rollupConfigHash: toHex(outputs.rollupConfigHash),
    ...(mailboxRoot && { mailboxRoot: toHex(mailboxRoot) }),
    multiBlockVKey: toHex(outputs.multiBlockVKey),
    proverAddress: toHex(outputs.proverAddress),
  };
}
