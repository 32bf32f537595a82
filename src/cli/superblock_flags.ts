/**
 * The flags of `montana superblock`, and what they say.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { CodecError, ConfigError } from "../errors.ts";
import type { L2Head } from "../l2/l2_nodes.ts";
import { systemReason } from "../local/disk.ts";
import type { Address } from "../service/http_server.ts";
import type { Given, PresetName, SuperblockConfig } from "../superblock/config.ts";
import type { ProvenRollup } from "../superblock/proof_config.ts";
import { fromHex } from "../wire/hex.ts";
import { attributeName, type Flag, type FlagValues, listOf, textOf } from "./command.ts";
import {
  nodeUrl,
  outOfEnvironment,
  parseChoice,
  parseDuration,
  parseListen,
  usage,
} from "./options.ts";
import { controlPath, dataDirOf } from "./processor_flags.ts";
import { readSuperblockConfig } from "./superblock_config.ts";

/** Where batches and jobs are. */
export const SUPERBLOCK_DIR_FLAG: Flag = {
  flags: "--data-dir <dir>",
  help: "batches, proof jobs, control socket; made if missing",
  value: "./superblock",
};

const PRESETS: readonly PresetName[] = ["production", "test"];
const PROOF_TYPES = ["groth16", "execute"] as const;

const CONFIG_FLAGS: readonly Flag[] = [
  {
    flags: "--preset <name>",
    help: "what is not set: production or test",
    value: "production",
    choices: PRESETS,
  },
  {
    flags: "--set <key=value>",
    help: "a key of the block, such as pipeline.max_retries=0; counts for most; may be repeated",
    isRepeated: true,
  },
];

const HEADS: readonly L2Head[] = ["unsafe", "safe", "finalized"];

/** Whose blocks are reported, where nobody else in this process reports them. */
export const REPORTED_L2_FLAGS: readonly Flag[] = [
  {
    flags: "--l2 <url>",
    help:
      "report the blocks of this execution client (env:NAME: out of the environment); more URLs are asked where one fails",
    isRepeated: true,
  },
  {
    flags: "--l2-head <head>",
    help: `with --l2: blocks up to ${HEADS.join(", ")} (safe)`,
    choices: HEADS,
  },
  {
    flags: "--l2-trust-hashes",
    help: "with --l2: take a node's word for hashes, where a chain makes them otherwise",
  },
];

const LISTEN_FLAG: Flag = {
  flags: "--listen <port>",
  help: "take blocks and tell of batches over HTTP; 127.0.0.1:PORT, or HOST:PORT; 0: any",
};

/** All of them, or nothing is proved; but for {@link optionalFlags}. */
const PROVING_FLAGS: readonly Flag[] = [
  { flags: "--prover <url>", help: "op-succinct: proves ranges of blocks, and aggregates them" },
  { flags: "--superblock-prover <url>", help: "superblock-prover: proves superblocks" },
  { flags: "--publisher <url>", help: "the Shared Publisher: takes what is proved" },
  {
    flags: "--rollup-node <url>",
    help: "op-node: tells output roots; without it they are made of what --l2 says",
  },
  {
    flags: "--rollup-config-hash <hash>",
    help: "of the rollup: 0x and 64 digits; execution checks do without it and those below",
  },
  { flags: "--multi-block-vkey <hash>", help: "of op-succinct's range program, likewise" },
  { flags: "--prover-address <address>", help: "that op-succinct proves for" },
  { flags: "--aggregation-vkey <file>", help: "of op-succinct's aggregation program, JSON" },
];

const PROOF_FLAGS: readonly Flag[] = [
  ...PROVING_FLAGS,
  {
    flags: "--proof-type <type>",
    help:
      "groth16, or execute: blocks and rules are only checked, by `montana prover`, and nothing is proved",
    choices: PROOF_TYPES,
  },
  { flags: "--proof-poll <time>", help: "between two looks at a proof under way", value: "10s" },
];

/** All but those of the log. */
export const SUPERBLOCK_FLAGS: readonly Flag[] = [
  SUPERBLOCK_DIR_FLAG,
  ...CONFIG_FLAGS,
  ...REPORTED_L2_FLAGS,
  LISTEN_FLAG,
  ...PROOF_FLAGS,
];

/** Nodes whose blocks are reported. */
export interface ReportedL2 {
  readonly urls: readonly string[];
  readonly head: L2Head;
  readonly trustsHashes: boolean;
}

/** Who proves and who takes the proofs. */
export interface ProvingPlaces {
  readonly prover: string;
  readonly superblockProver: string;
  readonly publisher: string;
  /** None: output roots are made of what the L2 says. */
  readonly rollupNode: string | undefined;
  readonly proofType: "groth16" | "execute";
  readonly rollup: ProvenRollup;
}

/** What the flags, the file and the environment say. */
export interface SuperblockSettings {
  readonly dataDir: string;
  readonly preset: PresetName;
  readonly config: SuperblockConfig;
  readonly l2: ReportedL2 | undefined;
  /** None: whole batches wait to be proved. */
  readonly proving: ProvingPlaces | undefined;
  readonly proofPollMs: number;
  /** Besides the control socket. */
  readonly listen: Address | undefined;
  readonly control: Address;
}

/**
 * @param beside what other roles of the process were given: their L1 and L2 are meant, where no other is set
 * @param options `readsKey`: whether the file of `--aggregation-vkey` is looked at
 * @throws {ConfigError} `Usage` or `Invalid`, naming what cannot be, or cannot be together
 */
export async function superblockSettings(
  flags: FlagValues,
  beside: Readonly<Record<string, FlagValues>> = {},
  { readsKey = true }: { readonly readsKey?: boolean } = {},
): Promise<SuperblockSettings> {
  const text = (name: string) => textOf(flags, name);
  const dataDir = dataDirOf(text("dataDir") ?? "");
  const preset = parseChoice("--preset", text("preset") ?? "", PRESETS);
  const path = text("config");
  const listen = text("listen");
  const l2 = reportedL2(flags) ?? (beside["batcher"] && nodesOf(beside["batcher"]));
  const proofPollMs = parseDuration("--proof-poll", text("proofPoll") ?? "");
  if (proofPollMs < 10) {
    throw usage(`Cannot use --proof-poll ${text("proofPoll")}: need 10ms or more`);
  }
  const given = listOf(flags, "set").map((each) => {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(each) ?? [];
    if (key === undefined) throw usage(`Cannot use --set "${each}": need key=value`);
    return { key, value, origin: "--set" };
  });
  const proving = await provingPlaces(flags, { hasL2: l2 !== undefined, readsKey });
  const config = await readSuperblockConfig({
    preset,
    assumed: Object.values(beside).flatMap(chainsOf),
    given,
    ...(path !== undefined && { path }),
  });
  if (proving && config.l1Listener.l1Rpc === undefined) {
    throw new ConfigError(
      "Invalid",
      "Cannot prove: l1_listener.l1_rpc is not set, and a proof is made against a final block of L1. " +
        "Set it in the file, or as BATCH_L1_LISTENER_L1_RPC",
    );
  }
  return {
    dataDir,
    preset,
    config,
    l2,
    proving,
    proofPollMs,
    listen: listen === undefined ? undefined : parseListen("--listen", listen),
    control: { path: controlPath(dataDir), mode: 0o600, isOurs: true },
  };
}

/** The chains of a role: an L1 in a directory has no epochs. */
function chainsOf(flags: FlagValues): readonly Given[] {
  const urlsOf = (flag: "l1" | "beacon") =>
    listOf(flags, flag).map((text) => outOfEnvironment(`--${flag}`, text)).filter(isUrl);
  const values = [
    { key: "l1_listener.l1_rpc", value: urlsOf("l1")[0], origin: "--l1" },
    { key: "l1_listener.beacon_rpc", value: urlsOf("beacon")[0], origin: "--beacon" },
    { key: "batch_manager.chain_id", value: textOf(flags, "l2ChainId"), origin: "--l2-chain-id" },
  ];
  return values.filter(({ value }) => value !== undefined);
}

/** The nodes that a batcher reads: they tell output roots too. */
function nodesOf(flags: FlagValues): ReportedL2 | undefined {
  const urls = listOf(flags, "l2").map((text) => outOfEnvironment("--l2", text));
  if (!urls.every(isUrl)) return undefined;
  return { urls, head: "unsafe", trustsHashes: flags["l2TrustHashes"] === true };
}

function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

function reportedL2(flags: FlagValues): ReportedL2 | undefined {
  const urls = listOf(flags, "l2").map((url) => nodeUrl("--l2", url));
  const head = textOf(flags, "l2Head");
  const trustsHashes = flags["l2TrustHashes"] === true;
  if (urls.length > 0) {
    return { urls, head: parseChoice("--l2-head", head ?? "safe", HEADS), trustsHashes };
  }
  if (head !== undefined) throw usage(`Cannot use --l2-head ${head} without --l2`);
  if (trustsHashes) throw usage("Cannot use --l2-trust-hashes without --l2");
  return undefined;
}

/** What need not be named: nothing of it is in an execution check, or it is read from the L2. */
function optionalFlags(proofType: string | undefined, hasL2: boolean): readonly string[] {
  const ofTheProof = ["--rollup-config-hash", "--multi-block-vkey", "--prover-address"];
  return [
    ...(hasL2 ? ["--rollup-node"] : []),
    ...(proofType === "execute" ? [...ofTheProof, "--aggregation-vkey"] : []),
  ];
}

async function provingPlaces(
  flags: FlagValues,
  { hasL2, readsKey }: { readonly hasL2: boolean; readonly readsKey: boolean },
): Promise<ProvingPlaces | undefined> {
  const proofType = textOf(flags, "proofType");
  const optional = optionalFlags(proofType, hasL2);
  const given = PROVING_FLAGS.map(({ flags: text }) => text.split(" ")[0]!)
    .map((flag) => ({ flag, value: textOf(flags, attributeName(flag)) }));
  const missing = given.filter(({ flag, value }) => value === undefined && !optional.includes(flag))
    .map(({ flag }) => flag);
  const named = given.filter(({ value }) => value !== undefined).map(({ flag }) => flag);
  if (named.length === 0) {
    if (proofType === undefined) return undefined;
    throw usage(`Cannot use --proof-type ${proofType} without --superblock-prover`);
  }
  if (missing.length > 0) {
    throw usage(
      `Cannot prove with ${named.join(", ")} alone: name ${missing.join(", ")} too, or none of ` +
        "them to collect batches only",
    );
  }
  const text = (flag: string) => textOf(flags, attributeName(flag));
  const url = (flag: string) => nodeUrl(flag, text(flag)!);
  const bytes = (flag: string, size: number) => {
    const value = text(flag);
    return value === undefined ? new Uint8Array(size) : hexOf(flag, value, size);
  };
  const vkey = text("--aggregation-vkey");
  return {
    prover: url("--prover"),
    superblockProver: url("--superblock-prover"),
    publisher: url("--publisher"),
    rollupNode: text("--rollup-node") === undefined ? undefined : url("--rollup-node"),
    proofType: parseChoice("--proof-type", proofType ?? "groth16", PROOF_TYPES),
    rollup: {
      rollupConfigHash: bytes("--rollup-config-hash", 32),
      multiBlockVKey: bytes("--multi-block-vkey", 32),
      proverAddress: bytes("--prover-address", 20),
      aggregationVKey: vkey === undefined || !readsKey
        ? {}
        : await jsonIn("--aggregation-vkey", vkey),
    },
  };
}

function hexOf(flag: string, text: string, bytes: number): Uint8Array {
  try {
    return fromHex(text, flag, bytes);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    throw usage(`Cannot use ${flag} "${text}": need 0x and ${2 * bytes} hexadecimal digits`);
  }
}

async function jsonIn(flag: string, path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw usage(`Cannot use ${flag} ${path}: ${systemReason(cause)}`);
  });
  try {
    return JSON.parse(text);
  } catch {
    throw usage(`Cannot use ${flag} ${path}: it holds no JSON`);
  }
}
