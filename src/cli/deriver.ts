/**
 * `montana deriver`: batches from an L1 in a directory to blocks in a file.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { DERIVER_DEFAULTS } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { readCheckpoint, writeCheckpoint } from "../local/checkpoint.ts";
import { FileBlockSink, type FilePosition, StdoutBlockSink } from "../local/file_block_sink.ts";
import { InboxSource } from "../local/inbox.ts";
import type { L1Directory } from "../local/l1_directory.ts";
import { DerivationRunner } from "../pipeline/derivation_runner.ts";
import type { DeriverPosition } from "../pipeline/deriver.ts";
import {
  onShutdownSignal,
  systemClock,
  systemRandom,
  writeStderr,
  writeStdout,
} from "../runtime.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { decompressionInWorker } from "./compression.ts";
import {
  type Addresses,
  addressesOf,
  BATCHER_FLAG,
  DATA_DIR_FLAG,
  INBOX_FLAG,
  isL1Mark,
  type L1Mark,
  l1Path,
  mustBeSameL1,
  ONCE_FLAG,
  openL1,
  retryPolicy,
} from "./local_l1.ts";
import { LOG_FLAGS, logFrom } from "./log.ts";
import { parseChoice, parseDuration, parseSize } from "./options.ts";
import { countOf, formatBytes, toJson } from "./text.ts";

/** The deriver. */
export const deriver: CommandSpec = {
  name: "deriver",
  summary: "Read batches from L1 and give the L2 blocks back",
  flags: [
    { flags: "--l1 <dir>", help: "L1 directory", isRequired: true },
    { flags: "--out <file>", help: "blocks as JSON lines; - is standard output", isRequired: true },
    DATA_DIR_FLAG,
    ONCE_FLAG,
    { flags: "--head <tag>", help: "how far to read: latest, safe or finalized", value: "safe" },
    INBOX_FLAG,
    BATCHER_FLAG,
    { flags: "--poll-interval <time>", help: "between two looks at L1", value: "100ms" },
    {
      flags: "--max-ahead-bytes <size>",
      help: "batches read and decompressed ahead; 0: none",
      value: `${DERIVER_DEFAULTS.maxAheadBytes / 1024 ** 2}MiB`,
    },
    ...LOG_FLAGS,
    JSON_FLAG,
  ],
  examples: [
    "deriver --l1 ./l1 --out derived.jsonl --once",
    "deriver --l1 ./l1 --out - --data-dir ./deriver | head -1",
  ],
  run: runDeriver,
};

/** What `deriver.json` holds. */
interface Checkpoint {
  readonly position: DeriverPosition;
  /** Where the blocks went, and how many. */
  readonly out: string;
  readonly written: FilePosition;
  readonly l1: L1Mark;
}

function isWhole({ position, out, written, l1 }: Partial<Checkpoint>): boolean {
  return typeof position?.nextBatchNumber === "bigint" && typeof out === "string" &&
    Number.isSafeInteger(written?.blocks) && Number.isSafeInteger(written?.bytes) && isL1Mark(l1);
}

async function runDeriver(flags: FlagValues): Promise<number> {
  const path = l1Path(flags);
  const once = flags.once === true;
  const out = textOf(flags, "out")!;
  const dataDir = textOf(flags, "dataDir");
  const log = logFrom(flags);
  const { inbox, batcher } = addressesOf(flags);
  const head = parseChoice("--head", textOf(flags, "head")!, ["latest", "safe", "finalized"]);
  const pollIntervalMs = parseDuration("--poll-interval", textOf(flags, "pollInterval")!);
  const maxAheadBytes = parseSize("--max-ahead-bytes", textOf(flags, "maxAheadBytes")!);
  const signal = onShutdownSignal((name) => writeStderr(`${name}: ending after this batch`));

  const l1 = await openL1(path, once ? undefined : signal);
  if (!l1) return EXIT.done;
  const file = dataDir && join(dataDir, "deriver.json");
  const checkpoint = file ? await readCheckpoint<Checkpoint>(file, isWhole) : undefined;
  if (checkpoint) await mustMatch(checkpoint, l1, { inbox, batcher }, out, dataDir!);

  const sink = out === "-"
    ? new StdoutBlockSink()
    : await FileBlockSink.open(out, checkpoint?.written);
  const source = new InboxSource(l1, {
    inbox,
    batchers: [batcher],
    head,
    startBlock: checkpoint?.l1.number ?? 0n,
    log: (event) => runner.recordEvent(event),
  });
  const decompression = decompressionInWorker();
  const runner = new DerivationRunner(
    {
      source,
      compressors: decompression.compressors,
      sink,
      clock: systemClock,
      random: systemRandom,
      log,
    },
    { pollIntervalMs, maxAheadBytes, retry: retryPolicy(once) },
    checkpoint?.position,
  );
  const save = async () => {
    const number = runner.pipeline.l1Position;
    if (!file || number === undefined) return;
    const next: Checkpoint = {
      position: runner.pipeline.position,
      out: outName(out),
      written: sink instanceof FileBlockSink ? sink.position : { blocks: 0, bytes: 0 },
      l1: { number, hash: (await l1.block(number)).hash, inbox, batcher },
    };
    await writeCheckpoint(file, next);
  };
  try {
    await runner.run({ signal, once, onProgress: save });
  } finally {
    await decompression.close();
    if (sink instanceof FileBlockSink) await sink.close();
  }
  return await tellEnd(runner, flags, once, out === "-");
}

async function tellEnd(
  runner: DerivationRunner,
  flags: FlagValues,
  once: boolean,
  isStdoutTaken: boolean,
): Promise<number> {
  const metrics = runner.metrics();
  const answer = flags.json
    ? toJson(metrics)
    : `derived ${countOf(metrics.batches_derived, "batch")}, ` +
      `${countOf(metrics.blocks_derived, "block")}, ${formatBytes(metrics.bytes_decompressed)}\n`;
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

async function mustMatch(
  checkpoint: Checkpoint,
  l1: L1Directory,
  addresses: Addresses,
  out: string,
  dataDir: string,
): Promise<void> {
  await mustBeSameL1(l1, addresses, checkpoint.l1, dataDir);
  if (checkpoint.out === outName(out)) return;
  throw new ConfigError(
    "Usage",
    `Cannot use --out ${out} with --data-dir ${dataDir}: its blocks went to ${checkpoint.out}; use ` +
      `another --data-dir for another output`,
  );
}

function outName(out: string): string {
  return out === "-" ? "standard output" : resolve(out);
}
