/**
 * The flags that choose a compression.
 *
 * @module
 */
import { BrotliCompressor } from "../compress/brotli.ts";
import { FORMATS } from "../compress/formats.ts";
import { NoopCompressor } from "../compress/noop.ts";
import { ZstdCompressor } from "../compress/zstd.ts";
import { CompressionError, ConfigError } from "../errors.ts";
import type { Compressor } from "../ports.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { parseChoice, parseCount } from "./options.ts";

/** Brotli level at which sizes are estimated: a fiftieth of the time of level 11. */
const ESTIMATOR_LEVEL = 6;

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
  try {
    return makeCompressor(flags);
  } catch (cause) {
    if (!(cause instanceof CompressionError)) throw cause;
    throw new ConfigError("Usage", cause.message, { cause });
  }
}

/** A cheap one to plan with, where `compressor` is much slower than that. */
export function estimatorFor(compressor: Compressor): { readonly estimator?: Compressor } {
  const isSlow = compressor instanceof BrotliCompressor && compressor.level > ESTIMATOR_LEVEL;
  return isSlow ? { estimator: new BrotliCompressor({ level: ESTIMATOR_LEVEL }) } : {};
}

function makeCompressor(flags: FlagValues): Compressor {
  const number = (name: string) => {
    const text = textOf(flags, name);
    return text === undefined ? undefined : parseCount(`--${name}`, text, 0, 99);
  };
  const level = number("level");
  const windowSize = number("window");
  const engine = parseChoice("--engine", textOf(flags, "engine") ?? "wasm", ["wasm", "native"]);
  switch (parseChoice("--compressor", textOf(flags, "compressor") ?? "brotli", FORMATS)) {
    case "brotli":
      return new BrotliCompressor({
        engine,
        ...(level === undefined ? {} : { level }),
        ...(windowSize === undefined ? {} : { windowSize }),
      });
    case "zstd":
      return new ZstdCompressor(level === undefined ? {} : { level });
    case "none":
      return new NoopCompressor();
  }
}
