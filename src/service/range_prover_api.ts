/**
 * op-succinct's API over execution checks: ranges of blocks are read and held against their hashes, and
 * aggregations against what they aggregate. Nothing is proved: what stands in the place of a proof is a
 * report of what was checked, and says so.
 *
 * | request                    |                                                                          |
 * | -------------------------- | ------------------------------------------------------------------------ |
 * | `POST /request_span_proof` | `{"start","end"}` → `{"proof_id":[bytes]}`                               |
 * | `POST /request_agg_proof`  | `{"subproofs":[base64],"head":"0x…"}` → `{"proof_id":[bytes]}`           |
 * | `GET /status/{hex id}`     | `{"fulfillment_status","execution_status","proof":[bytes]}`, and beside  |
 * |                            | them `execution_check`, or `error`                                       |
 *
 * | fulfillment | execution |                                                |
 * | ----------: | --------: | ---------------------------------------------- |
 * |           2 |         1 | under way: one after the other; also while the |
 * |             |           | nodes do not answer                            |
 * |           3 |         1 | checked; nothing was executed                  |
 * |           4 |         1 | it cannot be checked (now); `error` tells why  |
 *
 * Execution status 3, unexecutable, it never says: it executes no block.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { CodecError, describeError, RpcError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import {
  aggregated,
  type CheckReport,
  reportBytes,
  reportJson,
  reportOf,
} from "../provers/execution_check.ts";
import { bytesOf, fieldsOf } from "../provers/json.ts";
import type { RangeWork } from "../proving.ts";
import { parseU64, toHex } from "../wire/hex.ts";
import type { ApiRequest, ApiResponse } from "./api.ts";

/** Jobs that are remembered. */
const KEPT_JOBS = 1024;
/** A day of blocks a second apart. */
const MAX_RANGE_BLOCKS = 86_400n;
const MAX_BODY_BYTES = 64 * 2 ** 20;

/** Between two tries, where the nodes do not answer. */
const AWAY_MS = 1000;
const AWAY: readonly unknown[] = ["Unreachable", "Timeout", "Busy"];

const ASSIGNED = 2;
const FULFILLED = 3;
const UNFULFILLABLE = 4;
const UNEXECUTED = 1;

/** Checks ranges of blocks: a `RangeChecker`. */
export interface CheckedRanges {
  check(range: Pick<RangeWork, "start" | "end">, signal?: AbortSignal): Promise<CheckReport>;
}

/** What it is made of. */
export interface RangeProverParts {
  readonly clock: Clock;
  /** Without one, ranges are refused: a start and an end alone tell nothing. */
  readonly ranges: CheckedRanges | undefined;
  /** Told what came of each request: the reason, where it cannot be checked. */
  readonly onChecked: (what: string, failure: string | undefined) => void;
  /** Told once of each request that waits until the nodes answer. */
  readonly onAway: (what: string, reason: string) => void;
}

interface CheckedJob {
  report?: CheckReport;
  failure?: string;
}

/** Answers op-succinct's paths. */
export class RangeProverApi {
  readonly #parts: RangeProverParts;
  readonly #jobs = new Map<string, CheckedJob>();
  readonly #end = new AbortController();
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: RangeProverParts) {
    this.#parts = parts;
  }

  /** `undefined` for what is not its path. */
  async answer(request: ApiRequest): Promise<ApiResponse | undefined> {
    const { url: { pathname }, method } = request;
    const id = /^\/status\/([\da-f]+)$/.exec(pathname)?.[1];
    if (id !== undefined && method === "GET") return this.#status(id);
    const submit = { "/request_span_proof": this.#range, "/request_agg_proof": this.#aggregation };
    if (!Object.hasOwn(submit, pathname) || method !== "POST") return undefined;
    const bytes = await request.body(MAX_BODY_BYTES);
    if (!bytes) return plain(413, `more than ${MAX_BODY_BYTES} bytes`);
    try {
      const json = JSON.parse(Buffer.from(bytes).toString());
      const action = submit[pathname as keyof typeof submit].call(this, json);
      return { status: 200, body: { proof_id: [...this.#start(action)] } };
    } catch (error) {
      return plain(422, describeError(error));
    }
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#last;
  }

  #range(json: unknown): Action {
    const { ranges } = this.#parts;
    const fields = fieldsOf(json, "the request");
    const [start, end] = [parseU64(fields.start, "start"), parseU64(fields.end, "end")];
    if (start >= end || end - start > MAX_RANGE_BLOCKS) {
      const why = `need a range of 1 to ${MAX_RANGE_BLOCKS} blocks, have ${start} to ${end}`;
      throw new CodecError("InvalidHeader", `Cannot check it: ${why}`);
    }
    if (!ranges) {
      throw new CodecError(
        "InvalidHeader",
        "Cannot check a range: this execute prover was started without --l2, and knows no blocks",
      );
    }
    return {
      what: `range of blocks ${start + 1n} to ${end}`,
      run: (signal) => ranges.check({ start, end }, signal),
    };
  }

  #aggregation(json: unknown): Action {
    const { subproofs, head } = fieldsOf(json, "the request");
    const l1Head = bytesOf(head, "head", 32);
    if (!Array.isArray(subproofs)) throw new CodecError("InvalidHeader", "Cannot read subproofs");
    const reports = subproofs.map((each, at) => reportOf(bytesOf(each, `subproofs[${at}]`)));
    return {
      what: `aggregation of ${reports.length} ranges`,
      run: () => Promise.resolve().then(() => aggregated(reports, l1Head)),
    };
  }

  #start({ what, run }: Action): Uint8Array {
    const id = crypto.getRandomValues(new Uint8Array(32));
    const job: CheckedJob = {};
    this.#jobs.set(toHex(id).slice(2), job);
    for (const old of this.#jobs.keys()) {
      if (this.#jobs.size <= KEPT_JOBS) break;
      this.#jobs.delete(old);
    }
    const { signal } = this.#end;
    this.#last = this.#last.then(async () => {
      try {
        signal.throwIfAborted();
        job.report = await this.#whereNodesAnswer(what, run, signal);
      } catch (error) {
        job.failure = describeError(error);
      }
      if (!signal.aborted) this.#parts.onChecked(what, job.failure);
    });
    return id;
  }

  /** A pipeline that is told of a failure splits the range, which helps nobody while the nodes are away. */
  async #whereNodesAnswer(
    what: string,
    run: Action["run"],
    signal: AbortSignal,
  ): Promise<CheckReport> {
    for (let tries = 1;; tries++) {
      try {
        return await run(signal);
      } catch (error) {
        if (!(error instanceof RpcError && AWAY.includes(error.code))) throw error;
        if (tries === 1) this.#parts.onAway(what, describeError(error));
      }
      await this.#parts.clock.sleep(AWAY_MS, signal);
      signal.throwIfAborted();
    }
  }

  #status(id: string): ApiResponse {
    const job = this.#jobs.get(id);
    if (!job) return plain(404, "unknown id");
    const { report, failure } = job;
    const fulfillment_status = report
      ? FULFILLED
      : failure === undefined
      ? ASSIGNED
      : UNFULFILLABLE;
    const status = { fulfillment_status, execution_status: UNEXECUTED };
    if (!report) {
      return { status: 200, body: { ...status, proof: [], ...(failure && { error: failure }) } };
    }
    const proof = [...reportBytes(report)];
    return { status: 200, body: { ...status, proof, execution_check: reportJson(report) } };
  }
}

/** What is done for a request. */
interface Action {
  readonly what: string;
  readonly run: (signal: AbortSignal) => Promise<CheckReport>;
}

function plain(status: number, error: string): ApiResponse {
  return { status, body: { error } };
}
