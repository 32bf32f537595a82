/**
 * `montana batcher`: blocks of L2, from a file or from nodes, to L1.
 *
 * @module
 */
import { join } from "node:path";
import { PIPELINE_DEFAULTS } from "../config.ts";
import { describeError, MontanaError } from "../errors.ts";
import { BatchSubmissionRunner } from "../pipeline/batch_runner.ts";
import { BatcherJournal } from "../pipeline/batcher_journal.ts";
import type { Log } from "../ports.ts";
import { systemClock, systemRandom, writeStderr, writeStdout } from "../runtime.ts";
import type { BlockTap, TakenBefore } from "../superblock/block_tap.ts";
import { type BatcherL1, checkBatcherL1, DA, openBatcherL1 } from "./batcher_l1.ts";
import { type BatcherPlace, findPosition, mustBelong, tellPosition } from "./batcher_position.ts";
import { EXIT, type Flag, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { COMPRESSION_FLAGS, compressionInWorkers, LEAST_LEVEL_FLAG } from "./compression.ts";
import { History } from "./history.ts";
import {
  type Addresses,
  BATCHER_FLAG,
  DATA_DIR_FLAG,
  ETHEREUM_FLAGS,
  INBOX_FLAG,
  L1_FLAG,
  l1Place,
  ONCE_FLAG,
  refuseInDirectory,
  retryPolicy,
} from "./l1_flags.ts";
import type { RoleL1 } from "./l1.ts";
import {
  JWT_SECRET_FLAG,
  L2_FLAG,
  L2_NODE_FLAGS,
  l2Place,
  mustBeThere,
  type OpenedL2,
  openL2,
} from "./l2.ts";
import { LOG_FLAGS, logFrom } from "./log.ts";
import { type BatcherHealth, batcherHealth } from "./batcher_health.ts";
import { METRICS_FLAG } from "./monitor.ts";
import { parseChoice, parseDuration, parseSize, usage } from "./options.ts";
import { PACKING_FLAGS, packingFrom } from "./packing_flags.ts";
import { startProgress } from "./progress.ts";
import { answeringRole, asRole, type RoleContext, type RoleSpec } from "./role.ts";
import { SENDING_FLAGS } from "./sending_flags.ts";
import type { WatchedLoop } from "./service_watch.ts";
import { SIGNER_FLAGS } from "./signer_flags.ts";
import { ofSameChain, tapFor } from "./tapped_l2.ts";
import { countOf, formatBytes, toJson } from "./text.ts";
import { startThrottle, THROTTLE_FLAGS, throttleSettings } from "./throttle.ts";

const TARGET_FLAG: Flag = {
  flags: "--target-batch-size <size>",
  help: "bytes before compression with which a batch is cut (what the blobs may take)",
};

/** The batcher. */
export const batcher: RoleSpec = asRole({
  name: "batcher",
  summary: "Post L2 blocks as batches to L1",
  flags: [
    L2_FLAG,
    L1_FLAG,
    DATA_DIR_FLAG,
    ONCE_FLAG,
    ...PACKING_FLAGS,
    TARGET_FLAG,
    { flags: "--da <where>", help: DA.join(", "), value: "blobs", choices: DA },
    ...COMPRESSION_FLAGS,
    LEAST_LEVEL_FLAG,
    INBOX_FLAG,
    BATCHER_FLAG,
    ...ETHEREUM_FLAGS,
    ...SIGNER_FLAGS,
    ...SENDING_FLAGS,
    ...L2_NODE_FLAGS,
    JWT_SECRET_FLAG,
    ...THROTTLE_FLAGS,
    { flags: "--poll-interval <time>", help: "between two looks at the source", value: "100ms" },
    { flags: "--shutdown-timeout <time>", help: "for posting what is left", value: "60s" },
    METRICS_FLAG,
    ...LOG_FLAGS,
    JSON_FLAG,
  ],
  examples: [
    "batcher --l2 blocks.jsonl.gz --l1 ./l1 --once",
    "batcher --l2 blocks.jsonl --l1 ./l1 --data-dir ./batcher --max-blobs 6",
    "batcher --l2 - --l1 ./l1 < blocks.jsonl",
    "batcher --l2 http://127.0.0.1:9545 --l2 env:OTHER_L2 --l1 ./l1 --data-dir ./batcher",
    "batcher --l2 engine:8551 --jwt-secret jwt.hex --l2-head safe --l1 ./l1 --data-dir ./batcher",
    "batcher --l2 blocks.jsonl --l1 ./l1 --data-dir ./batcher --throttle http://127.0.0.1:8545",
    "batcher --l2 blocks.jsonl --l1 http://127.0.0.1:8545 --inbox 0xff00000000000000000000000000000000008453 --key-file batcher.key --data-dir ./batcher",
  ],
  read: (flags) => {
    const { place, da } = settingsFrom(flags);
    checkBatcherL1(flags, place, da);
  },
  check: async (flags) => await mustBeThere(l2Place(flags)),
  runRole: runBatcher,
});

async function runBatcher(flags: FlagValues, context: RoleContext): Promise<number> {
  const health = batcherHealth(context.monitor);
  const settings = settingsFrom(flags, health.log);
  const { dataDir, log, history } = settings;
  const { superblock } = context.ties;
  const loop = context.watch.loop();
  const patience = { once: settings.once, clock: loop };
  const l2 = superblock ? ofSameChain(settings.l2, superblock) : settings.l2;
  const tap = superblock && tapFor(superblock, l2, log);
  const signal = context.onStop((why) =>
    `${why}: posting what was taken; once more stops at once, and nothing is lost`
  );

  // Before an L1 is made: a mistyped name should leave nothing behind.
  await mustBeThere(l2);
  const storage = context.monitor.storage();
  const journal = dataDir
    ? await BatcherJournal.open({
      storage,
      directory: join(dataDir, "batcher"),
      log,
    })
    : undefined;
  try {
    const check = (l1: RoleL1, addresses: Addresses) =>
      mustBelong(journal, { l1, addresses, dataDir });
    const accountClock = context.watch.loop();
    const place = await openBatcherL1({
      ...settings,
      flags,
      storage,
      signal,
      clock: loop,
      accountClock,
      check,
    });
    try {
      const resealing = {
        compressor: settings.compression.compressor,
        maxBytes: await place.sink.capacity(),
        log,
      };
      const watch = { loop, onLooked: () => context.watch.looked() };
      const run = { ...place, settings, journal, resealing, tap, signal, health, watch };
      const l1 = place.l1.origins;
      const opened = await openL2(l2, { l1, journal, dataDir, log, ...patience, signal });
      const stop = () => void opened.stopServing?.();
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
      try {
        return await runWith({ ...run, l2: opened }, flags);
      } finally {
        await opened.close();
      }
    } finally {
      await place.close();
    }
  } catch (error) {
    if (!signal.aborted || !(error instanceof MontanaError)) throw error;
    writeStderr(`stopped before it could begin (${describeError(error)}); start again`);
    return EXIT.workLeft;
  } finally {
    await journal?.close();
    await history?.close();
  }
}

interface BatcherRun extends BatcherPlace, Pick<BatcherL1, "sink" | "failed" | "settled"> {
  readonly settings: ReturnType<typeof settingsFrom>;
  readonly l2: OpenedL2;
  /** Reports what is taken, where batches of this process have it proved. */
  readonly tap: BlockTap | undefined;
  readonly health: BatcherHealth;
  readonly watch: { readonly loop: WatchedLoop; readonly onLooked: () => void };
}

async function runWith(run: BatcherRun, flags: FlagValues): Promise<number> {
  const { settings, l2, sink, tap, signal, health, watch: { loop, onLooked } } = run;
  const { shutdownTimeoutMs } = settings;
  await tap?.catchUp(takenBefore(run), signal);
  const position = await findPosition(run, tap?.before(l2.patient, signal) ?? l2.patient);
  const journal = tap ? tap.over(run.journal) : run.journal;
  if (signal.aborted) {
    const { length: left } = run.journal?.state.taken ?? [];
    if (left === 0) return EXIT.done;
    writeStderr(`stopped with ${countOf(left, "block")} not posted; start again`);
    return EXIT.workLeft;
  }
  tellPosition(position, run.journal);

  let newestTimestamp: bigint | undefined;
  const runner = new BatchSubmissionRunner(
    {
      source: loop.watching(l2.source, "pendingBlocks", onLooked),
      ...settings.compression,
      sink: loop.waitingFor(sink),
      clock: loop,
      random: systemRandom,
      log: settings.log,
      ...(journal ? { journal } : {}),
    },
    settings.config,
    { onBatchSubmitted: (_, { lastBlock }) => newestTimestamp = lastBlock?.timestamp },
    position,
  );
  health.begin(runner);
  const progress = startProgress(flags, {
    task: "batcher",
    read: () => ({
      blocks: runner.metrics().blocks_processed,
      left: l2.source.blocksLeft,
      leftUnit: "block",
      waiting: runner.pendingBlocks,
      newestTimestamp,
    }),
    log: settings.log,
  });
  const throttle = settings.throttle &&
    await startThrottle(settings.throttle, {
      unpostedBytes: () => runner.unpostedBytes,
      log: settings.log,
    });
  const tellWorkLeft = () => {
    writeStderr(`stopped with ${countOf(runner.pendingBlocks, "block")} not posted; start again`);
    return EXIT.workLeft;
  };
  try {
    const running = runner.run({ signal, once: l2.isFinite, shutdownTimeoutMs })
      .then(() => run.settled?.());
    running.catch(() => {}); // Where the account fails first, that is the reason.
    const ended = run.failed ? Promise.race([running, run.failed]) : running;
    if (!await isInTime(ended, signal, shutdownTimeoutMs)) return tellWorkLeft();
  } catch (error) {
    if (!signal.aborted || !(error instanceof MontanaError)) throw error;
    writeStderr(`error: ${describeError(error)}`);
    return tellWorkLeft();
  } finally {
    await progress.stop();
    await throttle?.stop();
  }
  const nothing = l2.whyNothing?.();
  if (nothing !== undefined) writeStderr(nothing);
  const metrics = runner.metrics();
  const { batches_submitted, blocks_processed, bytes_original, bytes_compressed } = metrics;
  const deposits = l2.depositsLeftOut ? { deposits_left_out: l2.depositsLeftOut() } : {};
  await writeStdout(
    flags.json
      ? toJson({ ...answeringRole(), ...metrics, ...deposits })
      : `posted ${countOf(batches_submitted, "batch")}, ` +
        `${countOf(blocks_processed, "block")}, ${formatBytes(bytes_original)} → ` +
        `${formatBytes(bytes_compressed)}\n`,
  );
  return EXIT.done;
}

/** What the tap has to know of earlier runs. */
function takenBefore({ journal }: Pick<BatcherRun, "journal">): TakenBefore {
  const { position, taken = [] } = journal?.state ?? {};
  return { lastPosted: position?.lastBlock, taken };
}

/** Whether a run ends within the time that it has once `signal` is aborted: level 11 takes seconds. */
async function isInTime(run: Promise<void>, signal: AbortSignal, timeMs: number): Promise<boolean> {
  const ended = new AbortController();
  const late = new Promise<false>((resolve) => {
    const begin = () => systemClock.sleep(timeMs, ended.signal).then(() => resolve(false));
    if (signal.aborted) begin();
    else signal.addEventListener("abort", begin, { once: true });
  });
  try {
    return await Promise.race([run.then(() => true), late]);
  } finally {
    ended.abort();
    run.catch(() => {});
  }
}

function settingsFrom(flags: FlagValues, counting: (log: Log) => Log = (log) => log) {
  const text = (name: string) => textOf(flags, name) ?? "";
  const once = flags.once === true;
  const dataDir = textOf(flags, "dataDir");
  const told = counting(logFrom(flags));
  const history = dataDir === undefined ? undefined : new History(dataDir, told);
  const log = history?.log ?? told;
  const { workers, maxBlobs, config } = packingFrom(flags);
  const place = l1Place(flags);
  if (place.kind === "directory") refuseInDirectory(flags, [...SIGNER_FLAGS, ...SENDING_FLAGS]);
  return {
    place,
    l2: l2Place(flags),
    dataDir,
    once,
    log,
    history,
    compression: compressionInWorkers(flags, workers, log),
    da: parseChoice("--da", text("da"), DA),
    maxBlobs,
    throttle: throttleSettings(flags),
    shutdownTimeoutMs: parseDuration("--shutdown-timeout", text("shutdownTimeout")),
    config: {
      ...config,
      targetBatchSize: targetBatchSize(flags),
      pollIntervalMs: parseDuration("--poll-interval", text("pollInterval")),
      retry: retryPolicy(once),
    },
  };
}

function targetBatchSize(flags: FlagValues): number {
  const text = textOf(flags, "targetBatchSize");
  const most = PIPELINE_DEFAULTS.targetRawBytes;
  if (text === undefined) return most;
  const bytes = parseSize("--target-batch-size", text);
  if (bytes >= 1 && bytes <= most) return bytes;
  throw usage(
    `Cannot use --target-batch-size "${text}": need a size from 1B to ${formatBytes(most)}`,
  );
}
