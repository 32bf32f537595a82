/**
 * The embedded L1 of files, by the names of the seeds: `FileSink` posts batches to a directory,
 * `FileBatchSource` reads them back. `l1_directory.ts` tells what stands in the directory.
 *
 * @module
 */
import { InboxSink, type InboxSinkOptions, InboxSource, type InboxSourceOptions } from "./inbox.ts";
import { L1Directory, type L1DirectoryOptions } from "./l1_directory.ts";

/**
 * Posts batches to a directory.
 *
 * @example
 * ```ts
 * import { FileBatchSource, FileSink, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { mkdtemp, rm } from "node:fs/promises";
 *
 * const directory = await mkdtemp("/tmp/montana-");
 * const sink = await FileSink.open(directory, { clock: systemClock });
 * await sink.submit({ batchNumber: 0n, data: Uint8Array.of(2, 1) });
 *
 * const source = await FileBatchSource.open(directory);
 * const batch = await source.nextBatch();
 * if (batch?.batchNumber !== 0n || batch.data.length !== 2) throw new Error("not read back");
 * await rm(directory, { recursive: true });
 * ```
 */
export class FileSink extends InboxSink {
  /**
   * Opens the directory, and makes an L1 of it where it is missing or empty.
   *
   * @throws {SourceError} `Damaged` when it holds something else
   * @throws {SinkError} `Unwritable` or `NoSpace`
   */
  static async open(
    directory: string,
    options: InboxSinkOptions & L1DirectoryOptions,
  ): Promise<FileSink> {
    const timestamp = BigInt(Math.floor(options.clock.now() / 1000));
    return new FileSink(await L1Directory.openOrCreate(directory, timestamp, options), options);
  }
}

/** Reads batches from a directory. */
export class FileBatchSource extends InboxSource {
  /** @throws {SourceError} `NotFound` when there is no L1, `Damaged` when it is something else */
  static async open(directory: string, options: InboxSourceOptions = {}): Promise<FileBatchSource> {
    return new FileBatchSource(await L1Directory.open(directory), options);
  }
}
