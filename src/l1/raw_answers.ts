/**
 * Signed bytes of transactions as nodes give them out: for types that cannot be made anew out of JSON.
 *
 * @module
 */
import { CodecError, RpcError } from "../errors.ts";
import { type JsonRpc, RPC_CODES } from "../ethereum.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import type { BlockHashing } from "./block_hashing.ts";
import { rlp } from "./deps.ts";
import { type AskRaw, lie } from "./told_block.ts";

/** In the order in which they are tried; the last gives a whole block. */
const METHODS = ["eth_getRawTransactionByHash", "debug_getRawTransaction", "debug_getRawBlock"];

/** Asks nodes for bytes, and remembers which methods each has. */
export class RawAnswers {
  readonly #hashing: BlockHashing;
  /** By node: what it does not have. */
  readonly #missing = new Map<JsonRpc, Set<string>>();

  constructor(hashing: BlockHashing) {
    this.#hashing = hashing;
  }

  /** How `rpc` is asked. */
  of(rpc: JsonRpc): AskRaw {
    return async (block, { index, hash, type }) => {
      const missing = this.#missing.get(rpc) ?? new Set();
      this.#missing.set(rpc, missing);
      for (const method of METHODS.filter((each) => !missing.has(each))) {
        const isBlock = method === "debug_getRawBlock";
        const param = isBlock ? `0x${block.number.toString(16)}` : toHex(hash);
        const answer = await rpc.request(method, [param]).catch((error) => {
          if (!isMissing(error)) throw error;
          missing.add(method);
          return null;
        });
        if (answer === null) continue;
        const bytes = fromHex(answer, method);
        const raw = isBlock ? await transactionIn(bytes, index, this.#hashing) : bytes;
        if (raw && equalBytes(this.#hashing.keccak256(raw), hash)) return raw;
        throw lie(
          `transaction ${index}: what ${method} gives has another hash than ${toHex(hash)}`,
        );
      }
      throw new CodecError(
        "UnknownFormat",
        `transaction ${index} (${toHex(hash)}) is of type 0x${
          type.toString(16)
        }, which nothing is ` +
          `known of here, and the node does not give its bytes: need one with ${
            METHODS.join(" or ")
          }`,
      );
    };
  }
}

/** Signed bytes out of a block: `rlp([header, transactions, …])`. */
async function transactionIn(
  block: Uint8Array,
  index: number,
  hashing: BlockHashing,
): Promise<Uint8Array | undefined> {
  const { RLP } = await rlp();
  let decoded: unknown;
  try {
    decoded = RLP.decode(block);
  } catch {
    throw lie("what debug_getRawBlock gives is no RLP");
  }
  const transactions = Array.isArray(decoded) ? decoded[1] : undefined;
  const found = Array.isArray(transactions) ? transactions[index] : undefined;
  // Those of type 0 are lists, not bytes in which one is.
  return Array.isArray(found) ? hashing.rlp(found) : found;
}

/** The method is not there, or not for everybody. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof RpcError) || error.code !== "Answered") return false;
  return error.details["rpcCode"] === RPC_CODES.methodNotFound ||
    /method|not (?:found|supported|available|allowed)/i.test(
      error.message,
    );
}
