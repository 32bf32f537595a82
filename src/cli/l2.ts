/**
 * The L2 that a batcher takes blocks from: a file, nodes, or a consensus client.
 *
 * @module
 */
import { access } from "node:fs/promises";
import { describeError } from "../errors.ts";
import { HttpJsonRpc, parseEndpoint } from "../l1/json_rpc.ts";
import type { L2Head } from "../l2/l2_nodes.ts";
import { RpcBlockSource, type RpcBlockSourceOptions } from "../l2/rpc_block_source.ts";
import { readError } from "../local/disk.ts";
import { FileBlockSource } from "../local/file_block_source.ts";
import type { OriginL1 } from "../local/inbox.ts";
import type { BatcherJournal } from "../pipeline/batcher_journal.ts";
import type { BatchSource, Log } from "../ports.ts";
import { JwtSecret } from "../l2/jwt.ts";
import { leaveMemoryOutOfCores, systemClock, systemRandom, writeStderr } from "../runtime.ts";
import { resumeOf, takenOf } from "./batcher_position.ts";
import { type Flag, type FlagValues, listOf, textOf } from "./command.ts";
import { notedL2, noteL2 } from "./l2_record.ts";
import { mustBePath, outOfEnvironment, parseChoice, parseWhole, usage } from "./options.ts";
import { type EnginePlace, openEngine, parseEngineAddress } from "./engine_l2.ts";
import { type Patience, patiently } from "./patient_rpc.ts";

const HEADS: readonly L2Head[] = ["unsafe", "safe", "finalized"];

/** Where blocks come from. */
export const L2_FLAG: Flag = {
  flags: "--l2 <where>",
  help:
    "blocks as JSON lines, plain or gzip; - is stdin; the URL of an execution client (env:NAME: out of the environment), more URLs are asked where one fails; or engine:PORT, engine:HOST:PORT to be a consensus client's execution client",
  isRequired: true,
  isRepeated: true,
};

/** How an execution client is read. */
export const L2_NODE_FLAGS: readonly Flag[] = [
  {
    flags: "--l2-head <head>",
    help: `blocks up to ${HEADS.join(", ")} of a node (unsafe)`,
    choices: HEADS,
  },
  {
    flags: "--start-block <n>",
    help: "the first L2 block of a node that was or is to be posted (1)",
  },
  { flags: "--l2-chain-id <n>", help: "which chain the L2 must be (default: what the node says)" },
  {
    flags: "--l2-trust-hashes",
    help:
      "take a node's word for header hashes and transactions roots, where a chain makes them otherwise",
  },
];

/** How a consensus client is let in. */
export const JWT_SECRET_FLAG: Flag = {
  flags: "--jwt-secret <file>",
  help: "with --l2 engine:PORT: 64 hexadecimal digits that the consensus client has too",
};

/** Where an L2 is. */
export type L2Place =
  | { readonly kind: "file"; readonly path: string }
  | ({ readonly kind: "engine" } & EnginePlace)
  | ({ readonly kind: "node" } & NodePlace);

/** Where execution clients are, and what of them is taken. */
export interface NodePlace {
  readonly urls: readonly string[];
  readonly head: L2Head;
  readonly startBlock: bigint | undefined;
  readonly chainId: bigint | undefined;
  readonly trustsHashes: boolean;
}

/** What a batcher takes blocks from. */
export interface OpenedL2 {
  readonly source: BatchSource;
  /** The same source, waited for: whoever finds out where to go on cannot go on without it. */
  readonly patient: BatchSource;
  /** Transactions that L1 made, and that were left out. */
  readonly depositsLeftOut?: () => number;
  /** What is there now is all there ever will be. */
  readonly isFinite: boolean;
  /** Why nothing was there to take, where somebody may have meant it otherwise. */
  readonly whyNothing?: () => string | undefined;
  /** Takes no more blocks from outside: called when the batcher is told to end. */
  stopServing?(): Promise<void>;
  close(): Promise<void>;
}

/** How it is opened. */
export interface L2Options extends Patience {
  readonly l1: OriginL1;
  readonly journal: BatcherJournal | undefined;
  /** Where the journal is, and which L2 it belongs to. */
  readonly dataDir: string | undefined;
  readonly log: Log;
}

/** The L2 of `--l2` and the flags around it. */
export function l2Place(flags: FlagValues): L2Place {
  const places = listOf(flags, "l2").map((text) => outOfEnvironment("--l2", text));
  const isUrl = places.map((place) => /^[a-z]+:\/\//i.test(place));
  const numberOf = (name: string, flag: string) => {
    const text = textOf(flags, name);
    return text === undefined ? undefined : parseWhole(flag, text);
  };
  const node = {
    urls: places,
    head: parseChoice("--l2-head", textOf(flags, "l2Head") ?? "unsafe", HEADS),
    startBlock: numberOf("startBlock", "--start-block"),
    chainId: numberOf("l2ChainId", "--l2-chain-id"),
    trustsHashes: flags["l2TrustHashes"] === true,
  };
  const engine = enginePlace(places, flags);
  if (engine) return { kind: "engine", ...node, ...engine };
  if (flags["jwtSecret"] !== undefined) {
    throw usage("Cannot use --jwt-secret without --l2 engine:PORT: there is nobody to let in");
  }
  if (isUrl.every((each) => each)) {
    for (const place of places) parseEndpoint(place, "--l2");
    return { kind: "node", ...node };
  }
  if (isUrl.includes(true)) {
    throw usage(`Cannot use --l2 ${places[isUrl.indexOf(false)]} beside a URL: need URLs only`);
  }
  const [path = ""] = places;
  if (path === "" || places.length > 1) {
    throw usage(`Cannot use ${places.length} --l2: need one file, or URLs of nodes`);
  }
  mustBePath("--l2", path);
  const other = ["l2Head", "startBlock", "l2ChainId", "l2TrustHashes"]
    .find((name) => flags[name] !== undefined);
  if (other === undefined) return { kind: "file", path };
  const flag = other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw usage(`Cannot use --${flag} with an L2 in a file: it is for nodes`);
}

/** Where a consensus client is listened for; `undefined` where it is not. */
function enginePlace(
  places: readonly string[],
  flags: FlagValues,
): Pick<EnginePlace, "host" | "port" | "secretPath" | "dataDir"> | undefined {
  const addresses = places.map(parseEngineAddress);
  const address = addresses.find((each) => each !== undefined);
  if (address === undefined) return undefined;
  const what = `Cannot listen for a consensus client (--l2 ${places[addresses.indexOf(address)]})`;
  if (places.length > 1) {
    throw usage(`${what} beside another --l2: one alone says which chain it is`);
  }
  if (flags.once === true) throw usage(`${what} with --once: nobody knows when it has given all`);
  if (flags["l2TrustHashes"] === true) throw usage(`${what} with --l2-trust-hashes`);
  const dataDir = textOf(flags, "dataDir");
  if (dataDir === undefined) {
    throw usage(
      `${what} without --data-dir: what is acknowledged has to be written down somewhere`,
    );
  }
  const secretPath = textOf(flags, "jwtSecret");
  if (secretPath === undefined) {
    throw usage(
      `${what} without --jwt-secret: name the file with the secret that both have ` +
        `(openssl rand -hex 32 > jwt.hex; chmod 600 jwt.hex)`,
    );
  }
  return { ...address, secretPath, dataDir };
}

/** Refuses a file that is not there, before anything is made for it. */
export async function mustBeThere(place: L2Place): Promise<void> {
  if (place.kind === "engine") await JwtSecret.read(place.secretPath, systemClock);
  if (place.kind !== "file" || place.path === "-") return;
  const { path } = place;
  await access(path).catch((cause) => {
    throw readError("blocks from", path, cause);
  });
}

/** Opens the L2 of a place, behind what was taken from it. */
export async function openL2(place: L2Place, options: L2Options): Promise<OpenedL2> {
  if (place.kind === "node") return await openNodes(place, options);
  const { l1, journal, once, log } = options;
  if (place.kind === "engine") {
    const opened = await openEngine(place, { l1, taken: takenOf(journal), log });
    const { source } = opened;
    const depositsLeftOut = () => source.depositsLeftOut;
    return { ...opened, patient: source, depositsLeftOut, isFinite: false };
  }
  const source = await FileBlockSource.open(place.path, {
    l1,
    follow: !once,
    ...resumeOf(journal),
  });
  // Standard input that has ended brings nothing more.
  const isFinite = once || place.path === "-";
  return { source, patient: source, isFinite, close: () => source.close() };
}

async function openNodes(place: NodePlace, options: L2Options): Promise<OpenedL2> {
  const { l1, journal, log, once } = options;
  const { urls, head, startBlock, trustsHashes } = place;
  await leaveMemoryOutOfCores();
  const source = new RpcBlockSource({
    endpoints: urls.map((url) => new HttpJsonRpc({ url, clock: systemClock })),
    l1,
    head,
    follow: !once,
    trustsHashes,
    taken: takenOf(journal),
    ...await chainOf(place, options),
    ...(startBlock === undefined ? {} : { startBlock }),
    clock: systemClock,
    random: systemRandom,
    log,
  });
  return {
    source,
    patient: patientSource(source, options),
    depositsLeftOut: () => source.depositsLeftOut,
    isFinite: once,
    whyNothing: () => {
      const { headNumber } = source;
      const hasTaken = takenOf(journal).length > 0 || headNumber === undefined;
      if (hasTaken || startBlock === undefined || startBlock <= headNumber) return undefined;
      return `took no block: --start-block ${startBlock} is above the ${head} head, block ${headNumber}`;
    },
    close: () => source.close(),
  };
}

/** Which L2 it must be: that of what was taken before, or the one that is told, which is noted. */
async function chainOf(
  { chainId }: NodePlace,
  { journal, dataDir }: L2Options,
): Promise<Pick<RpcBlockSourceOptions, "chainId" | "genesisHash" | "onChain">> {
  const told = chainId === undefined ? {} : { chainId };
  if (dataDir === undefined) return told;
  const noted = takenOf(journal).length > 0 ? await notedL2(dataDir) : undefined;
  if (!noted) return { ...told, onChain: (chain) => noteL2(dataDir, chain) };
  if (chainId !== undefined && chainId !== noted.chainId) {
    throw usage(
      `Cannot use --l2-chain-id ${chainId} with --data-dir ${dataDir}: it belongs to chain ` +
        `${noted.chainId}; use another --data-dir for another L2`,
    );
  }
  const { genesisHash } = noted;
  return { chainId: noted.chainId, ...(genesisHash ? { genesisHash } : {}) };
}

/** Waits for the nodes where they are down, and says so once. */
function patientSource(source: RpcBlockSource, patience: Patience): BatchSource {
  let isTold = false;
  return {
    get isExhausted() {
      return source.isExhausted;
    },
    pendingBlocks: () =>
      patiently(async () => {
        try {
          const blocks = await source.pendingBlocks();
          isTold = false;
          return blocks;
        } catch (error) {
          if (!isTold) writeStderr(`waiting for L2: ${describeError(error)}`);
          isTold = true;
          throw error;
        }
      }, patience),
    l1Origin: () => source.l1Origin(),
    l1OriginHash: (number) => source.l1OriginHash(number),
    parentHash: () => source.parentHash(),
  };
}
