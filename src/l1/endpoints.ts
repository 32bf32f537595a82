/**
 * Several nodes behind one JSON-RPC: what one cannot do now, another does.
 *
 * - A node whose chain is another is never asked for anything but its chain id. That is asked before its
 *   first use, and again after it has failed: another node may stand behind the name by then.
 * - Reads go to the healthiest node; of equals, to the first named. A failure halves its health, which
 *   comes back with time, so the first named is gone back to. A node that failed is left alone for a
 *   while, which doubles each time.
 * - What concerns the pool of a node (sends, nonces, transactions by hash) goes to one node, until that
 *   fails: another may not have heard of what was just sent. Sends and nonces wait for each other, so
 *   an account's transactions arrive in the order of their nonces.
 * - A node without a block below a head that was told may lag, or have lost it: the others are asked for that
 *   block before there is said to be none.
 *
 * @module
 */
import { describeError, type ErrorKind, RpcError } from "../errors.ts";
import type { JsonRpc, RpcCall, RpcOutcome } from "../ethereum.ts";
import type { Clock, Log, Random } from "../ports.ts";
import { backoffMs, type RetryPolicy } from "../retry.ts";
import { shown } from "../wire/hex.ts";
import { isFailure, requestAll } from "./rpc_batch.ts";

/** How long a node that failed is left alone: 1 s, 2 s, … 60 s. */
const PAUSE: RetryPolicy = { maxAttempts: 0, baseDelayMs: 1000, maxDelayMs: 60_000, jitter: 0.2 };
/** In which half of the lost health comes back. */
const HEALING_MS = 60_000;

/** Asked of others where one has nothing. */
const GET_BLOCK = "eth_getBlockByNumber";

/** One after the other, at one node. */
const ORDERED = ["eth_sendRawTransaction", "eth_getTransactionCount"];
/** At the node that was sent to. */
const OF_THE_POOL = [...ORDERED, "eth_getTransactionByHash"];

/** Which nodes, and who is told. */
export interface RpcEndpointsOptions {
  /** The preferred one first. */
  readonly endpoints: readonly JsonRpc[];
  /** Which chain it must be; that of the first node which answers, unless told. */
  readonly chainId?: bigint;
  /**
   * Whether a node may be used, besides its chain id: asked when that is. Throws {@link WrongChain} where
   * it is of another chain.
   */
  readonly admit?: (rpc: JsonRpc) => Promise<void>;
  /**
   * After how long a node of another chain is looked at again, in milliseconds; never unless told. Where
   * one was of the chain before, its chain id is then waited for.
   */
  readonly looksAgainMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
}

/** How one of the nodes does. */
export interface EndpointStatus {
  /** Host. */
  readonly name: string;
  /** From 0 to 1, which it has in the beginning. */
  readonly health: number;
  readonly state: "unused" | "up" | "down" | "wrong chain";
  /** How long it is still left alone, in milliseconds. */
  readonly pausedMs: number;
}

/**
 * Nodes of one chain.
 *
 * @example
 * ```ts
 * import { HttpJsonRpc, RpcEndpoints, systemClock, systemRandom } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const urls = ["http://127.0.0.1:1/", "http://127.0.0.1:2/"];
 * const node = new RpcEndpoints({
 *   endpoints: urls.map((url) => new HttpJsonRpc({ url, clock: systemClock })),
 *   chainId: 1n,
 *   clock: systemClock,
 *   random: systemRandom,
 * });
 * const error = await node.request("eth_blockNumber", []).then(undefined, (error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * if (node.status().some(({ state }) => state !== "down")) throw new Error("both were asked");
 * ```
 */
export class RpcEndpoints implements JsonRpc {
  readonly name: string;
  readonly #endpoints: readonly Endpoint[];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #admit: (rpc: JsonRpc) => Promise<void>;
  readonly #looksAgainMs: number;
  #chainId: bigint | undefined;
  /** Any of them was of the chain. */
  #wasRight = false;
  /** The node that is sent to. */
  #poolNode: Endpoint | undefined;
  #lastOrdered: Promise<unknown> = Promise.resolve();
  /** Number of the highest block that any node told. */
  #highest = -1n;

  constructor(options: RpcEndpointsOptions) {
    const { endpoints, chainId, clock, random, log = () => {} } = options;
    if (endpoints.length === 0) throw new RangeError("Cannot ask a node: none is named");
    this.#endpoints = endpoints.map((rpc) => ({
      rpc,
      health: 1,
      healthAtMs: clock.now(),
      failures: 0,
      pausedUntilMs: 0,
      state: "unused",
      refusal: undefined,
      refusedUntilMs: 0,
      isChecked: false,
      checking: undefined,
    }));
    this.name = endpoints.map(({ name }) => name).join(", ");
    this.#chainId = chainId;
    this.#admit = options.admit ?? (() => Promise.resolve());
    this.#looksAgainMs = options.looksAgainMs ?? Infinity;
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
  }

  /** @throws {RpcError} of the last node asked, preferably one that may pass */
  request(method: string, params: readonly unknown[]): Promise<unknown> {
    if (method === GET_BLOCK) return this.#askForBlock(params);
    const isOfThePool = OF_THE_POOL.includes(method);
    const ask = () => this.#askInTurn((rpc) => rpc.request(method, params), isOfThePool);
    if (!ORDERED.includes(method)) return ask();
    const answer = this.#lastOrdered.then(ask);
    this.#lastOrdered = answer.catch(() => {});
    return answer;
  }

  /** What one node could not answer is asked of the next, and nothing else. */
  async requestAll(calls: readonly RpcCall[]): Promise<readonly RpcOutcome[]> {
    const outcomes = new Array<RpcOutcome>(calls.length);
    let open = [...calls.keys()];
    try {
      await this.ask(async (rpc) => {
        const answers = await requestAll(rpc, open.map((at) => calls[at]!));
        for (const [index, at] of open.entries()) outcomes[at] = answers[index]!;
        open = open.filter((at) => isFailure(errorOf(outcomes[at])));
        if (open.length > 0) throw errorOf(outcomes[open[0]!]);
      });
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      for (const at of open) outcomes[at] ??= { error };
    }
    return outcomes;
  }

  /**
   * Does something with one node, and with the next where an error is thrown that may be the node's
   * fault: any {@link RpcError} but `Answered`. For reads of which the answers are checked against each
   * other: a node that tells what cannot be is passed over as one that tells nothing.
   *
   * @throws what the last node came to, preferably what may pass
   */
  ask<T>(action: (rpc: JsonRpc) => Promise<T>): Promise<T> {
    return this.#askInTurn(action, false);
  }

  /**
   * What each of the others makes of a question, whether it is left alone for now or not; nothing of those
   * that cannot answer it.
   */
  async askOthers<T>(
    but: JsonRpc,
    action: (rpc: JsonRpc) => Promise<T>,
  ): Promise<{ readonly rpc: JsonRpc; readonly answer: T }[]> {
    const others = this.#usable().filter(({ rpc }) => rpc !== but);
    const answers = await Promise.all(others.map(async (endpoint) => {
      try {
        await this.#checkChain(endpoint);
        return [{ rpc: endpoint.rpc, answer: await action(endpoint.rpc) }];
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        this.#blame(endpoint, error, but.name);
        return [];
      }
    }));
    return answers.flat();
  }

  status(): EndpointStatus[] {
    return this.#endpoints.map((endpoint) => ({
      name: endpoint.rpc.name,
      health: this.#healthOf(endpoint),
      state: endpoint.state,
      pausedMs: Math.max(0, endpoint.pausedUntilMs - this.#clock.now()),
    }));
  }

  async #askForBlock(params: readonly unknown[]): Promise<unknown> {
    let first: JsonRpc | undefined;
    const answer = await this.ask((rpc) => (first = rpc).request(GET_BLOCK, params));
    const found = numberOf((answer as { number?: unknown } | null)?.number);
    if (found > this.#highest) this.#highest = found;
    const number = numberOf(params[0]);
    if (answer !== null || number < 0n || number > this.#highest) return answer;
    return await this.#askForBlockElsewhere(first!, params);
  }

  /** What the first of the others has, that is up and has anything. */
  async #askForBlockElsewhere(but: JsonRpc, params: readonly unknown[]): Promise<unknown> {
    for (const endpoint of this.#turns(false)) {
      if (endpoint.rpc === but) continue;
      try {
        await this.#checkChain(endpoint);
        const answer = await endpoint.rpc.request(GET_BLOCK, params);
        this.#succeeded(endpoint);
        if (answer !== null) return answer;
      } catch (error) {
        this.#blame(endpoint, error, but.name);
      }
    }
    return null;
  }

  async #askInTurn<T>(
    action: (rpc: JsonRpc) => Promise<T>,
    isOfThePool: boolean,
  ): Promise<T> {
    const turns = this.#turns(isOfThePool);
    let failure: unknown;
    for (const [index, endpoint] of turns.entries()) {
      try {
        await this.#checkChain(endpoint);
        const result = await action(endpoint.rpc);
        this.#succeeded(endpoint);
        if (isOfThePool) this.#poolNode = endpoint;
        return result;
      } catch (error) {
        if (!isFailure(error)) {
          // It is there, and says no.
          this.#succeeded(endpoint);
          if (isOfThePool) this.#poolNode = endpoint;
          throw error;
        }
        this.#blame(endpoint, error, turns[index + 1]?.rpc.name);
        if (!isTemporary(failure)) failure = error;
      }
    }
    // One that is left alone for now was not asked: it may be of the chain.
    const isLast = this.#endpoints.every(({ state }) => state === "wrong chain");
    if (failure instanceof WrongChain && !isLast) throw failure.asPassing();
    throw failure;
  }

  /** Those to ask, the best first. Where all are paused, the one whose pause ends first is asked anyway. */
  #turns(isOfThePool: boolean): Endpoint[] {
    const usable = this.#usable();
    if (usable.length === 0) throw this.#refusal();
    const nowMs = this.#clock.now();
    const ready = usable.filter(({ pausedUntilMs }) => pausedUntilMs <= nowMs);
    if (ready.length === 0) {
      return [usable.reduce((a, b) => b.pausedUntilMs < a.pausedUntilMs ? b : a)];
    }
    // In tenths, since a difference that small is chance.
    const rank = (endpoint: Endpoint) =>
      isOfThePool && endpoint === this.#poolNode ? 11 : Math.round(10 * this.#healthOf(endpoint));
    return ready.toSorted((a, b) => rank(b) - rank(a));
  }

  #usable(): Endpoint[] {
    const nowMs = this.#clock.now();
    return this.#endpoints.filter(({ state, refusedUntilMs }) =>
      state !== "wrong chain" || refusedUntilMs <= nowMs
    );
  }

  /** Why none of them is used: of several, it may pass where it may of one. */
  #refusal(): WrongChain {
    const refusals = this.#endpoints.flatMap(({ refusal }) => refusal ?? []);
    if (refusals.length === 1) return refusals[0]!;
    const error = new WrongChain(this.name, "each is of another chain");
    return refusals.some(isTemporary) ? error.asPassing() : error;
  }

  /** Asks a node that is new, or was down, which chain it is of: once, whoever waits for it. */
  async #checkChain(endpoint: Endpoint): Promise<void> {
    if (endpoint.isChecked) return;
    endpoint.checking ??= this.#askChain(endpoint).finally(() => endpoint.checking = undefined);
    await endpoint.checking;
  }

  async #askChain(endpoint: Endpoint): Promise<void> {
    const { rpc } = endpoint;
    const chainId = await chainIdOf(rpc);
    this.#chainId ??= chainId;
    if (chainId !== this.#chainId) {
      const why = `its chain id is ${chainId}, need ${this.#chainId}`;
      const error = new WrongChain(rpc.name, why);
      const mayPass = this.#wasRight && this.#looksAgainMs < Infinity;
      throw mayPass ? error.asPassing() : error;
    }
    await this.#admit(rpc);
    endpoint.isChecked = true;
    this.#wasRight = true;
  }

  /** Whatever is not its fault is passed over. */
  #blame(endpoint: Endpoint, error: unknown, next: string | undefined): void {
    if (error instanceof WrongChain) this.#refuse(endpoint, error);
    else if (isFailure(error)) this.#failed(endpoint, error, next);
  }

  #refuse(endpoint: Endpoint, error: WrongChain): void {
    const isNews = endpoint.state !== "wrong chain";
    endpoint.state = "wrong chain";
    endpoint.isChecked = false;
    endpoint.refusal = error;
    endpoint.refusedUntilMs = this.#clock.now() + this.#looksAgainMs;
    if (isNews) this.#tellFailed(endpoint, error, this.#turnsLeft(endpoint));
  }

  #turnsLeft(but: Endpoint): string | undefined {
    return this.#endpoints.find((each) => each !== but && each.state !== "wrong chain")?.rpc.name;
  }

  #succeeded(endpoint: Endpoint): void {
    const wasDown = endpoint.state === "down" || endpoint.state === "wrong chain";
    endpoint.state = "up";
    endpoint.failures = 0;
    endpoint.pausedUntilMs = 0;
    if (wasDown) this.#log({ event: "endpoint.recovered", endpoint: endpoint.rpc.name });
  }

  #failed(endpoint: Endpoint, error: unknown, next: string | undefined): void {
    const wasDown = endpoint.state === "down";
    const nowMs = this.#clock.now();
    // One outage, however many requests it meets.
    if (wasDown && nowMs < endpoint.pausedUntilMs) return;
    endpoint.health = this.#healthOf(endpoint) / 2;
    endpoint.healthAtMs = nowMs;
    endpoint.failures += 1;
    endpoint.isChecked = false;
    endpoint.state = "down";
    const pauseMs = backoffMs(endpoint.failures, PAUSE, this.#random);
    endpoint.pausedUntilMs = nowMs + Math.max(pauseMs, retryAfterMs(error));
    if (!wasDown) this.#tellFailed(endpoint, error, next);
  }

  #tellFailed({ rpc }: Endpoint, error: unknown, next: string | undefined): void {
    this.#log({ event: "endpoint.failed", endpoint: rpc.name, error, next });
  }

  #healthOf({ health, healthAtMs }: Endpoint): number {
    const halves = Math.max(0, this.#clock.now() - healthAtMs) / HEALING_MS;
    return 1 - (1 - health) * 2 ** -halves;
  }
}

interface Endpoint {
  readonly rpc: JsonRpc;
  /** At `healthAtMs`. */
  health: number;
  healthAtMs: number;
  /** Since it last answered. */
  failures: number;
  pausedUntilMs: number;
  state: EndpointStatus["state"];
  /** Why it is not used, where its chain is another. */
  refusal: WrongChain | undefined;
  refusedUntilMs: number;
  /** It is of the chain, and has not failed since that was asked. */
  isChecked: boolean;
  checking: Promise<void> | undefined;
}

/** A node that does not tell its chain is not asked anything else. */
async function chainIdOf(rpc: JsonRpc): Promise<bigint> {
  const refuse = (why: string) => {
    const message = `Cannot tell the chain of ${rpc.name}: ${why}`;
    return new RpcError("Invalid", message, { details: { endpoint: rpc.name } });
  };
  const answer = await rpc.request("eth_chainId", []).catch((error) => {
    throw isFailure(error) ? error : refuse(describeError(error));
  });
  if (typeof answer === "string" && /^0x[\da-f]{1,64}$/i.test(answer)) return BigInt(answer);
  throw refuse(`it answered ${shown(answer)}`);
}

/** A node of another chain. */
export class WrongChain extends RpcError {
  readonly #endpoint: string;
  readonly #why: string;

  constructor(endpoint: string, why: string, kind: ErrorKind = "critical") {
    const details = { endpoint, reason: "WrongChain" };
    super("Refused", `Cannot use ${endpoint}: ${why}`, { details, kind });
    this.name = "RpcError";
    this.#endpoint = endpoint;
    this.#why = why;
  }

  /** The same, where the node may be of the chain again, or another is. */
  asPassing(): WrongChain {
    return new WrongChain(this.#endpoint, this.#why, "temporary");
  }
}

function errorOf(outcome: RpcOutcome | undefined): RpcError | undefined {
  return outcome && "error" in outcome ? outcome.error : undefined;
}

/** Of a quantity; -1 where it is none, as `latest`. */
function numberOf(quantity: unknown): bigint {
  const isOne = typeof quantity === "string" && /^0x[\da-f]{1,16}$/i.test(quantity);
  return isOne ? BigInt(quantity) : -1n;
}

function isTemporary(error: unknown): boolean {
  return error instanceof RpcError && error.isRetryable;
}

/** What the node asked for, within reason. */
function retryAfterMs(error: unknown): number {
  const ms = error instanceof RpcError ? error.details["retryAfterMs"] : undefined;
  return typeof ms === "number" ? Math.min(ms, PAUSE.maxDelayMs) : 0;
}
