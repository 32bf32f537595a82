/**
 * The hash of a block, made of what a node says of its header. All forks up to Amsterdam; the chains of
 * the OP stack have the same fields, some of them with another meaning.
 *
 * @module
 */
import type { BlockHashing } from "./block_hashing.ts";
import { data, integerBytes, type JsonFields } from "./json_fields.ts";

type Field = readonly [name: string, size: number | "integer" | "data"];

/** Since the beginning, in the order of the header. */
const FIELDS: readonly Field[] = [
  ["parentHash", 32],
  ["sha3Uncles", 32],
  ["miner", 20],
  ["stateRoot", 32],
  ["transactionsRoot", 32],
  ["receiptsRoot", 32],
  ["logsBloom", 256],
  ["difficulty", "integer"],
  ["number", "integer"],
  ["gasLimit", "integer"],
  ["gasUsed", "integer"],
  ["timestamp", "integer"],
  ["extraData", "data"],
  ["mixHash", 32],
  ["nonce", 8],
];

/** What forks added, in the order of the header, each where it is there. */
const ADDED: readonly Field[] = [
  ["baseFeePerGas", "integer"], // London
  ["withdrawalsRoot", 32], // Shanghai; of the OP stack Canyon, and another root since Isthmus
  ["blobGasUsed", "integer"], // Cancun
  ["excessBlobGas", "integer"],
  ["parentBeaconBlockRoot", 32],
  ["requestsHash", 32], // Prague
  ["blockAccessListHash", 32], // Amsterdam
  ["slotNumber", "integer"],
];

/** What stands beside the header in a node's answer: no part of it, or made of other parts. */
const BESIDE: readonly string[] = [
  "hash",
  "size",
  "totalDifficulty",
  "transactions",
  "uncles",
  "withdrawals",
];

const KNOWN = new Set([...FIELDS, ...ADDED].map(([name]) => name).concat(BESIDE));

/**
 * Hash of a header with these fields.
 *
 * @param header a block as `eth_getBlockByNumber` answers it
 * @returns 32 bytes
 * @throws {CodecError} `InvalidHeader` naming the field that is not what it must be
 */
export function headerHash(header: JsonFields, { rlp, keccak256 }: BlockHashing): Uint8Array {
  const added = ADDED.filter(([name]) => (header[name] ?? undefined) !== undefined);
  const values = [...FIELDS, ...added].map(([name, size]) => {
    if (size === "integer") return integerBytes(header, name);
    return data(header, name, size === "data" ? undefined : size);
  });
  return keccak256(rlp(values));
}

/** Fields of a block that nothing is known of here: a chain's own, or of a fork to come. */
export function unknownFields(header: JsonFields): string[] {
  return Object.keys(header).filter((name) => !KNOWN.has(name));
}
