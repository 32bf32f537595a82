/**
 * The hashes of the blobs that a block's transactions carry (EIP-4844), out of their signed bytes.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import { rlp } from "../l1/deps.ts";

const BLOB_TYPE = 3;
/** `blob_versioned_hashes` among the fields of a blob transaction. */
const HASHES_INDEX = 10;

/**
 * In the order of the transactions, and of the blobs in each.
 *
 * @throws {CodecError} `InvalidTransaction` for what begins as a blob transaction and is none
 */
export async function blobHashesOf(transactions: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const blobTransactions = transactions.filter(([type]) => type === BLOB_TYPE);
  if (blobTransactions.length === 0) return [];
  const { RLP } = await rlp();
  return blobTransactions.flatMap((transaction) => {
    try {
      const fields = RLP.decode(transaction.subarray(1)) as unknown[];
      const hashes = fields[HASHES_INDEX] as Uint8Array[];
      if (!Array.isArray(hashes) || hashes.some((hash) => hash.length !== 32)) {
        throw new Error("it has no list of hashes");
      }
      return hashes;
    } catch (cause) {
      const what = `Cannot read a blob transaction of ${transaction.length} bytes`;
      throw new CodecError("InvalidTransaction", `${what}: ${(cause as Error).message}`, { cause });
    }
  });
}
