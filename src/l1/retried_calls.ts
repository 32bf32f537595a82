/**
 * Calls that are made again at once where they fail: whoever looks at L1 asks many things one after the
 * other, and begins anew where one of them fails. Of a node that fails half of all calls a look of ten
 * would go through once in a thousand times.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { JsonRpc } from "../ethereum.ts";
import type { Clock, Random } from "../ports.ts";
import { retry, type RetryPolicy } from "../retry.ts";

/** Four tries within a sixth of a second. */
const AT_ONCE: RetryPolicy = { maxAttempts: 3, baseDelayMs: 20, maxDelayMs: 80, jitter: 0.2 };

/**
 * A node, or several, of which each call gets a few tries at once: sends too, since what is sent
 * is the same bytes, which a node has or has not. What took long is not asked again, nor what a node wants
 * to be left alone for: the next look is for those.
 *
 * @example
 * ```ts
 * import { RetriedCalls, RpcError, systemClock, systemRandom } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * let calls = 0;
 * const request = () =>
 *   ++calls % 3 === 0 ? Promise.resolve("0x1") : Promise.reject(new RpcError("Busy", "it answered 503"));
 * const node = new RetriedCalls({ name: "a node", request }, { clock: systemClock, random: systemRandom });
 * if (await node.request("eth_chainId", []) !== "0x1") throw new Error("the third try answers");
 * ```
 */
export class RetriedCalls implements JsonRpc {
  readonly name: string;
  readonly #rpc: JsonRpc;
  readonly #context: { readonly clock: Clock; readonly random: Random };

  constructor(rpc: JsonRpc, context: { readonly clock: Clock; readonly random: Random }) {
    this.name = rpc.name;
    this.#rpc = rpc;
    this.#context = context;
  }

  /** @throws {RpcError} of the last try */
  request(method: string, params: readonly unknown[]): Promise<unknown> {
    return this.#retried(() => this.#rpc.request(method, params));
  }

  /** @throws {RpcError} of the last try */
  ask<T>(action: (rpc: JsonRpc) => Promise<T>): Promise<T> {
    return this.#retried(() => this.#rpc.ask?.(action) ?? action(this.#rpc));
  }

  async #retried<T>(action: () => Promise<T>): Promise<T> {
    let slow: unknown;
    const once = async () => {
      try {
        return { value: await action() };
      } catch (error) {
        if (passesAtOnce(error)) throw error;
        slow = error;
        return undefined;
      }
    };
    const answer = await retry(once, AT_ONCE, this.#context);
    if (!answer) throw slow;
    return answer.value;
  }
}

function passesAtOnce(error: unknown): boolean {
  return error instanceof RpcError && error.code !== "Timeout" &&
    error.details["retryAfterMs"] === undefined;
}
