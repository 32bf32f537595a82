/**
 * The execute prover: superblock-prover's API over plain checks of the settlement rules, beside op-succinct's
 * in `range_prover_api.ts`. It proves nothing, and says so.
 *
 * | request           |                                                                                   |
 * | ----------------- | --------------------------------------------------------------------------------- |
 * | `GET /health`     | `{"status":"healthy","timestamp"}`                                                |
 * | `POST /proof`     | `{"prev_superblock","new_superblock","input","proof_type":"execute"}` →           |
 * |                   | `{"success","message","request_id","error"}`                                      |
 * | `GET /proof/{id}` | `{"success","status","result","error"}`; the result has no proof, and             |
 * |                   | `execution_check` with the rules that were run and the hash that came out         |
 *
 * Jobs are in memory, as those of superblock-prover are: an id from before a start is unknown.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { describeError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { brokenRule, SETTLEMENT_RULES } from "../provers/settlement.ts";
import { hashOf } from "../provers/superblock_hash.ts";
import { type Transition, transitionOf } from "../provers/superblock_json.ts";
import { shown, toHex } from "../wire/hex.ts";
import { type Address, listen, type Listening } from "./http_server.ts";
import type { ApiRequest, ApiResponse } from "./api.ts";
import { StandInPublisherApi, type StandInPublisherParts } from "./publisher_api.ts";
import { type CheckedRanges, RangeProverApi } from "./range_prover_api.ts";

/** Jobs that are remembered. */
const KEPT_JOBS = 1024;
const MAX_BODY_BYTES = 64 * 2 ** 20;

interface ExecutedJob {
  status: "pending" | "completed" | "failed";
  result: object | null;
  error: string | null;
}

/** What it is made of. */
export interface ExecuteProverParts {
  readonly clock: Clock;
  /** Checks ranges of blocks, for op-succinct's paths. */
  readonly ranges?: CheckedRanges;
  /** Stands in for the Shared Publisher too, for these chains. */
  readonly publisher?: Omit<StandInPublisherParts, "clock">;
  /** Told what came of each request. */
  readonly onChecked?: (superblock: bigint, broken: string | undefined) => void;
  /** Told what came of each range and aggregation: the reason, where it cannot be checked. */
  readonly onRangeChecked?: (what: string, failure: string | undefined) => void;
  /** Told once of each of them that waits until the nodes of L2 answer. */
  readonly onRangeAway?: (what: string, reason: string) => void;
}

/**
 * Serves the execute prover.
 *
 * @example
 * ```ts
 * import { serveExecuteProver, systemClock as clock } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { SuperblockProver } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const server = await serveExecuteProver({ clock }, { host: "127.0.0.1", port: 0 });
 * const prover = new SuperblockProver({ url: server.name, clock, proofType: "execute" });
 * const zeros = new Uint8Array(32);
 * const previous = await prover.seal(
 *   { number: 1n, slot: 639n, timestamp: 7680n, parentHash: zeros },
 *   [],
 * );
 * const next = await prover.seal(
 *   { number: 2n, slot: 959n, timestamp: 11520n, parentHash: previous.hash },
 *   [],
 * );
 * const id = await prover.request({ previous, next, chainId: 1001n, aggregationVKey: {} });
 * let status = await prover.status(id);
 * while (status.state === "pending") status = await prover.status(id);
 * if (status.state !== "proved" || !status.isExecutionCheck) throw new Error("it breaks a rule");
 * await server.close();
 * ```
 *
 * @throws {ConfigError} `Invalid` when that cannot be
 */
export async function serveExecuteProver(
  parts: ExecuteProverParts,
  address: Address,
): Promise<Listening> {
  const { clock, ranges, publisher, onRangeChecked = () => {}, onRangeAway = () => {} } = parts;
  const prover = new ExecuteProver(parts);
  const rangeProver = new RangeProverApi({
    clock,
    ranges,
    onChecked: onRangeChecked,
    onAway: onRangeAway,
  });
  const standIn = publisher && new StandInPublisherApi({ clock, ...publisher });
  const server = await listen(address, async (request) => {
    if (request.origin !== undefined) return plain(403, "programs only");
    return await prover.answer(request) ?? await rangeProver.answer(request) ??
      await standIn?.answer(request) ?? plain(404, NO_SUCH_PATH);
  });
  return {
    name: server.name,
    async close() {
      await server.close();
      await rangeProver.close();
    },
  };
}

const NO_SUCH_PATH =
  "there are GET /health, POST /proof, GET /proof/ID, POST /request_span_proof, " +
  "POST /request_agg_proof, GET /status/ID, and with a stand-in for the publisher " +
  "POST /v1/proofs/op-succinct and GET /v1/proofs/status/HASH";

class ExecuteProver {
  readonly #parts: ExecuteProverParts;
  readonly #jobs = new Map<string, ExecutedJob>();

  constructor(parts: ExecuteProverParts) {
    this.#parts = parts;
  }

  /** `undefined` for what is not its path. */
  async answer(request: ApiRequest): Promise<ApiResponse | undefined> {
    const { url: { pathname }, method } = request;
    if (pathname === "/health" && method === "GET") {
      const timestamp = Math.floor(this.#parts.clock.now() / 1000);
      return { status: 200, body: { status: "healthy", timestamp } };
    }
    if (pathname === "/proof" && method === "POST") return await this.#submit(request);
    const id = /^\/proof\/([^/]+)$/.exec(pathname)?.[1];
    return id !== undefined && method === "GET" ? this.#status(id) : undefined;
  }

  async #submit({ body }: ApiRequest): Promise<ApiResponse> {
    const bytes = await body(MAX_BODY_BYTES);
    if (!bytes) return plain(413, `more than ${MAX_BODY_BYTES} bytes`);
    let json: { readonly proof_type?: unknown } | null;
    let transition: Transition;
    try {
      json = JSON.parse(Buffer.from(bytes).toString());
      transition = transitionOf(json);
    } catch (error) {
      return plain(422, describeError(error));
    }
    if (json?.proof_type !== "execute") {
      const error = `cannot make a proof of type ${shown(json?.proof_type)}: this is an execute ` +
        'prover, which checks the settlement rules and proves nothing; ask for "execute"';
      const message = "Proof request refused";
      return { status: 200, body: { success: false, message, request_id: null, error } };
    }
    const id = crypto.randomUUID();
    const job: ExecutedJob = { status: "pending", result: null, error: null };
    this.#jobs.set(id, job);
    for (const old of this.#jobs.keys()) {
      if (this.#jobs.size <= KEPT_JOBS) break;
      this.#jobs.delete(old);
    }
    void this.#execute(job, transition);
    const message = "Proof request submitted: an execution check, no proof";
    return { status: 200, body: { success: true, message, request_id: id, error: null } };
  }

  async #execute(job: ExecutedJob, transition: Transition): Promise<void> {
    const startMs = this.#parts.clock.now();
    const broken = await brokenRule(transition).catch(describeError);
    if (broken !== undefined) job.error = `execution check failed, ${broken}`;
    else {
      job.result = {
        proof: null,
        proving_time_ms: this.#parts.clock.now() - startMs,
        cycles: null,
        execution_check: {
          rules: SETTLEMENT_RULES,
          superblock_hash: toHex(await hashOf(transition.next)),
        },
      };
    }
    job.status = broken === undefined ? "completed" : "failed";
    this.#parts.onChecked?.(transition.next.number, broken);
  }

  #status(id: string): ApiResponse {
    const job = this.#jobs.get(id);
    if (job) return { status: 200, body: { success: true, ...job } };
    const error = "Request not found";
    return { status: 200, body: { success: false, status: "failed", result: null, error } };
  }
}

function plain(status: number, error: string): ApiResponse {
  return { status, body: { error } };
}
