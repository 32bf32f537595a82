/**
 * Which L2 a `--data-dir` belongs to: nodes of another one are refused by it, also where that is shorter and
 * has nothing to compare yet.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../errors.ts";
import type { L2Chain } from "../l2/l2_nodes.ts";
import { makeDirectory, readError, replaceFile, systemCode } from "../local/disk.ts";
import { fromHex, toHex } from "../wire/hex.ts";

const pathIn = (dataDir: string) => join(dataDir, "l2.json");

/** Writes down which L2 it is. */
export async function noteL2(dataDir: string, { chainId, genesisHash }: L2Chain): Promise<void> {
  const genesis = genesisHash && toHex(genesisHash);
  await makeDirectory(dataDir);
  const record = { chain_id: `${chainId}`, genesis_hash: genesis };
  await replaceFile(pathIn(dataDir), `${JSON.stringify(record)}\n`);
}

/**
 * The L2 that was noted; `undefined` where none was.
 *
 * @throws {ConfigError} `Invalid` where the file is not what was written
 */
export async function notedL2(dataDir: string): Promise<L2Chain | undefined> {
  const path = pathIn(dataDir);
  const text = await readFile(path, "utf8").catch((cause) => {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw readError("the L2 of a --data-dir", path, cause);
  });
  if (text === undefined) return undefined;
  try {
    const { chain_id, genesis_hash } = JSON.parse(text);
    return { chainId: BigInt(chain_id), genesisHash: fromHex(genesis_hash, "genesis_hash") };
  } catch (cause) {
    throw new ConfigError(
      "Invalid",
      `Cannot tell which L2 ${dataDir} belongs to: ${path} is not what was written there; remove it ` +
        `where --l2 is the same as before`,
      { cause },
    );
  }
}
