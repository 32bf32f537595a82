/**
 * Output roots from a rollup node (`optimism_outputAtBlock`), or made here of what an execution client says,
 * and the L1 head from a node of L1.
 *
 * @module
 */
import type { JsonRpc } from "../ethereum.ts";
import type { OutputRoots } from "../l2/output_roots.ts";
import { toQuantity } from "../l2/payload.ts";
import { type OutputSource, ProvingError } from "../proving.ts";
import { bytesOf, fieldsOf } from "./json.ts";

/** Who is asked. */
export interface RpcOutputSourceParts {
  /** op-node, or what speaks as it does. */
  readonly rollup: JsonRpc;
  readonly l1: JsonRpc;
}

/**
 * Roots of a rollup. The L1 head is final: proofs are made against a block that stays.
 *
 * @example
 * ```ts
 * import { HttpJsonRpc, RpcOutputSource, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const node = new HttpJsonRpc({ url: "http://127.0.0.1:1/", clock: systemClock });
 * const outputs = new RpcOutputSource({ rollup: node, l1: node });
 * const error = await outputs.outputRoot(5n).catch((error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * ```
 */
export class RpcOutputSource implements OutputSource {
  readonly #parts: RpcOutputSourceParts;

  constructor(parts: RpcOutputSourceParts) {
    this.#parts = parts;
  }

  /** @throws {RpcError} | {ProvingError} `Invalid` where it answers something else */
  l1Head(): Promise<Uint8Array> {
    return finalHash(this.#parts.l1);
  }

  /** @throws {RpcError} | {ProvingError} `Invalid` where it answers something else */
  async outputRoot(blockNumber: bigint): Promise<Uint8Array> {
    const method = "optimism_outputAtBlock";
    const answer = await this.#parts.rollup.request(method, [toQuantity(blockNumber)]);
    return rootIn(answer, "outputRoot", method);
  }
}

/** Who is asked. */
export interface L2OutputSourceParts {
  readonly roots: OutputRoots;
  readonly l1: JsonRpc;
}

/**
 * Roots of a rollup that has no rollup node here, out of its execution client. The L1 head is final.
 *
 * @example
 * ```ts
 * import { HttpJsonRpc, L2OutputSource, OutputRoots, systemClock as clock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const node = new HttpJsonRpc({ url: "http://127.0.0.1:1/", clock });
 * const outputs = new L2OutputSource({ roots: new OutputRoots({ l2: node }), l1: node });
 * const error = await outputs.outputRoot(5n).catch((error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * ```
 */
export class L2OutputSource implements OutputSource {
  readonly #parts: L2OutputSourceParts;

  constructor(parts: L2OutputSourceParts) {
    this.#parts = parts;
  }

  /** @throws {RpcError} | {ProvingError} `Invalid` where it answers something else */
  l1Head(): Promise<Uint8Array> {
    return finalHash(this.#parts.l1);
  }

  /** @throws {RpcError} as {@link OutputRoots.at} does */
  async outputRoot(blockNumber: bigint): Promise<Uint8Array> {
    return (await this.#parts.roots.at(blockNumber)).outputRoot;
  }
}

async function finalHash(l1: JsonRpc): Promise<Uint8Array> {
  const method = "eth_getBlockByNumber";
  return rootIn(await l1.request(method, ["finalized", false]), "hash", method);
}

function rootIn(answer: unknown, field: string, method: string): Uint8Array {
  try {
    return bytesOf(fieldsOf(answer, "the answer")[field], field, 32);
  } catch (cause) {
    const message = `Cannot use the answer to ${method}: ${(cause as Error).message}`;
    throw new ProvingError("Invalid", message, { cause });
  }
}
