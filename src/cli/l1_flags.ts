/**
 * The flags of roles on an L1.
 *
 * @module
 */
import { parseEndpoint } from "../l1/json_rpc.ts";
import { DEFAULT_BATCHER, DEFAULT_INBOX } from "../local/inbox.ts";
import { RETRY_DEFAULTS, type RetryPolicy } from "../retry.ts";
import { toHex } from "../wire/hex.ts";
import { type Flag, type FlagValues, listOf, textOf } from "./command.ts";
import {
  mustBePath,
  nodeUrl,
  outOfEnvironment,
  parseAddress,
  parseDuration,
  parseWhole,
  usage,
} from "./options.ts";

/** Which L1. */
export const L1_FLAG: Flag = {
  flags: "--l1 <where>",
  help:
    "a directory, or the URL of an Ethereum node (env:NAME: out of the environment); more URLs are asked where one fails",
  isRequired: true,
  isRepeated: true,
};

/** Which inbox. */
export const INBOX_FLAG: Flag = {
  flags: "--inbox <address>",
  help: `where batches go (an L1 in a directory: ${toHex(DEFAULT_INBOX)})`,
};

/** Whose batches. */
export const BATCHER_FLAG: Flag = {
  flags: "--batcher <address>",
  help: `who posts them (an L1 in a directory: ${toHex(DEFAULT_BATCHER)})`,
};

/** The same where the key was changed once or more. */
export const BATCHERS_FLAG: Flag = {
  ...BATCHER_FLAG,
  help:
    `${BATCHER_FLAG.help}; more as ADDRESS@BLOCK, each in the place of the one before from that L1 block on`,
  isRepeated: true,
};

/** How an Ethereum L1 is read. */
export const ETHEREUM_FLAGS: readonly Flag[] = [
  {
    flags: "--beacon <url>",
    help:
      "beacon node or archiver with the blobs (or env:NAME); more URLs are asked where one lacks them",
    isRepeated: true,
  },
  { flags: "--archive <dir>", help: "blobs are looked for here first, and kept here" },
  { flags: "--l1-start-block <n>", help: "the first L1 block that may hold a batch (0)" },
  { flags: "--chain-id <n>", help: "which chain the L1 must be (default: what the node says)" },
  {
    flags: "--verify-l1",
    help: "recompute the hash and transactions of each L1 block: for nodes that are not trusted",
  },
  { flags: "--rpc-timeout <time>", help: "for an answer of a node of L1 (10s)" },
  { flags: "--block-time <time>", help: "between two L1 blocks", value: "12s" },
];

/** Those of no use in a directory. One has a value always; to read from an earlier block harms nobody. */
const FOR_ETHEREUM = ETHEREUM_FLAGS.filter(({ flags }) =>
  !/^--(?:block-time|l1-start-block) /.test(flags)
);

/** Work off what is there, and end. */
export const ONCE_FLAG: Flag = { flags: "--once", help: "work off what is there, then exit" };

/** Where a role keeps its position. */
export const DATA_DIR_FLAG: Flag = {
  flags: "--data-dir <dir>",
  help: "journal and position; without it, L1 is read again from the start",
};

/** Retries of a run that ends by itself are few: whoever scripts it can try again. */
export function retryPolicy(once: boolean): RetryPolicy {
  return once
    ? { ...RETRY_DEFAULTS, maxAttempts: 3, baseDelayMs: 500 }
    : { ...RETRY_DEFAULTS, maxAttempts: Number.MAX_SAFE_INTEGER };
}

/** Where an L1 is. */
export type L1Place =
  | { readonly kind: "directory"; readonly path: string }
  | ({ readonly kind: "ethereum" } & EthereumPlace);

/** Where an Ethereum L1 is, and what of it is looked at. */
export interface EthereumPlace {
  readonly urls: readonly string[];
  readonly beaconUrls: readonly string[];
  readonly archive: string | undefined;
  /** The first block that may hold a batch, where it was told. */
  readonly startBlock: bigint | undefined;
  readonly chainId: bigint | undefined;
  readonly blockTimeMs: number;
  /** Its nodes are not trusted: see `RpcChainOptions`. */
  readonly verifiesBlocks: boolean;
  /** How long a node may take to answer, where it was told. */
  readonly rpcTimeoutMs?: number;
}

/** The L1 of `--l1` and the flags around it. */
export function l1Place(flags: FlagValues): L1Place {
  const numberOf = (name: string) => {
    const text = textOf(flags, name);
    return text === undefined ? undefined : parseWhole(`--${dashed(name)}`, text);
  };
  const places = listOf(flags, "l1").map((text) => outOfEnvironment("--l1", text));
  const isUrl = places.map((place) => /^[a-z]+:\/\//i.test(place));
  if (isUrl.every((each) => !each)) {
    const [path = ""] = places;
    if (path === "" || places.length > 1) {
      throw usage(`Cannot use ${places.length} --l1: need one directory, or URLs of nodes`);
    }
    mustBePath("--l1", path);
    numberOf("l1StartBlock");
    refuseInDirectory(flags, FOR_ETHEREUM);
    return { kind: "directory", path };
  }
  if (isUrl.includes(false)) {
    throw usage(`Cannot use --l1 ${places[isUrl.indexOf(false)]} beside a URL: need URLs only`);
  }
  for (const place of places) parseEndpoint(place, "--l1");
  const timeout = textOf(flags, "rpcTimeout");
  if (timeout !== undefined && parseDuration("--rpc-timeout", timeout) === 0) {
    throw usage(`Cannot use --rpc-timeout ${timeout}: no node answers in no time`);
  }
  return {
    kind: "ethereum",
    urls: places,
    beaconUrls: listOf(flags, "beacon").map((text) => nodeUrl("--beacon", text)),
    archive: textOf(flags, "archive"),
    startBlock: numberOf("l1StartBlock"),
    chainId: numberOf("chainId"),
    verifiesBlocks: flags["verifyL1"] === true,
    ...(timeout === undefined ? {} : { rpcTimeoutMs: parseDuration("--rpc-timeout", timeout) }),
    blockTimeMs: parseDuration("--block-time", textOf(flags, "blockTime") ?? "12s"),
  };
}

/** Refuses flags that an L1 in a directory makes nothing of: whoever gives one means another L1. */
export function refuseInDirectory(given: FlagValues, useless: readonly Flag[]): void {
  const names = useless.map(({ flags }) => flags.split(" ")[0]);
  const flag = Object.keys(given).filter((name) => given[name] !== undefined)
    .map((name) => `--${dashed(name)}`).find((each) => names.includes(each));
  if (flag === undefined) return;
  throw usage(`Cannot use ${flag} with an L1 in a directory: it is for Ethereum`);
}

/** Whose batches, and to which inbox. */
export interface Addresses {
  readonly inbox: Uint8Array;
  readonly batcher: Uint8Array;
  /** Who came after that batcher, each from a higher L1 block on than the one before. */
  readonly successors?: readonly Successor[];
}

/** Whose batches count from an L1 block on, and nobody else's. */
export interface Successor {
  readonly address: Uint8Array;
  readonly fromBlock: bigint;
}

/** The addresses of a role. Those of a directory have a default; real money is sent nowhere unasked. */
export function addressesOf(flags: FlagValues, { kind }: Pick<L1Place, "kind">): Addresses {
  const address = (name: "inbox" | "batcher", otherwise: Uint8Array) => {
    const text = textOf(flags, name) ?? listOf(flags, name)[0];
    if (text !== undefined) return parseAddress(`--${name}`, text);
    if (kind === "directory") return otherwise;
    throw usage(`Cannot use an Ethereum L1 without --${name}: name its address`);
  };
  const successors = successorsOf(listOf(flags, "batcher").slice(1));
  if (successors.length > 0 && kind === "directory") {
    throw usage("Cannot use several --batcher with an L1 in a directory: it is for Ethereum");
  }
  return {
    inbox: address("inbox", DEFAULT_INBOX),
    batcher: address("batcher", DEFAULT_BATCHER),
    ...(successors.length > 0 ? { successors } : {}),
  };
}

/** The batchers that a repeated `--batcher` names, if it names any. */
export function namedBatchers(flags: FlagValues): Omit<Addresses, "inbox"> | undefined {
  const [first, ...later] = listOf(flags, "batcher");
  if (first === undefined) return undefined;
  return { batcher: parseAddress("--batcher", first), successors: successorsOf(later) };
}

/** Whose batches count in an L1 block. */
export function batcherAt(
  { batcher, successors = [] }: Omit<Addresses, "inbox">,
  block: bigint,
): Uint8Array {
  return successors.findLast(({ fromBlock }) => fromBlock <= block)?.address ?? batcher;
}

/** Those of `ADDRESS@BLOCK`. */
function successorsOf(texts: readonly string[]): Successor[] {
  const successors: Successor[] = [];
  for (const text of texts) {
    const [address = "", block, ...rest] = text.split("@");
    if (block === undefined || rest.length > 0) {
      throw usage(
        `Cannot use another --batcher "${text}": need ADDRESS@BLOCK, the L1 block from which on it posts`,
      );
    }
    const fromBlock = parseWhole("--batcher", block);
    const before = successors.at(-1)?.fromBlock ?? 0n;
    if (fromBlock <= before) {
      throw usage(`Cannot use --batcher "${text}": its L1 block must be above ${before}`);
    }
    successors.push({ address: parseAddress("--batcher", address), fromBlock });
  }
  return successors;
}

/** A flag's name, as it is typed. */
export function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
