/**
 * Ranges of L2 blocks, checked as far as that can be done without executing them.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { RpcEndpoints, type RpcEndpointsOptions } from "../l1/endpoints.ts";
import { L2Nodes } from "../l2/l2_nodes.ts";
import { OutputRoots } from "../l2/output_roots.ts";
import type { RangeWork } from "../proving.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { type CheckReport, RANGE_CHECKS } from "./execution_check.ts";

/** Blocks that are asked for at once. */
const BLOCKS_PER_CALL = 64n;

/** Said of an output root that is not made here alone. */
const ON_ITS_WORD = "hashes and the message passer were taken on the node's word";

/** Whose blocks, and how far the nodes are believed. */
export interface RangeCheckerOptions extends Omit<RpcEndpointsOptions, "admit" | "looksAgainMs"> {
  /** Takes the nodes' word for hashes of headers, and for the storage of the message passer. */
  readonly trustsHashes?: boolean;
}

/**
 * Reads ranges of blocks and holds them against their hashes.
 *
 * @example
 * ```ts
 * import {
 *   HttpJsonRpc,
 *   RangeChecker,
 *   systemClock as clock,
 *   systemRandom as random,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const l2 = new HttpJsonRpc({ url: "http://127.0.0.1:1/", clock });
 * const checker = new RangeChecker({ endpoints: [l2], clock, random });
 * const error = await checker.check({ start: 4n, end: 8n }).catch((error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * ```
 */
export class RangeChecker {
  readonly #rpc: RpcEndpoints;
  readonly #nodes: L2Nodes;
  readonly #outputs: OutputRoots;
  readonly #trustsHashes: boolean;

  constructor({ trustsHashes = false, ...options }: RangeCheckerOptions) {
    this.#rpc = new RpcEndpoints(options);
    this.#nodes = new L2Nodes({ ...options, trustsHashes });
    this.#outputs = new OutputRoots({ l2: this.#rpc, trustsHashes });
    this.#trustsHashes = trustsHashes;
  }

  /** Whose blocks: hosts only. */
  get name(): string {
    return this.#rpc.name;
  }

  /**
   * Checks the blocks behind `start`, up to and with `end`.
   *
   * @throws {RpcError} where the nodes cannot be asked, lack a block, or say what cannot be
   */
  async check(
    { start, end }: Pick<RangeWork, "start" | "end">,
    signal?: AbortSignal,
  ): Promise<CheckReport> {
    const chainId = BigInt(`${await this.#rpc.request("eth_chainId", [])}`);
    const from = await this.#outputs.at(start);
    let [number, hash] = [start, from.hash];
    while (number < end) {
      signal?.throwIfAborted();
      const left = end - number;
      const count = Number(left < BLOCKS_PER_CALL ? left : BLOCKS_PER_CALL);
      const blocks = await this.#nodes.blocks(number + 1n, count, { parent: hash });
      for (const { block } of blocks) {
        // A node that went another way gives blocks that follow each other, and not the one before.
        if (block.number !== number + 1n || !equalBytes(block.parentHash, hash)) {
          throw this.#parted(block.number, `it follows ${toHex(block.parentHash)}`, hash);
        }
        [number, hash] = [block.number, block.hash];
      }
    }
    const to = await this.#outputs.at(end);
    if (!equalBytes(to.hash, hash)) throw this.#parted(end, `it is ${toHex(to.hash)} now`, hash);
    const checked = this.#trustsHashes ? [RANGE_CHECKS[2], ON_ITS_WORD] : RANGE_CHECKS;
    return { kind: "range", chainId, start: from, end: to, checked };
  }

  #parted(number: bigint, what: string, expected: Uint8Array): RpcError {
    const message = `Cannot check L2 block ${number} of ${this.name}: ${what}, ` +
      `${toHex(expected)} was read before: L2 was reorganised meanwhile`;
    return new RpcError("Invalid", message, { details: { endpoint: this.name, block: number } });
  }
}
