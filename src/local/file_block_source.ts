/**
 * L2 blocks from a file of JSON lines, plain or gzip, or from standard input.
 *
 * @module
 */
import { SourceError } from "../errors.ts";
import type { BatchSource } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { checkFollows, nameOf, parseBlockLine } from "./block_line.ts";
import { openChunks } from "./chunks.ts";
import type { OriginL1 } from "./inbox.ts";
import { type Line, splitLines } from "./lines.ts";

/** How blocks are read. */
export interface FileBlockSourceOptions {
  /** The L1 that batches refer to. */
  readonly l1: OriginL1;
  /** Waits for more at the end of a plain file. False otherwise: the end is the end. */
  readonly follow?: boolean;
  /** What was taken in an earlier run, and is passed over. */
  readonly resume?: ResumePoint;
  /** Text after which one call of `pendingBlocks()` returns. */
  readonly maxBytesPerCall?: number;
}

/** The end of what an earlier run took. */
export interface ResumePoint {
  /** How many blocks, from the first of the file. */
  readonly blocks: number;
  /** The last of them. */
  readonly lastBlock: L2Block;
}

/** How long one call waits for standard input before it says that there is nothing. */
const STDIN_WAIT_MS = 20;

/**
 * Reads blocks in order, in bounded memory, and makes sure that each follows the one before.
 *
 * @example
 * ```ts
 * import { FileBlockSource, MemoryL1 } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { rm, writeFile } from "node:fs/promises";
 *
 * await writeFile("/tmp/montana-blocks.jsonl", '{"timestamp":7,"transactions":["0x02"]}\n');
 * const source = await FileBlockSource.open("/tmp/montana-blocks.jsonl", { l1: new MemoryL1() });
 * const [block] = await source.pendingBlocks();
 * if (block?.timestamp !== 7n) throw new Error("unexpected block");
 * await rm("/tmp/montana-blocks.jsonl");
 * ```
 */
export class FileBlockSource implements BatchSource {
  readonly #path: string;
  readonly #options: FileBlockSourceOptions;
  readonly #lines: AsyncGenerator<Line | undefined, void, undefined>;
  #asked: Promise<IteratorResult<Line | undefined, void>> | undefined;
  #before: L2Block | undefined;
  #seen = 0;
  #isExhausted = false;
  /** A reader that broke off must not look like one that came to its end. */
  #failure: unknown;

  private constructor(
    path: string,
    options: FileBlockSourceOptions,
    lines: AsyncGenerator<Line | undefined, void, undefined>,
  ) {
    this.#path = path === "-" ? "standard input" : path;
    this.#options = options;
    this.#lines = lines;
  }

  /**
   * @param path `-` is standard input
   * @throws {SourceError} `NotFound` or `Unreadable`
   */
  static async open(path: string, options: FileBlockSourceOptions): Promise<FileBlockSource> {
    const chunks = await openChunks(path, { follow: options.follow ?? false });
    return new FileBlockSource(path, options, splitLines(chunks, path));
  }

  get isExhausted(): boolean {
    return this.#isExhausted;
  }

  /**
   * @throws {SourceError} `InvalidBlock`, `Gap` or `WrongParent` naming file, line and both blocks;
   * `Changed` when the file is no longer what was read; `Unreadable`. Blocks before the bad one are given
   * first.
   */
  async pendingBlocks(): Promise<readonly L2Block[]> {
    if (this.#failure) throw this.#failure;
    const blocks: L2Block[] = [];
    const most = this.#options.maxBytesPerCall ?? 8 * 1024 * 1024;
    try {
      for (let bytes = 0; bytes < most && !this.#isExhausted;) {
        const line = await this.#nextLine();
        if (!line) break;
        bytes += line.text.length;
        const block = this.#accept(line);
        if (block) blocks.push(block);
      }
    } catch (error) {
      this.#failure = error;
      if (blocks.length === 0) throw error;
    }
    return blocks;
  }

  l1Origin(): Promise<bigint> {
    return this.#options.l1.head("safe");
  }

  async l1OriginHash(number: bigint): Promise<Uint8Array> {
    return (await this.#options.l1.block(number)).hash;
  }

  parentHash(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(32));
  }

  /** Ends reading; what was not taken is simply not taken. */
  async close(): Promise<void> {
    this.#isExhausted = true;
    if (!this.#asked) await this.#lines.return();
  }

  /** The next line, or `undefined` when there is none now. */
  async #nextLine(): Promise<Line | undefined> {
    this.#asked ??= this.#lines.next();
    const isInteractive = this.#path === "standard input";
    const result =
      await (isInteractive ? Promise.race([this.#asked, wait(STDIN_WAIT_MS)]) : this.#asked);
    if (!result) return undefined;
    this.#asked = undefined;
    if (result.done) this.#end();
    return result.value ?? undefined;
  }

  #end(): void {
    this.#isExhausted = true;
    const { resume } = this.#options;
    if (resume && !this.#reached(resume)) {
      throw new SourceError(
        "Changed",
        `Cannot go on with ${this.#path}: ${resume.blocks} blocks were posted, up to block ` +
          `${nameOf(resume.lastBlock)}; it ends at block ${this.#before && nameOf(this.#before)}`,
        { details: { blocks: resume.blocks, seen: this.#seen } },
      );
    }
    if (this.#seen > 0 || resume) return;
    throw new SourceError("Empty", `Cannot take blocks from ${this.#path}: it holds none`, {
      kind: "critical",
    });
  }

  /** Whether what was posted has passed by; a stream that brings nothing is not at odds with it. */
  #reached({ blocks, lastBlock }: ResumePoint): boolean {
    if (this.#before === undefined) return true;
    const { number } = this.#before;
    if (number === undefined || lastBlock.number === undefined) return this.#seen >= blocks;
    return number >= lastBlock.number;
  }

  #accept(line: Line): L2Block | undefined {
    if (line.text.trim() === "") return undefined;
    const where = `${this.#path}:${line.number}`;
    let block: L2Block;
    try {
      block = parseBlockLine(line.text, where);
    } catch (cause) {
      if (line.isWhole) throw cause;
      throw new SourceError(
        "InvalidBlock",
        `Cannot read a block at ${where}: the file ends in the middle of it`,
        { cause },
      );
    }
    if (this.#before) checkFollows(this.#before, block, where);
    this.#seen += 1;
    const isNew = this.#isAfterResume(block, where);
    this.#before = block;
    return isNew ? block : undefined;
  }

  /** By number where blocks have one, so that a stream may go on in the middle; by count otherwise. */
  #isAfterResume(block: L2Block, where: string): boolean {
    const { resume } = this.#options;
    if (!resume) return true;
    const last = resume.lastBlock;
    const isNumbered = block.number !== undefined && last.number !== undefined;
    const distance = isNumbered ? Number(block.number! - last.number!) : this.#seen - resume.blocks;
    if (distance === 0) mustBeSame(last, block, where);
    if (distance > 0 && !this.#before) checkFollows(last, block, where);
    return distance > 0;
  }
}

function mustBeSame(posted: L2Block, block: L2Block, where: string): void {
  const isSame = posted.timestamp === block.timestamp &&
    (!posted.hash || !block.hash || equalBytes(posted.hash, block.hash));
  if (isSame) return;
  const told = ({ timestamp, hash }: L2Block) => `${timestamp}${hash ? ` ${toHex(hash)}` : ""}`;
  throw new SourceError(
    "Changed",
    `Cannot go on at ${where}: block ${nameOf(block)} is ${
      told(block)
    }, but the one posted before ` +
      `was ${told(posted)}`,
  );
}

function wait(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, ms, undefined));
}
