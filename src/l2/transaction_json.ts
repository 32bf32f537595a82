/**
 * Transactions of a block as `eth_getBlockByNumber` tells them, out of the bytes that were signed: the way
 * back of `l1/raw_transaction.ts`.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import type { BlockHashing } from "../l1/block_hashing.ts";
import { rlp, signer } from "../l1/deps.ts";
import type { JsonFields } from "../l1/json_fields.ts";
import { DEPOSIT_TYPE } from "../l1/raw_transaction.ts";
import { toHex } from "../wire/hex.ts";

/** What RLP decodes to. */
type Item = Uint8Array | readonly Item[];

const CALL = ["gas", "to", "value", "input"];
const PRICED = ["chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", ...CALL, "accessList"];
const SIGNATURE = ["yParity", "r", "s"];

/** Names of the fields, in the order in which they were signed. */
const FIELDS: ReadonlyMap<number, readonly string[]> = new Map([
  [0, ["nonce", "gasPrice", ...CALL, "v", "r", "s"]],
  [1, ["chainId", "nonce", "gasPrice", ...CALL, "accessList", ...SIGNATURE]],
  [2, [...PRICED, ...SIGNATURE]],
  [3, [...PRICED, "maxFeePerBlobGas", "blobVersionedHashes", ...SIGNATURE]],
  [4, [...PRICED, "authorizationList", ...SIGNATURE]],
  [
    DEPOSIT_TYPE,
    ["sourceHash", "from", "to", "mint", "value", "gas", "isSystemTx", "input"],
  ],
]);

const BYTES = ["input", "sourceHash", "from"];
/** RLP of a list begins here: a transaction of before types. */
const FIRST_OF_LIST = 0xc0;

/**
 * A transaction with its hash and its sender; deposits have theirs in them.
 *
 * @throws {CodecError} `InvalidTransaction` for what is none, and for a type that is not known here
 */
export async function transactionToJson(
  raw: Uint8Array,
  { keccak256 }: BlockHashing,
): Promise<JsonFields> {
  const [{ RLP }, { Transaction }] = await Promise.all([rlp(), signer()]);
  const isLegacy = raw[0]! >= FIRST_OF_LIST;
  const type = isLegacy ? 0 : raw[0]!;
  const names = FIELDS.get(type);
  try {
    if (!names) throw new Error(`type ${type} is not known here`);
    const items = RLP.decode(isLegacy ? raw : raw.subarray(1)) as readonly Item[];
    if (items.length !== names.length) throw new Error(`it has ${items.length} fields`);
    const fields = Object.fromEntries(
      names.map((name, index) => [name, valueOf(name, items[index]!)]),
    );
    const common = { type: `0x${type.toString(16)}`, hash: toHex(keccak256(raw)), ...fields };
    if (type === DEPOSIT_TYPE) return { ...common, nonce: "0x0" };
    const from = Transaction.fromBytes(raw).sender.toLowerCase();
    return isLegacy ? { ...common, from } : { ...common, from, v: fields.yParity };
  } catch (cause) {
    const what = `Cannot tell the fields of transaction ${toHex(keccak256(raw))}`;
    throw new CodecError("InvalidTransaction", `${what}: ${(cause as Error).message}`, { cause });
  }
}

function valueOf(name: string, item: Item): unknown {
  if (name === "accessList") {
    return listOf(item).map((each) => {
      const [address, keys] = listOf(each);
      return { address: hexOf(address), storageKeys: listOf(keys).map(hexOf) };
    });
  }
  if (name === "authorizationList") {
    return listOf(item).map((each) => {
      const [chainId, address, ...rest] = listOf(each);
      const [nonce, yParity, r, s] = rest.map(quantity);
      return { chainId: quantity(chainId), address: hexOf(address), nonce, yParity, r, s };
    });
  }
  if (name === "blobVersionedHashes") return listOf(item).map(hexOf);
  if (name === "to") return (item as Uint8Array).length === 0 ? null : hexOf(item);
  if (name === "isSystemTx") return quantity(item) !== "0x0";
  return BYTES.includes(name) ? hexOf(item) : quantity(item);
}

function listOf(item: Item | undefined): readonly Item[] {
  if (Array.isArray(item)) return item;
  throw new Error("a list is missing");
}

function hexOf(item: Item | undefined): string {
  if (item instanceof Uint8Array) return toHex(item);
  throw new Error("bytes are missing");
}

function quantity(item: Item | undefined): string {
  const digits = hexOf(item).slice(2).replace(/^0+/, "");
  return `0x${digits === "" ? "0" : digits}`;
}
