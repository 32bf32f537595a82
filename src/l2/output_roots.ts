/**
 * Output roots of the OP stack, made of what an execution client says (specs: "L2 Output Commitment
 * Construction", version 0):
 *
 * keccak(32 zeros ‖ state root ‖ storage root of the message passer ‖ block hash)
 *
 * @module
 */
import { CodecError, RpcError } from "../errors.ts";
import type { JsonRpc } from "../ethereum.ts";
import { blockHashing } from "../l1/block_hashing.ts";
import { data, list, objectOf } from "../l1/json_fields.ts";
import { fromHex } from "../wire/hex.ts";
import { storageRootOf } from "./account_proof.ts";
import { readHeader } from "./node_block.ts";
import { toQuantity } from "./payload.ts";

/** `L2ToL1MessagePasser`, a predeploy. */
const MESSAGE_PASSER = "0x4200000000000000000000000000000000000016";

/** A block, and what L2 is behind it. */
export interface OutputAt {
  readonly number: bigint;
  /** 32 bytes. */
  readonly hash: Uint8Array;
  /** 32 bytes. */
  readonly outputRoot: Uint8Array;
}

/** Who is asked, and how far it is believed. */
export interface OutputRootsOptions {
  /** An execution client of L2, or several behind one. */
  readonly l2: JsonRpc;
  /** Takes its word for hashes of headers, and for the storage of the message passer. */
  readonly trustsHashes?: boolean;
}

/**
 * Makes output roots.
 *
 * @example
 * ```ts
 * import { HttpJsonRpc, OutputRoots, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const l2 = new HttpJsonRpc({ url: "http://127.0.0.1:1/", clock: systemClock });
 * const error = await new OutputRoots({ l2 }).at(5n).catch((error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * ```
 */
export class OutputRoots {
  readonly #l2: JsonRpc;
  readonly #trustsHashes: boolean;

  constructor({ l2, trustsHashes = false }: OutputRootsOptions) {
    this.#l2 = l2;
    this.#trustsHashes = trustsHashes;
  }

  /**
   * What L2 is behind a block: the header makes its hash, and the message passer is in its state.
   *
   * @throws {RpcError} where it cannot be asked, has no such block, or says what cannot be
   */
  async at(number: bigint): Promise<OutputAt> {
    const tag = toQuantity(number);
    try {
      const block = await this.#l2.request("eth_getBlockByNumber", [tag, false]);
      if (block === null) throw new CodecError("InvalidHeader", "it has none");
      const proof = await this.#l2.request("eth_getProof", [MESSAGE_PASSER, [], tag]);
      return await this.#outputOf(number, block, proof);
    } catch (cause) {
      if (!(cause instanceof CodecError)) throw cause;
      const { name } = this.#l2;
      const message =
        `Cannot make the output root of L2 block ${number} of ${name}: ${cause.message}`;
      throw new RpcError("Invalid", message, { cause, details: { endpoint: name, block: number } });
    }
  }

  async #outputOf(number: bigint, block: unknown, proof: unknown): Promise<OutputAt> {
    const hashing = await blockHashing();
    const fields = objectOf(block, "it");
    const header = readHeader(fields, { hashing, trustsHashes: this.#trustsHashes });
    if (header.number !== number) {
      throw new CodecError("InvalidHeader", `it is block ${header.number}`);
    }
    const stateRoot = data(fields, "stateRoot", 32);
    const storageRoot = await this.#storageRoot(stateRoot, proof);
    const preimage = new Uint8Array(128);
    for (const [at, part] of [stateRoot, storageRoot, header.hash].entries()) {
      preimage.set(part, 32 * (at + 1));
    }
    return { number, hash: header.hash, outputRoot: hashing.keccak256(preimage) };
  }

  async #storageRoot(stateRoot: Uint8Array, proof: unknown): Promise<Uint8Array> {
    const fields = objectOf(proof, "eth_getProof");
    if (this.#trustsHashes) return data(fields, "storageHash", 32);
    const nodes = list(fields, "accountProof").map((node) => fromHex(node, "accountProof"));
    return await storageRootOf({ stateRoot, address: fromHex(MESSAGE_PASSER, "address") }, nodes);
  }
}
