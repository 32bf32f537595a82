/**
 * A sequencer, or another builder of blocks, that is told by JSON-RPC how much data its blocks may have
 * (op-geth's and op-reth's `miner_setMaxDASize`).
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { JsonRpc } from "../ethereum.ts";
import type { Sequencer } from "../ports.ts";
import { shown } from "../wire/hex.ts";

/**
 * @example
 * ```ts
 * import { RpcSequencer } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const asked: unknown[] = [];
 * const sequencer = new RpcSequencer({
 *   name: "sequencer",
 *   request: (method, params) => Promise.resolve(asked.push(method, params) > 0),
 * });
 * await sequencer.setMaxDaSize(20_000, 130_000);
 * if (String(asked) !== "miner_setMaxDASize,0x4e20,0x1fbd0") throw new Error(String(asked));
 * ```
 */
export class RpcSequencer implements Sequencer {
  readonly name: string;
  readonly #rpc: JsonRpc;

  constructor(rpc: JsonRpc) {
    this.name = rpc.name;
    this.#rpc = rpc;
  }

  async setMaxDaSize(maxTxBytes: number, maxBlockBytes: number): Promise<void> {
    const params = [maxTxBytes, maxBlockBytes].map((bytes) => `0x${bytes.toString(16)}`);
    const answer = await this.#rpc.request("miner_setMaxDASize", params);
    if (answer === true) return;
    throw new RpcError(
      "Invalid",
      `Cannot hold ${this.name} back: it answered ${shown(answer)} to miner_setMaxDASize, not true`,
      { details: { endpoint: this.name } },
    );
  }
}
