/**
 * What nodes of L2 tell that cannot be.
 *
 * @module
 */
import { RpcError } from "../../src/errors.ts";
import { toHex } from "../../src/wire/hex.ts";
import { type Json, ScriptedL2, sealed, transfers } from "./scripted_l2.ts";

/** What stands in each block of {@link node}. */
export const signed: readonly Json[] = await transfers(4);

/** Twelve blocks behind the genesis. */
export function node(name: string): ScriptedL2 {
  return new ScriptedL2(12, { name, transactions: () => signed });
}

/** Tells something else of block 5 than there is; `undefined` lets it pass. */
export function lying(name: string, tell: (block: Json) => unknown): ScriptedL2 {
  const l2 = node(name);
  l2.answer = (method, [tag, isWhole], answer) =>
    method === "eth_getBlockByNumber" && isWhole && tag === "0x5" ? tell(answer as Json) : answer;
  return l2;
}

/** As it tells them. */
export const transactionsOf = (block: Json) => block["transactions"] as readonly Json[];
/** Under a hash that is right for what is told. */
export const resealed = (block: Json, change: Json) => sealed({ ...block, ...change });
const html = () => new RpcError("Invalid", "Cannot ask liar for x: it answered no JSON-RPC");

/** What is told instead of block 5, and what is said of that. */
export const LIES: Readonly<Record<string, readonly [(block: Json) => unknown, RegExp]>> = {
  "another hash": [
    (block) => ({ ...block, hash: toHex(new Uint8Array(32).fill(7)) }),
    /its hash is 0x0707.*, its header makes 0x/,
  ],
  "another time": [
    (block) => ({ ...block, timestamp: "0x7" }),
    /its hash is 0x.*, its header makes 0x/,
  ],
  "a transaction left out": [
    (block) => ({ ...block, transactions: transactionsOf(block).slice(1) }),
    /its transactions root is 0x.*, the 3 transactions that it lists make 0x.*missing/,
  ],
  "a transaction too many": [
    (block) => ({ ...block, transactions: [...transactionsOf(block), signed[0]] }),
    /the 5 transactions that it lists/,
  ],
  "transactions in another order": [
    (block) => ({ ...block, transactions: transactionsOf(block).toReversed() }),
    /the 4 transactions that it lists/,
  ],
  "another value": [
    (block) => ({
      ...block,
      transactions: transactionsOf(block).with(2, { ...signed[2], value: "0x77" }),
    }),
    /transaction 2: its hash is 0x.*, its fields make 0x/,
  ],
  "another hash of a transaction": [
    (block) => ({
      ...block,
      transactions: transactionsOf(block).with(1, { ...signed[1], hash: signed[0]!["hash"] }),
    }),
    /transaction 1: its hash is/,
  ],
  "no signature": [
    (block) => ({
      ...block,
      transactions: transactionsOf(block).with(1, { ...signed[1], r: undefined }),
    }),
    /transaction 1: r: need a number/,
  ],
  "hashes for transactions": [
    (block) => ({ ...block, transactions: transactionsOf(block).map(({ hash }) => hash) }),
    /transaction 0: it: need an object, have "0x/,
  ],
  "a block without parent": [
    (block) => resealed(block, { parentHash: toHex(new Uint8Array(32).fill(1)) }),
    /L2 block 5 .*(?:does not follow block 4 .*, which is there too|its parent is 0x0101)/,
  ],
  "another block": [(block) => resealed(block, { number: "0x6" }), /it is block 6/],
  "null": [() => null, /it has none, though its head is not below it/],
  "a text": [() => "block", /it: need an object, have "block"/],
  "an error": [
    () => new RpcError("Answered", "state is not available"),
    /it answers "state is not available"/,
  ],
  "HTML": [html, /Cannot ask liar for x: it answered no JSON-RPC/],
  "no header": [(block) => ({ ...block, miner: null }), /miner: need 0x/],
};
