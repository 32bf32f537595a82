/**
 * Nodes of L1 that a role waits for: one that starts while its node is down goes on once it answers, and
 * one that is to end by itself gives up after some tries.
 *
 * @module
 */
import type { JsonRpc, RpcCall, RpcOutcome } from "../ethereum.ts";
import { isRetryable } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { requestAll } from "../l1/rpc_batch.ts";
import { retry, RETRY_DEFAULTS, type RetryPolicy } from "../retry.ts";
import { systemClock, systemRandom } from "../runtime.ts";

const ONCE: RetryPolicy = { ...RETRY_DEFAULTS, maxAttempts: 2, baseDelayMs: 500 };
/** One call of many fails at times, so first at once; and never longer apart than blocks are. */
const FOR_EVER: RetryPolicy = {
  ...RETRY_DEFAULTS,
  baseDelayMs: 100,
  maxAttempts: Number.MAX_SAFE_INTEGER,
  maxDelayMs: 12_000,
};

/** How long it waits. */
export interface Patience {
  readonly once: boolean;
  /** Aborted: it waits no longer. */
  readonly signal: AbortSignal;
  /** By which it waits; that of the machine otherwise. */
  readonly clock?: Clock;
}

/** Asks again what may go well the next time; that a node is down its endpoints tell, once. */
export class PatientRpc implements JsonRpc {
  readonly name: string;
  readonly #rpc: JsonRpc;
  readonly #patience: Patience;

  constructor(rpc: JsonRpc, patience: Patience) {
    this.name = rpc.name;
    this.#rpc = rpc;
    this.#patience = patience;
  }

  /** @throws {RpcError} of the last try */
  request(method: string, params: readonly unknown[]): Promise<unknown> {
    return patiently(() => this.#rpc.request(method, params), this.#patience);
  }

  /** @throws {RpcError} of the last try */
  ask<T>(action: (rpc: JsonRpc) => Promise<T>): Promise<T> {
    return patiently(() => this.#rpc.ask?.(action) ?? action(this.#rpc), this.#patience);
  }

  /** What failed alone is asked again alone. */
  async requestAll(calls: readonly RpcCall[]): Promise<readonly RpcOutcome[]> {
    const outcomes = new Array<RpcOutcome>(calls.length);
    let open = [...calls.keys()];
    const ask = async () => {
      const answers = await requestAll(this.#rpc, open.map((at) => calls[at]!));
      for (const [index, at] of open.entries()) outcomes[at] = answers[index]!;
      const failures = open.map((at) => outcomes[at]!).filter((each) => "error" in each);
      const failure = failures.find(({ error }) => isRetryable(error));
      open = open.filter((at) => isOpen(outcomes[at]!));
      if (failure) throw failure.error;
    };
    // What is left stands in its place.
    await patiently(ask, this.#patience).catch(() => {});
    return outcomes;
  }
}

function isOpen(outcome: RpcOutcome): boolean {
  return "error" in outcome && isRetryable(outcome.error);
}

/**
 * Does again what a node may allow the next time.
 *
 * @throws {RpcError} of the last try
 */
export async function patiently<T>(
  action: () => Promise<T>,
  { once, signal, clock = systemClock }: Patience,
): Promise<T> {
  const context = { clock, random: systemRandom, signal };
  return await retry(action, once ? ONCE : FOR_EVER, context);
}
