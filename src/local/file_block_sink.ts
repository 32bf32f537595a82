/**
 * Derived blocks into a file of JSON lines, or to standard output.
 *
 * @module
 */
import { SinkError } from "../errors.ts";
import type { L2BlockSink } from "../ports.ts";
import { writeStdout } from "../runtime.ts";
import type { DerivedBlock } from "../types.ts";
import { shown } from "../wire/hex.ts";
import { formatBlockLine, isDerivedLine } from "./block_line.ts";
import { type BlockFile, openBlockFile } from "./block_file.ts";
import { writeError } from "./disk.ts";
import { type Line, splitLines } from "./lines.ts";

const BUFFER_CHARS = 1024 * 1024;
const NEWLINE = 0x0a;

/** How much a file holds. */
export interface FilePosition {
  readonly blocks: number;
  readonly bytes: number;
  /** The file ended there once: what stands behind was written by a sink since, synced or not. */
  readonly isOwn?: boolean;
}

/**
 * Appends blocks to a file. Lines that the file holds already are compared with what is derived instead of
 * being written again, so deriving anew, or going on after a crash, is safe: a torn last line is cut, and
 * a line that differs is an error. What a power loss left of lines that were not synced is cut as well: zeros
 * in a line of text, and behind a position at which the file ended once whatever nobody else wrote. There
 * may stand blocks of an L1 that was reorganised since: they are cut, too.
 *
 * @example
 * ```ts
 * import { FileBlockSink } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { readFile, rm } from "node:fs/promises";
 *
 * const sink = await FileBlockSink.open("/tmp/montana-derived.jsonl");
 * await sink.ingest({
 *   timestamp: 7n,
 *   transactions: [Uint8Array.of(2)],
 *   batchNumber: 0n,
 *   l1Origin: 0n,
 *   l1Block: 1n,
 * });
 * await sink.close();
 * const line = await readFile("/tmp/montana-derived.jsonl", "utf8");
 * if (!line.startsWith('{"timestamp":7,"transactions":["0x02"]')) throw new Error(line);
 * await rm("/tmp/montana-derived.jsonl");
 * ```
 */
export class FileBlockSink implements L2BlockSink {
  readonly path: string;
  readonly #file: BlockFile;
  /** What the file holds and was not compared yet. */
  #existing: AsyncGenerator<Line | undefined, void, undefined> | undefined;
  #compared = 0;
  #blocks: number;
  #bytes: number;
  #buffer = "";
  #isSynced = true;
  #isNameSynced = false;
  /** What differs behind the position it was opened at is its own, and not finished. */
  readonly #isOwn: boolean;
  /** A part of a line may stand at the end. */
  #isTorn = false;
  /** Why nothing may be written any more: the file holds something else, or what it holds is unknown. */
  #broken: SinkError | undefined;

  private constructor(path: string, file: BlockFile, from: FilePosition) {
    this.path = path;
    this.#file = file;
    this.#blocks = from.blocks;
    this.#bytes = from.bytes;
    this.#isOwn = from.isOwn ?? false;
  }

  /**
   * @param from what the file holds for sure, and is not compared
   * @param openFile opens something else than a file of this machine
   * @throws {SinkError} `Unwritable` or `NoSpace`; `Changed` when the file is shorter than `from`
   */
  static async open(
    path: string,
    from: FilePosition = { blocks: 0, bytes: 0 },
    openFile: (path: string) => Promise<BlockFile> = openBlockFile,
  ): Promise<FileBlockSink> {
    let file: BlockFile | undefined;
    try {
      file = await openFile(path);
      const sink = new FileBlockSink(path, file, from);
      const size = await file.size() ?? 0;
      if (size < from.bytes) {
        throw new SinkError(
          "Changed",
          `Cannot go on with ${path}: ${from.blocks} blocks of ${from.bytes} bytes were written to ` +
            `it, it has ${size} bytes now`,
          { details: { size, expected: from.bytes } },
        );
      }
      if (size > from.bytes) {
        // Whoever wrote that may have been killed before it was synced.
        sink.#isSynced = false;
        sink.#existing = splitLines(await file.read(from.bytes), path);
      }
      return sink;
    } catch (cause) {
      await file?.close().catch(() => {});
      throw writeError("blocks to", path, cause);
    }
  }

  /** What is in the file for sure, once flushed. */
  get position(): FilePosition {
    return { blocks: this.#blocks, bytes: this.#bytes, isOwn: this.#isOwn || !this.#existing };
  }

  /** Blocks that were there already, and are the same. */
  get compared(): number {
    return this.#compared;
  }

  async ingest(block: DerivedBlock): Promise<void> {
    if (this.#broken) throw this.#broken;
    const line = formatBlockLine(block);
    if (this.#existing && await this.#isThere(line)) {
      this.#compared += 1;
      this.#blocks += 1;
      return;
    }
    // Before the line is taken: where writing fails, it is handed over again.
    if (this.#buffer.length >= BUFFER_CHARS) await this.#write();
    this.#buffer += line + "\n";
    this.#blocks += 1;
  }

  /**
   * Writes and syncs what is buffered.
   *
   * @throws {SinkError} where only writing fails, the same call may be made again; after a sync that
   * failed nobody knows what the file holds, and it must be opened again
   */
  async flush(): Promise<void> {
    if (this.#broken) throw this.#broken;
    if (this.#buffer !== "") await this.#write();
    if (this.#isSynced) return;
    try {
      await this.#file.sync();
      if (!this.#isNameSynced) await this.#file.syncName();
    } catch (cause) {
      throw this.#break(cause);
    }
    this.#isSynced = true;
    this.#isNameSynced = true;
  }

  /**
   * Takes back the last blocks: cuts the file off behind those before them.
   *
   * @throws {SinkError} `Changed` where the file does not hold so many; otherwise the same call may be
   * made again
   */
  async retract(blocks: number): Promise<void> {
    await this.flush();
    const left = this.#blocks - blocks;
    try {
      const bytes = await this.#bytesOf(left);
      await this.#existing?.return();
      this.#existing = undefined;
      await this.#file.truncate(bytes);
      this.#blocks = left;
      this.#bytes = bytes;
      this.#isSynced = false;
    } catch (cause) {
      throw this.#error(cause);
    }
    await this.flush();
  }

  /** Bytes of the first `blocks` lines. */
  async #bytesOf(blocks: number): Promise<number> {
    let bytes = 0;
    if (blocks === 0) return bytes;
    for await (const chunk of await this.#file.read(0)) {
      for (let at = chunk?.indexOf(NEWLINE) ?? -1; at >= 0; at = chunk!.indexOf(NEWLINE, at + 1)) {
        blocks -= 1;
        if (blocks === 0) return bytes + at + 1;
      }
      bytes += chunk?.length ?? 0;
    }
    throw new SinkError(
      "Changed",
      `Cannot take back blocks from ${this.path}: it lacks ${
        blocks === 1 ? "a block" : `${blocks} blocks`
      } of those that stay`,
      { details: { blocks } },
    );
  }

  /** Closes the file, whether or not what is buffered could still be written. */
  async close(): Promise<void> {
    try {
      if (!this.#broken) await this.flush();
    } finally {
      await this.#existing?.return();
      await this.#file.close().catch((cause) => {
        throw this.#error(cause);
      });
    }
  }

  async #write(): Promise<void> {
    const bytes = new TextEncoder().encode(this.#buffer);
    this.#isSynced = false;
    try {
      await this.#mend();
      await this.#refuseOthers();
      this.#isTorn = true;
      await this.#file.write(bytes);
    } catch (cause) {
      await this.#mend().catch(() => {});
      throw this.#error(cause);
    }
    this.#isTorn = false;
    this.#bytes += bytes.length;
    this.#buffer = "";
  }

  /** Half a line must not stay: what is buffered is written again, whole. */
  async #mend(): Promise<void> {
    if (!this.#isTorn) return;
    const size = await this.#file.size();
    if (size !== undefined && size > this.#bytes) await this.#file.truncate(this.#bytes);
    this.#isTorn = false;
  }

  async #isThere(line: string): Promise<boolean> {
    try {
      return await this.#compare(line);
    } catch (cause) {
      throw this.#break(cause);
    }
  }

  /** Two who append to one file would write every block twice. */
  async #refuseOthers(): Promise<void> {
    const size = await this.#file.size();
    if (size === undefined || size === this.#bytes) return;
    throw new SinkError(
      "Changed",
      `Cannot write blocks to ${this.path}: it had ${this.#bytes} bytes and has ${size} now; ` +
        `does another deriver write to it?`,
      { details: { size, expected: this.#bytes } },
    );
  }

  /** Whether the file's next line is this one; where its lines end, writing begins. */
  async #compare(line: string): Promise<boolean> {
    const { value: found } = await this.#existing!.next();
    if (found?.isWhole && found.text === line) {
      this.#bytes += line.length + 1; // All of it is ASCII.
      return true;
    }
    if (found) {
      const isTorn = !found.isWhole && line.startsWith(found.text);
      const isLost = this.#isOwn ? !isForeign(found.text, line) : hasHoles(found.text);
      if (!isTorn && !isLost) throw this.#differs(found, line);
      await this.#existing!.return();
      await this.#file.truncate(this.#bytes);
    }
    this.#existing = undefined;
    return false;
  }

  /** Nothing helps but to open it again, so nobody must try the same again. */
  #break(cause: unknown): SinkError {
    const { code, message, details } = this.#error(cause);
    this.#broken = new SinkError(code, message, { cause, details, kind: "critical" });
    return this.#broken;
  }

  #error(cause: unknown): SinkError {
    return writeError("blocks to", this.path, cause);
  }

  #differs(found: Line, line: string): SinkError {
    const number = this.#blocks + 1;
    let same = 0;
    while (same < line.length && line[same] === found.text[same]) same += 1;
    const near = (text: string) => shown(text.slice(Math.max(0, same - 20), same + 30));
    return new SinkError(
      "Changed",
      `Cannot go on at ${this.path}:${number}: it is not what L1 gives: ${near(found.text)} at ` +
        `column ${same + 1}, instead of ${near(line)}; derive into another file`,
      { details: { line: number } },
    );
  }
}

/** Zeros in a line of text: a power loss leaves them where bytes did not get to the disk, nobody writes them. */
function hasHoles(text: string): boolean {
  return /^[\0\x20-\x7e]*$/.test(text) && text.includes("\0");
}

/**
 * Whole, no damaged `line`, and no derived block: a power loss leaves nothing of that kind, so somebody
 * else wrote it. Another derived block is what L1 gave before it was reorganised.
 */
function isForeign(text: string, line: string): boolean {
  if (text.length === line.length || !/^[\x20-\x7e]*$/.test(text)) return false;
  try {
    return !isDerivedLine(text);
  } catch {
    return false;
  }
}

/** Writes blocks to standard output, and waits for whoever reads it. */
export class StdoutBlockSink implements L2BlockSink {
  /** Writes `{"retracted_blocks":N}`: the last N blocks that are not retracted already count no more. */
  async retract(blocks: number): Promise<void> {
    await writeStdout(`{"retracted_blocks":${blocks}}\n`);
  }

  /** @throws {SinkError} always critical: half a line may be out, so it cannot be written again */
  async ingest(block: DerivedBlock): Promise<void> {
    try {
      await writeStdout(formatBlockLine(block) + "\n");
    } catch (cause) {
      if (!(cause instanceof SinkError)) throw cause;
      throw new SinkError(cause.code, cause.message, { cause, kind: "critical" });
    }
  }
}
