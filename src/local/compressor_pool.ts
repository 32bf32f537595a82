/**
 * Compression in other threads, so that intervals, the network and the log go on while a batch is
 * made, and several are made at once.
 *
 * @module
 */
import { refuseOversized, resolveBound } from "../compress/bound.ts";
import { type CompressorOptions, createCompressor } from "../compress/formats.ts";
import { RatioEstimate } from "../compress/ratio.ts";
import { CompressionError } from "../errors.ts";
import type { Compressor } from "../ports.ts";
import { workerUrl } from "../runtime.ts";
import type { CompressionAnswer, CompressionRequest } from "./compressor_worker.ts";
import { WorkerPool, type WorkerPoolOptions } from "./worker_pool.ts";

/**
 * How long an answer can take at the very most: a minute, and what level 11 would take at 50 kB/s.
 * It does 650 on a machine of 2025.
 */
const TIMEOUT_MS = 60_000;
const SLOWEST_BYTES_PER_MS = 50;

/**
 * A compressor that works in other threads, and makes the same bytes there. Calls may overlap: as
 * many run at once as there are workers and room in bytes, the others in the order of the calls.
 *
 * Workers are started when there is work for them. A pool left open keeps no process alive; call
 * `close()` to have the memory back.
 *
 * @example
 * ```ts
 * import { CompressorPool } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { deepEqual, rejects } from "node:assert/strict";
 *
 * const pool = new CompressorPool({ format: "brotli", level: 11 }, { workers: 2 });
 * const batch = new Uint8Array(1000);
 * const [first] = await Promise.all([pool.compress(batch), pool.compress(new Uint8Array(2000))]);
 * deepEqual(await pool.decompress(first), batch);
 *
 * // The same workers at a lower level, for when they cannot keep up.
 * const faster = pool.atLevel(9);
 * deepEqual(await pool.decompress(await faster.compress(batch)), batch);
 *
 * await rejects(pool.decompress(Uint8Array.of(1, 2, 3)), { code: "Corrupted" });
 * await pool.close();
 * ```
 */
export class CompressorPool implements Compressor {
  readonly name: string;
  readonly format: number;
  readonly level?: number;
  readonly #options: CompressorOptions;
  readonly #pool: WorkerPool<CompressionAnswer>;
  readonly #own: PooledCompressor;
  readonly #levels = new Map<number, Compressor>();

  /**
   * @param compressor what the workers compress with
   * @throws {CompressionError} `Unsupported` for a compressor that is not to be had
   * @throws {ConfigError} `Invalid` for a number of workers, bytes, retries or milliseconds that
   * cannot be
   */
  constructor(compressor: CompressorOptions, options: WorkerPoolOptions = {}) {
    this.#options = { ...compressor };
    this.#pool = new WorkerPool(workerUrl("src/local/compressor_worker.ts"), options);
    this.#own = new PooledCompressor(this.#options, this.#pool);
    this.name = this.#own.name;
    this.format = this.#own.format;
    if (this.#own.level !== undefined) this.level = this.#own.level;
  }

  /**
   * `data` must not change until this is done.
   *
   * @throws {CompressionError} what the compressor throws; `Failed` when a batch outlives none of
   * its workers, and for all that is not done when the pool is closed
   */
  compress(data: Uint8Array): Promise<Uint8Array> {
    return this.#own.compress(data);
  }

  /**
   * Counts as the most bytes that may come out of it, `maxDecompressedBytes`, for
   * `maxBytesInFlight`.
   *
   * @throws {CompressionError} as `compress()`
   */
  decompress(data: Uint8Array): Promise<Uint8Array> {
    return this.#own.decompress(data);
  }

  /** Raw bytes for one compressed byte at the level of the pool; see `ratio.ts`. */
  estimatedRatio(): number {
    return this.#own.estimatedRatio();
  }

  /**
   * A compressor with another level, the same workers and an estimate of its own; the same one for
   * the same level. It ends with the pool.
   *
   * @throws {CompressionError} `Unsupported` for a level that the format lacks
   */
  atLevel(level: number): Compressor {
    const known = this.#levels.get(level);
    if (known) return known;
    const { format } = this.#options;
    if (format === "none") {
      const message = `Cannot compress with level ${level}: without compression there is none`;
      throw new CompressionError("Unsupported", message, { details: { level } });
    }
    const made = new PooledCompressor({ ...this.#options, format, level }, this.#pool);
    this.#levels.set(level, made);
    return made;
  }

  /**
   * Fails the calls that are not done, and all later ones, and resolves when the workers have ended:
   * at once, but under Bun when what they compress is done, as 5 s for six blobs at level 11.
   */
  close(): Promise<void> {
    return this.#pool.close();
  }
}

/** One compressor of the workers of a pool. */
class PooledCompressor implements Compressor {
  readonly name: string;
  readonly format: number;
  readonly level?: number;
  readonly #options: CompressorOptions;
  readonly #pool: WorkerPool<CompressionAnswer>;
  readonly #maxBytes: number;
  readonly #estimate: RatioEstimate;

  constructor(options: CompressorOptions, pool: WorkerPool<CompressionAnswer>) {
    // Made to have the options checked, and for what it says of itself.
    const compressor = createCompressor(options);
    this.name = compressor.name;
    this.format = compressor.format;
    if (compressor.level !== undefined) this.level = compressor.level;
    this.#options = options;
    this.#pool = pool;
    this.#maxBytes = resolveBound(options);
    this.#estimate = new RatioEstimate(compressor.estimatedRatio());
  }

  async compress(data: Uint8Array): Promise<Uint8Array> {
    refuseOversized(data, this.#maxBytes);
    const compressed = await this.#run("compress", data, data.length);
    this.#estimate.learn(data.length, compressed.length);
    return compressed;
  }

  decompress(data: Uint8Array): Promise<Uint8Array> {
    return this.#run("decompress", data, this.#maxBytes);
  }

  estimatedRatio(): number {
    return this.#estimate.ratio;
  }

  async #run(
    action: CompressionRequest["action"],
    data: Uint8Array,
    bytes: number,
  ): Promise<Uint8Array> {
    const message: Omit<CompressionRequest, "data"> = { compressor: this.#options, action };
    const timeoutMs = TIMEOUT_MS + Math.ceil(data.length / SLOWEST_BYTES_PER_MS);
    const answer = await this.#pool.run({ message, data, bytes, timeoutMs }).catch((cause) => {
      throw failed(action, data, cause.message, cause);
    });
    if ("data" in answer) return new Uint8Array(answer.data);
    const cause = answer.cause === undefined ? {} : { cause: new Error(answer.cause) };
    if (!answer.known) throw failed(action, data, answer.message, new Error(answer.message, cause));
    const { code, kind, details } = answer.known;
    throw new CompressionError(code, answer.message, { kind, details, ...cause });
  }
}

function failed(
  action: CompressionRequest["action"],
  data: Uint8Array,
  reason: string,
  cause: Error,
): CompressionError {
  const message = `Cannot ${action} ${data.length} bytes: ${reason}`;
  return new CompressionError("Failed", message, { cause, details: { size: data.length } });
}
