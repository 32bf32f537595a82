/**
 * `montana verify`: what L1 gives back, held against what a node of L2 has, block by block.
 *
 * Derived blocks carry no numbers: how they are matched stands in `pipeline/comparison.ts`. Where no
 * `--from` is given, the first that L1 gives is looked for on L2, by its timestamp and the hash of its
 * parent (`l2/block_at.ts`). What L1 made itself, deposits, is in no batch and is left out.
 *
 * @module
 */
import { DERIVER_DEFAULTS } from "../config.ts";
import { SourceError } from "../errors.ts";
import { blockHashing } from "../l1/block_hashing.ts";
import { HttpJsonRpc } from "../l1/json_rpc.ts";
import { blockAt, firstOfItsTime } from "../l2/block_at.ts";
import { L2Nodes } from "../l2/l2_nodes.ts";
import { RpcBlockSource } from "../l2/rpc_block_source.ts";
import { BlockComparison, type ComparedRange } from "../pipeline/comparison.ts";
import { DerivationRunner } from "../pipeline/derivation_runner.ts";
import type { Log } from "../ports.ts";
import {
  leaveMemoryOutOfCores,
  onShutdownSignal,
  systemClock,
  systemRandom,
  writeStderr,
} from "../runtime.ts";
import type { DerivedBlock } from "../types.ts";
import { type CommandSpec, type FlagValues, JSON_FLAG, listOf, textOf } from "./command.ts";
import { decompressionInWorker } from "./compression.ts";
import { l1BlocksLeft, type RoleL1 } from "./l1.ts";
import {
  addressesOf,
  BATCHERS_FLAG,
  ETHEREUM_FLAGS,
  INBOX_FLAG,
  L1_FLAG,
  l1Place,
  retryPolicy,
} from "./l1_flags.ts";
import { L2_NODE_FLAGS, l2Place } from "./l2.ts";
import { LOG_FLAGS, logFrom } from "./log.ts";
import { openL1 } from "./open_l1.ts";
import { parseWhole, usage } from "./options.ts";
import { patiently } from "./patient_rpc.ts";
import { startProgress, type WorkState } from "./progress.ts";
import { READ_TO_FLAGS, readTo } from "./read_to.ts";
import { tellVerdict } from "./verify_report.ts";

/** Where to begin is told by `--from`. */
const NODE_FLAGS = L2_NODE_FLAGS.filter(({ flags }) => !flags.startsWith("--start-block "));

/** Compares, and says where the first difference is. */
export const verify: CommandSpec = {
  name: "verify",
  summary: "Hold the blocks that L1 gives back against those of an L2 node",
  flags: [
    {
      flags: "--l2 <url>",
      help: "an execution client of L2 (or env:NAME); more URLs are asked where one fails",
      isRequired: true,
      isRepeated: true,
    },
    L1_FLAG,
    { flags: "--from <n>", help: "the first L2 block (the first that L1 gives)" },
    { flags: "--to <n>", help: "the last L2 block (the last that L1 gives)" },
    ...NODE_FLAGS,
    ...READ_TO_FLAGS,
    INBOX_FLAG,
    BATCHERS_FLAG,
    ...ETHEREUM_FLAGS,
    ...LOG_FLAGS,
    JSON_FLAG,
  ],
  examples: [
    "verify --l2 http://127.0.0.1:9545 --l1 ./l1",
    "verify --l2 http://127.0.0.1:9545 --from 1 --to 100000 --l1 ./l1 --json",
    "verify --l2 http://127.0.0.1:9545 --from 1 --to 100000 --l1 http://127.0.0.1:8545 --beacon http://127.0.0.1:5052 --inbox 0xff00000000000000000000000000000000008453 --batcher 0x5050f69a9786f081509234f1a7f4684b5e5b76c9",
  ],
  run: runVerify,
};

type Settings = ReturnType<typeof settingsFrom>;

async function runVerify(flags: FlagValues): Promise<number> {
  const settings = settingsFrom(flags);
  const { log } = settings;
  const signal = onShutdownSignal((name) =>
    writeStderr(`${name}: ending after this batch; once more stops at once`)
  );
  await leaveMemoryOutOfCores();
  const patience = { once: true, signal };
  const start = await patiently(() => firstOf(settings), patience);
  const l1 = (await openL1(settings.place, log, patience))!;
  try {
    return await runWith(settings, { l1, start, signal }, flags);
  } finally {
    await l1.close();
  }
}

function settingsFrom(flags: FlagValues) {
  const place = l1Place(flags);
  const numberOf = (name: string, flag: string) => {
    const text = textOf(flags, name);
    return text === undefined ? undefined : parseWhole(flag, text);
  };
  const [from, to] = [numberOf("from", "--from"), numberOf("to", "--to")];
  if (from !== undefined && to !== undefined && to < from) {
    throw usage(`Cannot use --from ${from} with --to ${to}: need a block that is not before it`);
  }
  const engine = listOf(flags, "l2").find((text) => text.startsWith("engine:"));
  const node = engine === undefined ? l2Place(flags) : undefined;
  if (node?.kind !== "node") {
    const where = node?.kind === "file" ? node.path : engine;
    throw usage(`Cannot verify against --l2 ${where}: need the URL of an execution client`);
  }
  const { urls, head, chainId, trustsHashes } = node;
  const log = logFrom(flags);
  return {
    place,
    from,
    to,
    log,
    addresses: addressesOf(flags, place),
    readTo: readTo(flags, place),
    head,
    l2: {
      endpoints: urls.map((url) => new HttpJsonRpc({ url, clock: systemClock })),
      ...(chainId === undefined ? {} : { chainId }),
      trustsHashes,
      clock: systemClock,
      random: systemRandom,
      log,
    },
  };
}

/** The block of L2 to begin with where that is told: of its timestamp, the first. */
async function firstOf({ l2, head, from }: Settings): Promise<bigint | undefined> {
  const nodes = new L2Nodes(l2);
  const last = (await nodes.head(head))?.number;
  if (from === undefined) return undefined;
  if (last !== undefined && from <= last) return await firstOfItsTime(nodes, from);
  throw new SourceError(
    "Empty",
    `Cannot verify from block ${from} on: the ${head} head of ${nodes.name} is ` +
      (last === undefined ? "not known" : `block ${last}`),
    { details: { from, head: last } },
  );
}

interface VerifyPlace {
  readonly l1: RoleL1;
  /** Where L2 is read from, where that is known. */
  readonly start: bigint | undefined;
  readonly signal: AbortSignal;
}

async function runWith(
  settings: Settings,
  { l1, start, signal }: VerifyPlace,
  flags: FlagValues,
): Promise<number> {
  const { log, addresses, from, to } = settings;
  const ended = new AbortController();
  signal.addEventListener("abort", () => ended.abort());
  let opened: RpcBlockSource | undefined;
  const comparison = new BlockComparison({
    open: async (first) => {
      const range = await openRange(settings, l1, first, start);
      opened = range.source instanceof RpcBlockSource ? range.source : undefined;
      return range;
    },
    clock: systemClock,
    onDone: () => ended.abort(),
  });
  const reader = l1.reader({
    addresses,
    head: settings.readTo,
    startBlock: 0n,
    log: (event) => runner.recordEvent(event),
  });
  const decompression = decompressionInWorker();
  const runner = new DerivationRunner(
    {
      source: reader,
      compressors: decompression.compressors,
      sink: comparison,
      clock: systemClock,
      random: systemRandom,
      log: withoutBatches(log),
    },
    { maxAheadBytes: DERIVER_DEFAULTS.maxAheadBytes, retry: retryPolicy(true) },
  );
  const progress = startProgress(flags, {
    task: "verify",
    read: () => stateOf(comparison, l1BlocksLeft(reader, runner.pipeline), settings),
    log,
  });
  try {
    await runner.run({ signal: ended.signal, once: true });
  } finally {
    await progress.stop();
    await opened?.close();
    await decompression.close();
  }
  const { expected, held } = runner.pipeline.waitingFor;
  const gap = held.length === 0 ? {} : { missingBatch: expected };
  const { keccak256 } = await blockHashing();
  const task = { from, to, isStopped: signal.aborted && !comparison.result.isDone, ...gap };
  return await tellVerdict(comparison.result, task, {
    isJson: flags.json === true,
    hash: keccak256,
  });
}

/** How far it came: of the blocks to compare where their end is known, of L1 otherwise. */
function stateOf(
  comparison: BlockComparison,
  l1Left: number | undefined,
  { from, to }: Settings,
): WorkState {
  const { newestTimestamp, result: { same, different, last, from: first = from } } = comparison;
  const left = to === undefined || first === undefined
    ? { left: l1Left, leftUnit: "L1 block" as const }
    : { left: Number(to - (last ?? first - 1n)), leftUnit: "block" as const };
  return { blocks: same + different, ...left, newestTimestamp };
}

/** The blocks of L2 from the first that counts. */
async function openRange(
  { l2, head, from, to }: Settings,
  l1: RoleL1,
  first: DerivedBlock,
  start: bigint | undefined,
): Promise<ComparedRange> {
  const upTo = to === undefined ? {} : { to };
  const startBlock = start ?? await blockAt(new L2Nodes(l2), first, head);
  if (startBlock === undefined) {
    const nothing = { pendingBlocks: () => Promise.resolve([]), isExhausted: true };
    return { source: nothing, from: from ?? 0n, ...upTo };
  }
  const source = new RpcBlockSource({ ...l2, head, startBlock, l1: l1.origins, follow: false });
  return { source, from: from ?? startBlock, ...upTo };
}

/** What was derived is no news here. */
function withoutBatches(log: Log): Log {
  return (event) => {
    if (event.event !== "batch.accepted" && event.event !== "batch.duplicate") log(event);
  };
}
