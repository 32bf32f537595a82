/**
 * `montana deriver`: batches from L1 to blocks in a file, or in an execution client.
 *
 * @module
 */
import { DERIVER_DEFAULTS } from "../config.ts";
import { describeError, MontanaError } from "../errors.ts";
import { DerivationRunner } from "../pipeline/derivation_runner.ts";
import type { Log } from "../ports.ts";
import { systemRandom, writeStderr, writeStdout } from "../runtime.ts";
import type { StateJournal } from "../wal/state_journal.ts";
import { EXIT, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { decompressionInWorker } from "./compression.ts";
import { LISTEN_FLAG, listenOf, serveBlocks } from "./blocks_service.ts";
import { ENGINE_FLAGS, firstBlockOf, type OutPlace, outPlace } from "./derived_out.ts";
import { type DeriverState, latestState, openStates } from "./deriver_state.ts";
import { l1BlocksLeft, type RoleL1 } from "./l1.ts";
import {
  addressesOf,
  BATCHERS_FLAG,
  DATA_DIR_FLAG,
  ETHEREUM_FLAGS,
  INBOX_FLAG,
  L1_FLAG,
  type L1Place,
  l1Place,
  ONCE_FLAG,
  retryPolicy,
} from "./l1_flags.ts";
import { LOG_FLAGS, logFrom } from "./log.ts";
import { DERIVER_CHAPTERS, watchDeriverRun } from "./deriver_health.ts";
import { METRICS_FLAG, type RoleMonitor } from "./monitor.ts";
import { openL1 } from "./open_l1.ts";
import { parseDuration, parseSize } from "./options.ts";
import { startProgress } from "./progress.ts";
import { READ_TO_FLAGS, readTo } from "./read_to.ts";
import { answeringRole, asRole, type RoleContext, type RoleSpec } from "./role.ts";
import type { WatchedLoop } from "./service_watch.ts";
import { countOf, formatBytes, toJson } from "./text.ts";

/** The deriver. */
export const deriver: RoleSpec = asRole({
  name: "deriver",
  summary: "Read batches from L1 and give the L2 blocks back",
  flags: [
    L1_FLAG,
    {
      flags: "--out <where>",
      help: "a file of JSON lines, - for standard output, or the URL of an execution client",
      isRequired: true,
    },
    ...ENGINE_FLAGS,
    LISTEN_FLAG,
    DATA_DIR_FLAG,
    ONCE_FLAG,
    ...READ_TO_FLAGS,
    INBOX_FLAG,
    BATCHERS_FLAG,
    ...ETHEREUM_FLAGS,
    {
      flags: "--poll-interval <time>",
      help: "between two looks at L1 (a directory: 100ms; Ethereum: a sixth of the block time)",
    },
    {
      flags: "--max-ahead-bytes <size>",
      help: "batches read and decompressed ahead; 0: none",
      value: `${DERIVER_DEFAULTS.maxAheadBytes / 1024 ** 2}MiB`,
    },
    METRICS_FLAG,
    ...LOG_FLAGS,
    JSON_FLAG,
  ],
  examples: [
    "deriver --l1 ./l1 --out derived.jsonl --once",
    "deriver --l1 ./l1 --out - --data-dir ./deriver | head -1",
    "deriver --l1 ./l1 --out http://127.0.0.1:8551 --jwt-secret jwt.hex --data-dir ./deriver",
    "deriver --l1 ./l1 --out derived.jsonl --listen 8600",
    "deriver --l1 http://127.0.0.1:8545 --beacon http://127.0.0.1:5052 --inbox 0xff00000000000000000000000000000000008453 --batcher 0x5050f69a9786f081509234f1a7f4684b5e5b76c9 --out derived.jsonl --data-dir ./deriver",
  ],
  read: (flags) => {
    const { log, once } = settingsFrom(flags);
    outPlace(flags, log, { once, signal: new AbortController().signal });
  },
  runRole: runDeriver,
});

async function runDeriver(flags: FlagValues, context: RoleContext): Promise<number> {
  const { monitor } = context;
  const settings = settingsFrom(flags, (log) => monitor.counting(DERIVER_CHAPTERS, log));
  const { dataDir, log, once } = settings;
  const signal = context.onStop((why) =>
    `${why}: ending after this batch; once more stops at once`
  );
  const loop = context.watch.loop();
  const patience = { once, signal, clock: loop };
  const out = outPlace(flags, log, patience);

  const l1 = await openL1(settings.place, log, patience).catch((error) => {
    if (!signal.aborted || !(error instanceof MontanaError)) throw error;
    writeStderr(`stopped before it could begin (${describeError(error)}); start again`);
    return "unanswered" as const;
  });
  if (l1 === "unanswered") return EXIT.workLeft;
  if (!l1) return EXIT.done;
  const states = dataDir === undefined
    ? undefined
    : await openStates(monitor.storage(), dataDir, log);
  try {
    const watch = { loop, onLooked: () => context.watch.looked() };
    return await runWith(settings, { l1, states, out, signal, monitor, watch }, flags);
  } finally {
    await states?.close();
    await l1.close();
  }
}

function settingsFrom(flags: FlagValues, counting: (log: Log) => Log = (log) => log) {
  const text = (name: string) => textOf(flags, name) ?? "";
  const place = l1Place(flags);
  return {
    place,
    once: flags.once === true,
    dataDir: textOf(flags, "dataDir"),
    listen: listenOf(flags),
    firstBlock: firstBlockOf(flags),
    log: counting(logFrom(flags)),
    addresses: addressesOf(flags, place),
    head: readTo(flags, place),
    pollIntervalMs: pollIntervalMs(flags, place),
    maxAheadBytes: parseSize("--max-ahead-bytes", text("maxAheadBytes")),
  };
}

function pollIntervalMs(flags: FlagValues, place: L1Place): number {
  const text = textOf(flags, "pollInterval");
  if (text !== undefined) return parseDuration("--poll-interval", text);
  return place.kind === "directory" ? 100 : place.blockTimeMs / 6;
}

interface DeriverPlace {
  readonly l1: RoleL1;
  /** Without `--data-dir` there are none. */
  readonly states: StateJournal<DeriverState> | undefined;
  readonly out: OutPlace;
  readonly signal: AbortSignal;
  readonly monitor: RoleMonitor;
  readonly watch: { readonly loop: WatchedLoop; readonly onLooked: () => void };
}

async function runWith(
  settings: ReturnType<typeof settingsFrom>,
  { l1, states, out, signal, monitor, watch: { loop, onLooked } }: DeriverPlace,
  flags: FlagValues,
): Promise<number> {
  const {
    once,
    dataDir = "",
    listen,
    firstBlock,
    log,
    addresses,
    head,
    pollIntervalMs,
    maxAheadBytes,
  } = settings;
  const task = { ...addresses, out, dataDir };
  const found = states && await latestState(states, l1, task);
  const state = found?.state;
  const output = await out.open(state);
  const service = listen &&
    await serveBlocks(output, { listen, firstBlock, ...(state ? { state } : {}) });
  const sink = service?.feed ?? output.sink;
  const source = l1.reader({
    addresses,
    head,
    startBlock: state?.l1.number ?? 0n,
    ...(state?.known ? { known: state.known } : {}),
    log: (event) => runner.recordEvent(event),
  });
  const decompression = decompressionInWorker();
  const runner = new DerivationRunner(
    {
      source: loop.watching(source, "nextBatch", onLooked),
      compressors: decompression.compressors,
      sink,
      clock: loop,
      random: systemRandom,
      log,
    },
    { pollIntervalMs, maxAheadBytes, retry: retryPolicy(once) },
    state?.position,
    found?.history,
  );
  const left = () => l1BlocksLeft(source, runner.pipeline);
  watchDeriverRun(monitor, runner, left);
  const progress = startProgress(flags, {
    task: "deriver",
    read: () => {
      const { blocks_derived, blocks_retracted } = runner.metrics();
      return {
        blocks: blocks_derived - blocks_retracted,
        left: left(),
        leftUnit: "L1 block",
        newestTimestamp: runner.pipeline.position.lastTimestamp,
      };
    },
    log,
  });
  const save = async () => {
    if (!states) return;
    const { position, l1Block, readFrom, blocks } = runner.pipeline.standing;
    const hash = await source.l1BlockHash(readFrom);
    if (!hash) return;
    await states.save({
      position,
      out: out.name,
      ...output.standing(),
      ...(service ? { digest: service.feed.digest } : {}),
      l1: { number: readFrom, hash, ...addresses },
      known: source.knownUpTo?.(l1Block > readFrom ? l1Block : readFrom) ?? [],
      l1Block,
      blocks,
    });
  };
  try {
    if (found && found.gone > 0) {
      writeStderr(`L1 was reorganised meanwhile: taking back ${countOf(found.gone, "block")}`);
      await output.takeBack(found.gone);
    }
    // From then on, what a power loss leaves behind an empty file is known to be our own.
    if (!state) await save();
    await runner.run({ signal, once, onProgress: save });
  } finally {
    await progress.stop();
    await decompression.close();
    await service?.close();
    await output.close();
  }
  return await tellEnd(runner, { isJson: flags.json === true, once, isStdoutTaken: out.isStdout });
}

async function tellEnd(
  runner: DerivationRunner,
  { isJson, once, isStdoutTaken }: { isJson: boolean; once: boolean; isStdoutTaken: boolean },
): Promise<number> {
  const metrics = runner.metrics();
  const answer = isJson
    ? toJson({ ...answeringRole(), ...metrics })
    : `derived ${countOf(metrics.batches_derived, "batch")}, ` +
      `${countOf(metrics.blocks_derived - metrics.blocks_retracted, "block")}, ${
        formatBytes(metrics.bytes_decompressed)
      }\n`;
  if (isStdoutTaken) writeStderr(answer.trimEnd());
  else await writeStdout(answer);

  const { expected, held } = runner.pipeline.waitingFor;
  if (!once || held.length === 0) return EXIT.done;
  writeStderr(
    `error: SequenceGap: batch ${expected} is missing on L1; ${countOf(held.length, "batch")} ` +
      `behind it wait`,
  );
  return EXIT.tryLater;
}
