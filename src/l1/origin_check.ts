/**
 * Whether the L1 block that a batch names as its origin is there, with the hash that it names: readers drop a
 * batch on an L1 where it is not, so it would be paid for nothing.
 *
 * @module
 */
import { SinkError } from "../errors.ts";
import type { Chain } from "../ethereum.ts";
import type { BatchHeader } from "../types.ts";
import { CHECK_SIZE } from "../wire/batch.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";

/**
 * @returns why readers drop the batch; `undefined` where its origin is right
 * @throws {SinkError} `Connection` where the node does not have the block now
 * @throws {RpcError} where it cannot be asked
 */
export async function originFault(
  { batchNumber, l1Origin, l1OriginCheck }: BatchHeader,
  chain: Pick<Chain, "name" | "header">,
): Promise<string | undefined> {
  const header = await chain.header(l1Origin);
  if (!header) {
    throw new SinkError(
      "Connection",
      `Cannot look at the L1 origin of batch ${batchNumber}: ${chain.name} has no block ${l1Origin} now`,
      { details: { batch: batchNumber, l1Origin } },
    );
  }
  if (equalBytes(header.hash.slice(0, CHECK_SIZE), l1OriginCheck)) return undefined;
  return `it names L1 block ${l1Origin} with a hash that begins with ${
    toHex(l1OriginCheck)
  }, which is ` +
    `${toHex(header.hash)} at ${chain.name}: was it made for another L1?`;
}
