/**
 * An L1 and an L2 that grow with the time of the machine, and a clock of L1 with batches of 4 s.
 *
 * @module
 */
import { RpcError } from "../../src/errors.ts";
import { ScriptedL2 } from "../l2/scripted_l2.ts";
import { ServedL2 } from "../l2/served_l2.ts";

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);

/** Batches of 4 s. */
export function shortClock(genesis: number): string[] {
  return [
    "batch_manager.chain_id=1001",
    `l1_listener.genesis_time=${genesis}`,
    "l1_listener.slot_duration=1s",
    "l1_listener.slots_per_epoch=2",
    "l1_listener.batch_factor=2",
    "l1_listener.poll_interval=200ms",
    "batch_manager.batch_timeout=10s",
    "batch_manager.late_block_grace=500ms",
  ].flatMap((each) => ["--set", each]);
}

/** Chains that grow with the time: an L1, and an L2 with a block a second. */
export class LiveChains implements AsyncDisposable {
  readonly l1: ScriptedL2;
  readonly l2: ScriptedL2;
  readonly genesis: number = nowSeconds() - 20;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #servers: ServedL2[] = [];

  constructor() {
    const times = { genesis: BigInt(this.genesis), blockSeconds: 1n };
    this.l1 = new ScriptedL2(0, { times, chainId: 1 });
    this.l2 = new ScriptedL2(0, { times, chainId: 1001 });
    this.#grow();
    this.#timer = setInterval(() => this.#grow(), 50);
  }

  async serve(): Promise<readonly [l1: string, l2: string]> {
    for (const chain of [this.l1, this.l2]) this.#servers.push(await ServedL2.begin(chain));
    return [this.#servers[0]!.url, this.#servers[1]!.url];
  }

  setAway(isAway: boolean): void {
    this.l2.answer = (_, __, answer) => isAway ? new RpcError("Invalid", "away") : answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    for (const server of this.#servers) await server.end();
  }

  #grow(): void {
    for (const chain of [this.l1, this.l2]) {
      const due = nowSeconds() - this.genesis - Number(chain.head);
      if (due > 0) chain.grow(due);
      chain.safe = chain.head > 1n ? chain.head - 1n : 0n;
      chain.finalized = chain.head > 4n ? chain.head - 4n : 0n;
    }
  }
}
