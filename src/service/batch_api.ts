/**
 * Synchronized batches over HTTP, on a port or a unix socket.
 *
 * | request                           |                                                                 |
 * | --------------------------------- | --------------------------------------------------------------- |
 * | `GET /v1/batch/current`           | the window that is open, and the batch that collects            |
 * | `GET /v1/batch/stats`             | the seed's statistics of integration, manager and pipeline      |
 * | `GET /v1/batch/epoch`             | where L1 is                                                     |
 * | `GET /v1/batch/jobs`              | proof jobs, the oldest batch first                              |
 * | `GET /v1/batch/jobs/ID`           | one of them                                                     |
 * | `POST /v1/batch/jobs/ID/retry`    | takes up one that failed or was cancelled; where it may         |
 * | `POST /v1/batch/jobs/ID/cancel`   | ends one; where it may                                          |
 * | `POST /v1/batch/finalize/BATCH`   | ends one whose window is over without the blocks that it waits for |
 * | `POST /v1/batch/blocks`           | a block, or a list of them, as a sequencer produced them        |
 * | `GET /livez`                      | 200 while the process answers                                   |
 * | `GET /readyz`                     | 200, or 503 with what is wrong                                  |
 * | `GET /metrics`                    | for Prometheus                                                  |
 *
 * A block is `{"block_number","block_hash","tx_count"}` with `slot_number` or `timestamp`, or both, and
 * perhaps `parent_hash` and `included_xtxs`. Blocks are answered when they are in the log, each with what
 * became of it: `{"blocks":[{"block_number":7,"outcome":"added"}]}`, or `known`, `replaced`, `refused` with
 * its error. Where one was refused, the status is that of the first such error, which stands beside the list.
 * Blocks may be sent again: those that are there are `known`.
 *
 * Without batches all of `/v1/batch` is answered 503 `batch_disabled`. Jobs are retried and cancelled, and
 * batches ended, on a socket and on this machine's own addresses only, unless that is allowed.
 *
 * @module
 */
import { describeError, MontanaError } from "../errors.ts";
import type { ProofJob } from "../proving.ts";
import { shown } from "../wire/hex.ts";
import {
  type ApiRequest,
  type ApiResponse,
  found,
  mustBeProgram,
  Refusal,
  refused,
  wrongMethod,
} from "./api.ts";
import {
  batchJson,
  type BlockReportJson,
  blocksOf,
  epochJson,
  jobJson,
  number,
  numbersIn,
  windowJson,
} from "./batch_json.ts";
import type { BatchApiParts, ServedBatches, ServedJobs, ServedSequencer } from "./batch_parts.ts";
import { parseBoundedJson } from "./bounded_json.ts";
import { HealthApi, type ReadyCheck } from "./health.ts";
import { type Address, listen, type Listening } from "./http_server.ts";

const MAX_BODY_BYTES = 4 * 2 ** 20;
const MAX_BLOCKS = 1000;

/** Which status says what of our errors. What is not here is 500. */
const STATUS: Readonly<Record<string, number>> = {
  WrongSlot: 422,
  TooEarly: 409,
  TooLate: 410,
  Conflict: 409,
  NotFound: 404,
  NotAllowed: 409,
  WindowOpen: 409,
  WrongState: 409,
  Unknown: 404,
  NoSpace: 507,
  Closed: 503,
};

const GETS = ["current", "stats", "epoch", "jobs"] as const;
const THERE = `there are GET /v1/batch/{${GETS.join(",")}}, GET /v1/batch/jobs/ID, POST ` +
  "/v1/batch/jobs/ID/{retry,cancel}, POST /v1/batch/finalize/BATCH, POST /v1/batch/blocks, GET /livez, /readyz and /metrics";

/**
 * Answers requests for synchronized batches.
 *
 * @example
 * ```ts
 * import { BatchApi, systemClock as clock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const api = new BatchApi({ clock }); // With `batches`, where there are any.
 * const { status, body } = await api.answer({
 *   method: "GET",
 *   url: URL.parse("http://localhost/v1/batch/current")!,
 *   contentType: undefined,
 *   body: () => Promise.resolve(new Uint8Array()),
 * });
 * if (status !== 503) throw new Error("there are no batches");
 * if (!JSON.stringify(body).includes("batch_disabled")) throw new Error("it does not say why");
 * ```
 */
export class BatchApi {
  readonly #parts: BatchApiParts;
  readonly #health: HealthApi;

  constructor(parts: BatchApiParts) {
    this.#parts = parts;
    this.#health = new HealthApi({ ...parts, checks: () => readyChecks(parts) });
  }

  /** Answers a request; it does not throw. */
  async answer(request: ApiRequest): Promise<ApiResponse> {
    try {
      return await this.#answer(request);
    } catch (error) {
      return failed(error);
    }
  }

  async #answer(request: ApiRequest): Promise<ApiResponse> {
    const { pathname } = request.url;
    mustBeProgram(request);
    const health = await this.#health.answer(request);
    if (health) return health;
    const [, name, id, action] =
      /^\/v1\/batch\/(\w+)(?:\/([\w-]{1,100})(?:\/(retry|cancel))?)?$/.exec(pathname) ?? [];
    const isFinalize = name === "finalize" && /^\d{1,20}$/.test(id ?? "") && !action;
    const isThere = id === undefined
      ? [...GETS, "blocks"].includes(name ?? "")
      : name === "jobs" || isFinalize;
    if (!isThere) {
      throw new Refusal(404, "NotFound", `Cannot find ${pathname.slice(0, 100)}: ${THERE}`);
    }
    const isChange = name === "blocks" || isFinalize || action !== undefined;
    const wrong = wrongMethod(request, isChange ? "POST" : "GET");
    if (wrong) return wrong;
    const { batches } = this.#parts;
    if (!batches?.sequencer.status.isActive) {
      const message = "Cannot tell of batches: synchronized batch proving is not enabled here";
      return refused(503, "batch_disabled", message);
    }
    if (isFinalize) return await this.#finalize(batches.sequencer, BigInt(id!));
    if (action) return await this.#control(batches, id!, action as "retry" | "cancel");
    if (id !== undefined) return found(await this.#job(batches.queue, id));
    switch (name as typeof GETS[number] | "blocks") {
      case "current":
        return found(current(batches.sequencer));
      case "stats":
        return found(await stats(batches));
      case "epoch":
        return found(epochJson(batches.sequencer.status.l1));
      case "jobs":
        return found(await this.#jobs(batches));
      case "blocks":
        return await takeBlocks(batches.sequencer, request);
    }
  }

  async #jobs({ queue, pipeline }: ServedBatches): Promise<object> {
    const jobs = await queue.list();
    return { ...await pipeline.stats(), jobs: jobs.map((job) => this.#shown(queue, job)) };
  }

  async #job(queue: ServedJobs, id: string): Promise<object> {
    const job = await queue.get(id);
    if (job) return this.#shown(queue, job);
    const message = `Cannot find job ${id}: a job is named CHAIN-BATCH; GET /v1/batch/jobs has all`;
    throw new Refusal(404, "NotFound", message);
  }

  #shown(queue: ServedJobs, job: ProofJob): object {
    return jobJson(job, this.#parts.clock.now(), queue.claimedBy?.(job.id));
  }

  async #control(
    { pipeline, queue }: ServedBatches,
    id: string,
    action: "retry" | "cancel",
  ): Promise<ApiResponse> {
    this.#mustBeControl(`${action} job ${id}`);
    const job = action === "retry" ? await pipeline.requeue(id) : await pipeline.cancel(id);
    return found(this.#shown(queue, job));
  }

  async #finalize(sequencer: ServedSequencer, batchNumber: bigint): Promise<ApiResponse> {
    this.#mustBeControl(`end batch ${batchNumber}`);
    await sequencer.forceFinalize(batchNumber);
    return found({ batch_number: number(batchNumber), outcome: "finalized" });
  }

  #mustBeControl(what: string): void {
    if (this.#parts.isControl) return;
    const message =
      `Cannot ${what} from here: that is done on the machine itself, over 127.0.0.1 ` +
      "or the control socket in the data directory";
    throw new Refusal(403, "Forbidden", message);
  }
}

/**
 * Serves synchronized batches.
 *
 * @param stalledMs how long a client may send or read nothing: 30 s otherwise
 * @throws {ConfigError} `Invalid` when it cannot listen there
 *
 * @example
 * ```ts
 * import { serveBatches, systemClock as clock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const server = await serveBatches({ clock }, { host: "127.0.0.1", port: 0 });
 * const response = await fetch(`${server.name}/livez`);
 * const { status } = await response.json();
 * if (status !== "ok") throw new Error("it does not live");
 * await server.close();
 * ```
 */
export function serveBatches(
  parts: BatchApiParts,
  address: Address,
  stalledMs?: number,
): Promise<Listening> {
  const api = new BatchApi({ isControl: isOwn(address), ...parts });
  return listen(address, (request) => api.answer(request), stalledMs);
}

/** Whether only this machine reaches it. */
function isOwn(address: Address): boolean {
  return "path" in address || /^(127\.[\d.]+|::1|localhost)$/.test(address.host);
}

function current(sequencer: ServedSequencer): object {
  const { window, batch } = sequencer.status;
  return {
    is_collecting: sequencer.isInBatchCollectionPeriod(),
    window: windowJson(window),
    batch: batch ? batchJson(batch) : null,
  };
}

async function stats(
  { sequencer, pipeline }: ServedBatches,
): Promise<object> {
  const { lastProcessedSlot, isActive, stats } = sequencer.status;
  return {
    last_processed_slot: lastProcessedSlot === undefined ? null : number(lastProcessedSlot),
    integration_active: isActive,
    batch_manager: numbersIn(stats),
    pipeline: numbersIn(await pipeline.stats()),
  };
}

/** Of the batches, and of whoever serves them. */
export function readyChecks({ batches, checks }: BatchApiParts): readonly ReadyCheck[] {
  return [
    ...(batches?.sequencer.status.isActive ? checksOf(batches.sequencer) : []),
    ...checks?.() ?? [],
  ];
}

/** Whether the clock of L1 is seen, blocks of now have a batch, and the log takes them. */
function checksOf(sequencer: ServedSequencer): ReadyCheck[] {
  const { l1, window: { batchNumber }, logError } = sequencer.status;
  const check = (name: string, ok: boolean, reason: string): ReadyCheck =>
    ok ? { name, ok } : { name, ok, reason };
  return [
    check("l1", l1.source !== undefined, "no source of L1's epochs answers"),
    check(
      "batch",
      sequencer.isInBatchCollectionPeriod(),
      `batch ${batchNumber}, whose window is open, does not collect blocks: its trigger was not ` +
        "delivered, or it was ended",
    ),
    check("log", logError === undefined, logError === undefined ? "" : describeError(logError)),
  ];
}

/** One after the other: a block is held against those before it. */
async function takeBlocks(sequencer: ServedSequencer, request: ApiRequest): Promise<ApiResponse> {
  const blocks = await blocksIn(request);
  const outcomes: object[] = [];
  let first: ApiResponse | undefined;
  for (const block of blocks) {
    const told = { block_number: number(block.number) };
    const outcome = await sequencer.reportBlock(block).catch(failed);
    if (outcome === "off") {
      const message = "Cannot take blocks: block_reporting is off here";
      throw new Refusal(503, "reporting_disabled", message);
    }
    if (typeof outcome === "string") outcomes.push({ ...told, outcome });
    else outcomes.push({ ...told, outcome: "refused", ...outcome.body });
    if (typeof outcome !== "string") first ??= outcome;
  }
  const body = { ...first?.body, blocks: outcomes };
  return { ...first, status: first?.status ?? 200, body };
}

async function blocksIn({ body, contentType }: ApiRequest): Promise<BlockReportJson[]> {
  const type = (contentType ?? "").split(";")[0]!.trim().toLowerCase();
  // What curl says of --data.
  if (!["", "application/json", "application/x-www-form-urlencoded"].includes(type)) {
    const message = `Cannot take ${shown(type)}: need application/json, a block or a list of them`;
    throw new Refusal(415, "UnsupportedType", message);
  }
  const bytes = await body(MAX_BODY_BYTES);
  if (!bytes) {
    const message = `Cannot take more than ${MAX_BODY_BYTES} bytes in one request`;
    throw new Refusal(413, "TooLarge", message);
  }
  let blocks: BlockReportJson[];
  try {
    blocks = blocksOf(parseBoundedJson(bytes));
  } catch (error) {
    throw new Refusal(400, "Invalid", `Cannot read the blocks: ${describeError(error)}`);
  }
  if (blocks.length > 0 && blocks.length <= MAX_BLOCKS) return blocks;
  const message = `Cannot take ${blocks.length} blocks in one request: need 1 to ${MAX_BLOCKS}`;
  throw new Refusal(blocks.length === 0 ? 400 : 413, "TooMany", message);
}

function failed(error: unknown): ApiResponse {
  if (error instanceof Refusal) return refused(error.status, error.code, error.message);
  if (!(error instanceof MontanaError)) return refused(500, "Failed", describeError(error));
  const response = refused(STATUS[error.code] ?? 500, error.code, error.message, error.kind);
  // A second is a guess; whoever asks again at once is no help.
  return error.kind === "temporary" ? { ...response, headers: { "retry-after": "1" } } : response;
}
