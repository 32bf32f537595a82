/**
 * What an estimate reckons with of L1: the fees, given or those of now, and the block that batches name.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import { RpcChain } from "../l1/chain.ts";
import { FinalBlocks } from "../l1/final_blocks.ts";
import type { Market } from "../l1/gas.ts";
import type { OriginL1 } from "../local/inbox.ts";
import type { Log } from "../ports.ts";
import { fromHex } from "../wire/hex.ts";
import { type Flag, type FlagValues, listOf, textOf } from "./command.ts";
import { openNodes, patientNodes } from "./ethereum_l1.ts";
import { ETHEREUM_FLAGS, type EthereumPlace, L1_FLAG, l1Place } from "./l1_flags.ts";
import { marketOf } from "./node_check.ts";
import { parseWei, usage } from "./options.ts";
import type { Patience } from "./patient_rpc.ts";

/** Which nodes of L1, and which fees in the place of theirs. */
export const PRICE_FLAGS: readonly Flag[] = [
  {
    ...L1_FLAG,
    flags: "--l1 <url>",
    help:
      "an Ethereum node (or env:NAME) whose present fees count; more URLs are asked where one fails",
    isRequired: false,
  },
  { flags: "--base-fee <amount>", help: "of one gas, such as 5gwei (that of --l1)" },
  { flags: "--tip <amount>", help: "besides, of one gas (that of --l1; 0wei without)" },
  { flags: "--blob-base-fee <amount>", help: "of one gas of blobs (that of --l1)" },
  ...ETHEREUM_FLAGS.filter(({ flags }) => /^--(?:chain-id|rpc-timeout) /.test(flags)),
];

/** What the flags say. */
export interface PriceSettings {
  readonly place: EthereumPlace | undefined;
  readonly given: Partial<Market>;
}

/** What was found. */
export interface Prices {
  /** None where nobody told any. */
  readonly market: Market | undefined;
  readonly origins: OriginL1;
}

/**
 * As many bytes as the number and hash of a real block take: of hashes nothing is saved by compression.
 */
const STAND_IN: OriginL1 = {
  head: () => Promise.resolve(21_000_000n),
  block: () => Promise.resolve({ hash: SOME_HASH }),
};
const SOME_HASH = fromHex(
  "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
  "hash",
  32,
);

/** The settings of the flags, for ways that data goes. */
export function priceSettings(flags: FlagValues, da: readonly string[]): PriceSettings {
  const wei = (name: string, flag: string) => {
    const text = textOf(flags, name);
    return text === undefined ? undefined : parseWei(flag, text);
  };
  const [baseFee, tip, blobBaseFee] = [
    wei("baseFee", "--base-fee"),
    wei("tip", "--tip"),
    wei("blobBaseFee", "--blob-base-fee"),
  ];
  const given = {
    ...(baseFee === undefined ? {} : { baseFee }),
    ...(tip === undefined ? {} : { tip }),
    ...(blobBaseFee === undefined ? {} : { blobBaseFee }),
  };
  if (listOf(flags, "l1").length > 0) {
    const place = l1Place(flags);
    if (place.kind === "ethereum") return { place, given };
    throw usage(`Cannot estimate by --l1 ${place.path}: a directory has no prices; need a URL`);
  }
  const isPriced = Object.keys(given).length > 0;
  const isInBlobs = da.some((each) => each !== "calldata");
  if (isPriced && (baseFee === undefined || (isInBlobs && blobBaseFee === undefined))) {
    const missing = baseFee === undefined ? "--base-fee" : "--blob-base-fee";
    throw usage(`Cannot tell costs without ${missing}: give it, or the --l1 whose fees count`);
  }
  if (!isPriced && da.includes("auto")) {
    throw usage("Cannot use --da auto without fees: give --l1, or --base-fee and --blob-base-fee");
  }
  return { place: undefined, given };
}

/** Asks the nodes, where there are any. */
export async function openPrices(
  { place, given }: PriceSettings,
  log: Log,
  patience: Patience,
): Promise<Prices> {
  if (!place) {
    const isPriced = Object.keys(given).length > 0;
    const market = isPriced ? { baseFee: 0n, tip: 0n, blobBaseFee: 0n, ...given } : undefined;
    return { market, origins: STAND_IN };
  }
  const chain = new RpcChain(await patientNodes(await openNodes(place, log), patience));
  const head = await chain.header("latest");
  if (!head) throw new RpcError("Invalid", `Cannot tell fees: ${chain.name} has no latest block`);
  const final = new FinalBlocks(chain);
  return {
    market: { ...await marketOf(chain, head), ...given },
    origins: {
      head: async () => (await final.newest()).number,
      block: async (number) => ({ hash: await final.hashOf(number) }),
    },
  };
}
