/**
 * Many requests at once (JSON-RPC 2.0, "Batch"), as many as a node takes. What it leaves out of an answer
 * is asked again without the rest; where it takes no batch, each is asked alone.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { JsonRpc, RpcCall, RpcOutcome } from "../ethereum.ts";

/** How a node is asked. */
export interface RpcBatchParts {
  /** @throws {RpcError} */
  one(call: RpcCall): Promise<unknown>;
  /**
   * What was answered to each, `undefined` where nothing was.
   *
   * @throws {RpcError} where there is no answer to any
   */
  many(calls: readonly RpcCall[]): Promise<readonly (RpcOutcome | undefined)[]>;
}

/** What nodes and providers allow at least; geth allows ten times as much. */
const MAX_REQUESTS = 100;
/** So many in a row that went well, before more is tried. */
const SUCCESSES_TO_GROW = 32;
/** Asked at the same time, of a node that knows of no batches at all. */
const AT_ONCE = 8;

/** In an error about one request that is about all of them: geth and providers answer so in part. */
const OF_THE_BATCH = /batch|response (?:size )?(?:is )?too (?:large|big)|response size/i;

/** Asks in batches whose size the node teaches. */
export class RpcBatches {
  readonly #parts: RpcBatchParts;
  #size = MAX_REQUESTS;
  #successes = 0;

  constructor(parts: RpcBatchParts) {
    this.#parts = parts;
  }

  /** Requests in the next batch, at most. */
  get size(): number {
    return this.#size;
  }

  /** What came of each, in the order of the calls. */
  async ask(calls: readonly RpcCall[]): Promise<readonly RpcOutcome[]> {
    const outcomes = new Array<RpcOutcome>(calls.length);
    let open = [...calls.keys()];
    while (open.length > 0) {
      const turn = open.slice(0, this.#size);
      const answers = await this.#turn(turn.map((at) => calls[at]!));
      if (answers instanceof RpcError) {
        // It is down, or busy: that is true of what would follow, too.
        for (const at of open) outcomes[at] = { error: answers };
        break;
      }
      for (const [index, at] of turn.entries()) {
        if (answers[index]) outcomes[at] = answers[index];
      }
      const left = turn.filter((_, index) => !answers[index]);
      if (left.length === turn.length) this.#shrink(turn.length);
      else if (left.length === 0) this.#grow(turn.length);
      open = [...left, ...open.slice(turn.length)];
    }
    return outcomes;
  }

  /** What is to be asked again is `undefined`; an error is one that ends it all. */
  async #turn(calls: readonly RpcCall[]): Promise<readonly (RpcOutcome | undefined)[] | RpcError> {
    const [only] = calls;
    try {
      if (calls.length === 1) return [{ result: await this.#parts.one(only!) }];
      const answers = await this.#parts.many(calls);
      return answers.map((each) => each && isOfTheBatch(each) ? undefined : each);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      if (calls.length === 1) return error.code === "Answered" ? [{ error }] : error;
      if (error.code !== "Unreachable") this.#shrink(calls.length);
      const isAboutSize = ["Answered", "Refused", "Invalid"].includes(error.code);
      return isAboutSize ? calls.map(() => undefined) : error;
    }
  }

  #shrink(requests: number): void {
    this.#size = Math.max(1, Math.min(this.#size, Math.floor(requests / 2)));
    this.#successes = 0;
  }

  /** A limit may have been of a proxy that is gone by now. */
  #grow(requests: number): void {
    if (requests < this.#size || this.#size === MAX_REQUESTS) return;
    this.#successes += 1;
    if (this.#successes < SUCCESSES_TO_GROW) return;
    this.#size = Math.min(MAX_REQUESTS, 2 * this.#size);
    this.#successes = 0;
  }
}

/**
 * Asks any node several things: as it offers it, or some at a time.
 *
 * @returns what came of each, in the order of the calls
 */
export async function requestAll(
  rpc: JsonRpc,
  calls: readonly RpcCall[],
): Promise<readonly RpcOutcome[]> {
  if (rpc.requestAll) return await rpc.requestAll(calls);
  const outcomes: RpcOutcome[] = [];
  for (let from = 0; from < calls.length; from += AT_ONCE) {
    const some = calls.slice(from, from + AT_ONCE).map(async ({ method, params }) => {
      try {
        return { result: await rpc.request(method, params) };
      } catch (error) {
        if (error instanceof RpcError) return { error };
        throw error;
      }
    });
    outcomes.push(...await Promise.all(some));
  }
  return outcomes;
}

/** Whether another node may do better: what a node answered stands. */
export function isFailure(error: unknown): boolean {
  return error instanceof RpcError && error.code !== "Answered";
}

/** Said of one request, in a batch that is too much as a whole; or of a limit on all of them. */
function isOfTheBatch(outcome: RpcOutcome): boolean {
  if (!("error" in outcome)) return false;
  return outcome.error.code !== "Answered" || OF_THE_BATCH.test(outcome.error.message);
}
