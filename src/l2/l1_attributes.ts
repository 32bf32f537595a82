/**
 * Which L1 block an L2 block of the OP stack was made from: its first deposit tells (OP specification,
 * "L1 attributes deposited transaction").
 *
 * | form                        | selector                | number | hash |
 * | --------------------------- | ----------------------- | ------ | ---- |
 * | Bedrock, words of 32 bytes  | `015d8eb9`              | 28     | 100  |
 * | Ecotone and after, packed   | `440a5e20` Ecotone      | 28     | 100  |
 * |                             | `098999be` Isthmus      |        |      |
 * |                             | `3db6be2b` Jovian       |        |      |
 * |                             | `760ee04d` Interop      |        |      |
 *
 * Both have the two at the same offsets: what was added stands behind them.
 *
 * @module
 */
import { fromHex } from "../wire/hex.ts";
import { DEPOSIT_TYPE, typeOf } from "../l1/raw_transaction.ts";
import { data, type JsonFields } from "../l1/json_fields.ts";
import { equalBytes } from "../wire/bytes.ts";

/** An L1 block that an L2 block names. */
export interface L1Attributes {
  readonly number: bigint;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/** What a batch names: the L1 block that its newest block names, or the newest final one where that is older. */
export function originOf(named: L1Attributes | undefined, final: bigint): bigint {
  return named && named.number < final ? named.number : final;
}

/** Who deposits them, and where to. */
const DEPOSITOR = fromHex("0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001", "address", 20);
const L1_BLOCK = fromHex("0x4200000000000000000000000000000000000015", "address", 20);

const SELECTORS: readonly number[] = [0x015d8eb9, 0x440a5e20, 0x098999be, 0x3db6be2b, 0x760ee04d];
const NUMBER_AT = 28;
const HASH_AT = 100;

/**
 * The L1 block that a block's first transaction names; `undefined` where that is no deposit of L1
 * attributes, or of a form that is not known here.
 *
 * @throws {CodecError} `InvalidHeader` for what is no transaction
 */
export function l1AttributesOf(first: JsonFields | undefined): L1Attributes | undefined {
  if (!first || typeOf(first) !== DEPOSIT_TYPE || !first["to"]) return undefined;
  if (!equalBytes(data(first, "from", 20), DEPOSITOR)) return undefined;
  if (!equalBytes(data(first, "to", 20), L1_BLOCK)) return undefined;
  const input = data(first, "input");
  if (input.length < HASH_AT + 32) return undefined;
  const view = new DataView(input.buffer, input.byteOffset);
  if (!SELECTORS.includes(view.getUint32(0))) return undefined;
  return { number: view.getBigUint64(NUMBER_AT), hash: input.slice(HASH_AT, HASH_AT + 32) };
}
