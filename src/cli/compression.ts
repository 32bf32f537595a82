/**
 * The flags that choose a compression.
 *
 * @module
 */
import {
  allCompressors,
  type CompressorOptions,
  createCompressor,
  FORMATS,
} from "../compress/formats.ts";
import { COMPRESSION_LEVEL } from "../config.ts";
import { CompressionError, ConfigError } from "../errors.ts";
import { CompressorPool } from "../local/compressor_pool.ts";
import type { BatcherParts } from "../pipeline/batcher_parts.ts";
import type { WorkerLoss } from "../local/worker_pool.ts";
import type { Compressor, Log } from "../ports.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { parseChoice, parseCount } from "./options.ts";

/** Brotli level at which sizes are estimated: a twenty-fifth of the time of level 11. */
const ESTIMATOR_LEVEL = 6;

const ENGINES = ["wasm", "native"] as const;

/** Compression, level, window, engine. */
export const COMPRESSION_FLAGS: readonly Flag[] = [
  { flags: "--compressor <name>", help: FORMATS.join(", "), value: "brotli", choices: FORMATS },
  { flags: "--level <n>", help: "Brotli 1 to 11 (default: 11), zstd 1 to 22" },
  { flags: "--window <log2>", help: "Brotli window; 22 is 4 MiB, others need --engine native" },
  {
    flags: "--engine <engine>",
    help: "wasm (the same bytes everywhere) or native",
    value: "wasm",
    choices: ENGINES,
  },
];

/**
 * The compressor that the flags name.
 *
 * @throws {ConfigError} `Usage` for what is not to be had
 */
export function compressorFrom(flags: FlagValues): Compressor {
  return orUsage(() => createCompressor(compressorOptions(flags)));
}

/** Levels to fall to. Below 6 a level costs more bytes than it saves time. */
const FASTER_LEVELS = [10, 9, 6];
const LEVELS = ["11", "10", "9", "6"] as const;

/** How far the level may fall while the workers cannot keep up. */
export const LEAST_LEVEL_FLAG: Flag = {
  flags: "--least-level <n>",
  help: "how far Brotli's level may fall while the workers lag behind the chain: 11, 10, 9 or 6",
  value: "6",
  choices: LEVELS,
};

/** The same in threads of their own, so that signals and the log do not wait for level 11. */
export function compressionInWorkers(
  flags: FlagValues,
  workers: number,
  log: Log = () => {},
): Pick<BatcherParts, "compressor" | "estimator" | "faster"> {
  const text = textOf(flags, "leastLevel") ?? LEAST_LEVEL_FLAG.value!;
  const least = Number(parseChoice("--least-level", text, LEVELS));
  return orUsage(() => {
    const options = compressorOptions(flags);
    // A thread takes longer to start than this one to copy.
    if (options.format === "none") return { compressor: createCompressor(options) };
    const onWorkerLost = (loss: WorkerLoss) => log({ event: "worker.lost", ...loss });
    const compressor = new CompressorPool(options, { workers, onWorkerLost });
    if (options.format !== "brotli") return { compressor };
    const { level = COMPRESSION_LEVEL } = options;
    if (level <= ESTIMATOR_LEVEL) return { compressor };
    // A thread of its own: the next batch is planned while all others compress.
    const cheap = { ...options, level: ESTIMATOR_LEVEL };
    const estimator = new CompressorPool(cheap, { workers: 1, onWorkerLost });
    return {
      compressor,
      estimator,
      faster: FASTER_LEVELS.filter((each) => each < level && each >= least)
        .map((each) => compressor.atLevel(each)),
    };
  });
}

/** All that a deriver reads, the one for production in a thread of its own. */
export interface Decompression {
  readonly compressors: readonly Compressor[];
  /** Ends that thread. */
  close(): Promise<void>;
}

/** One thread, since batches read ahead are opened one at a time. */
export function decompressionInWorker(): Decompression {
  const pool = new CompressorPool({ format: "brotli" }, { workers: 1 });
  const others = allCompressors().filter(({ format }) => format !== pool.format);
  return { compressors: [pool, ...others], close: () => pool.close() };
}

function orUsage<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof CompressionError)) throw cause;
    throw new ConfigError("Usage", cause.message, { cause });
  }
}

function compressorOptions(flags: FlagValues): CompressorOptions {
  const number = (name: string) => {
    const text = textOf(flags, name);
    return text === undefined ? undefined : parseCount(`--${name}`, text, 0, 99);
  };
  const level = number("level");
  const windowSize = number("window");
  const engine = parseChoice("--engine", textOf(flags, "engine") ?? "wasm", ENGINES);
  const atLevel = level === undefined ? {} : { level };
  const format = parseChoice("--compressor", textOf(flags, "compressor") ?? "brotli", FORMATS);
  switch (format) {
    case "brotli":
      return { format, engine, ...atLevel, ...(windowSize === undefined ? {} : { windowSize }) };
    case "zstd":
      return { format, ...atLevel };
    case "none":
      return { format };
  }
}
