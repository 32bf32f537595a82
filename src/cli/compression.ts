/**
 * The flags that choose a compression.
 *
 * @module
 */
import { type CompressorOptions, createCompressor, FORMATS } from "../compress/formats.ts";
import { CompressionError, ConfigError } from "../errors.ts";
import { CompressorPool } from "../local/compressor_pool.ts";
import type { Compressor } from "../ports.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { parseChoice, parseCount } from "./options.ts";

/** Compression, level, window, engine. */
export const COMPRESSION_FLAGS: readonly Flag[] = [
  { flags: "--compressor <name>", help: FORMATS.join(", "), value: "brotli" },
  { flags: "--level <n>", help: "Brotli 1 to 11 (default: 11), zstd 1 to 22" },
  { flags: "--window <log2>", help: "Brotli window; 22 is 4 MiB, others need --engine native" },
  { flags: "--engine <engine>", help: "wasm (the same bytes everywhere) or native", value: "wasm" },
];

/**
 * The compressor that the flags name.
 *
 * @throws {ConfigError} `Usage` for what is not to be had
 */
export function compressorFrom(flags: FlagValues): Compressor {
  return orUsage(() => createCompressor(compressorOptions(flags)));
}

/** The same in a thread of its own, so that signals and the log do not wait for level 11. */
export function compressorInWorker(flags: FlagValues): Compressor {
  return orUsage(() => new CompressorPool(compressorOptions(flags), { workers: 1 }));
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
  const engine = parseChoice("--engine", textOf(flags, "engine") ?? "wasm", ["wasm", "native"]);
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
