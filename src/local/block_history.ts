/**
 * The blocks that a file of JSON lines holds, by their places in it. Where each line begins is kept for
 * some of them only, ever farther apart, so that memory does not grow with the file.
 *
 * Each block has a digest of itself and of all before it: two files with the same digest at a place hold
 * the same blocks up to there.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { openChunks } from "./chunks.ts";
import { splitLines } from "./lines.ts";

/** A block, as a line of its file. */
export interface LineOfBlock {
  readonly line: string;
  /** 16 hexadecimal digits. */
  readonly digest: string;
}

/** The digest of no block. */
export const FIRST_DIGEST: string = "0".repeat(16);

/** The digest of a block behind one with the digest `before`. */
export function digestAfter(before: string, line: string): string {
  return createHash("sha256").update(before).update(line).digest("hex").slice(0, 16);
}

const STRIDE = 64;
/** With so many, every other is forgotten. */
const MAX_MARKS = 16_384;

interface Mark {
  /** Lines before it. */
  readonly index: number;
  readonly offset: number;
  /** Of the line before it. */
  readonly digest: string;
}

/**
 * Where the blocks of a file are.
 *
 * @example
 * ```ts
 * import { BlockHistory } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { rm, writeFile } from "node:fs/promises";
 *
 * await writeFile("/tmp/montana-history.jsonl", '{"timestamp":7}\n{"timestamp":9}\n');
 * const history = await BlockHistory.open("/tmp/montana-history.jsonl", 2);
 * const [second] = await history.read(1, 1, 1024);
 * if (second?.line !== '{"timestamp":9}') throw new Error("it is the second line");
 * await rm("/tmp/montana-history.jsonl");
 * ```
 */
export class BlockHistory {
  readonly #path: string;
  /** The first is the start of the file. */
  #marks: Mark[] = [{ index: 0, offset: 0, digest: FIRST_DIGEST }];
  #stride = STRIDE;
  #end: Mark = this.#marks[0]!;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * Reads through the start of a file.
   *
   * @param blocks how many of its lines count
   */
  static async open(path: string, blocks: number): Promise<BlockHistory> {
    const history = new BlockHistory(path);
    if (blocks === 0) return history;
    for await (const line of splitLines(await openChunks(path), path)) {
      if (!line?.isWhole || history.#end.index === blocks) break;
      history.push(line.text);
    }
    return history;
  }

  /** Lines that count. */
  get blocks(): number {
    return this.#end.index;
  }

  /** Of the last line. */
  get digest(): string {
    return this.#end.digest;
  }

  /** A line was written. */
  push(line: string): string {
    const { index, offset, digest } = this.#end;
    const next = digestAfter(digest, line);
    // All of it is ASCII.
    this.#end = { index: index + 1, offset: offset + line.length + 1, digest: next };
    if (this.#end.index % this.#stride === 0) this.#marks.push(this.#end);
    if (this.#marks.length > MAX_MARKS) {
      this.#stride *= 2;
      this.#marks = this.#marks.filter((mark) => mark.index % this.#stride === 0);
    }
    return next;
  }

  /** The last lines were cut off. They can still be read while this is asked. */
  async cutTo(blocks: number): Promise<void> {
    if (blocks >= this.blocks) return;
    const mark = this.#markAt(blocks);
    const lines = await this.read(mark.index, blocks - mark.index, Infinity);
    this.#marks = this.#marks.filter(({ index }) => index <= mark.index);
    this.#end = mark;
    for (const { line } of lines) this.push(line);
  }

  /**
   * Lines from a place on, as far as they count.
   *
   * @param maxBytes where it stops after a line; one at least is given
   */
  async read(from: number, count: number, maxBytes: number): Promise<readonly LineOfBlock[]> {
    const last = Math.min(from + count, this.blocks);
    const found: LineOfBlock[] = [];
    if (from >= last) return found;
    const mark = this.#markAt(from);
    let { index, digest } = mark;
    let bytes = 0;
    const chunks = await openChunks(this.#path, { start: mark.offset });
    for await (const line of splitLines(chunks, this.#path)) {
      if (!line?.isWhole) break;
      digest = digestAfter(digest, line.text);
      if (index >= from) found.push({ line: line.text, digest });
      if (index >= from) bytes += line.text.length;
      index += 1;
      if (index >= last || bytes >= maxBytes) break;
    }
    return found;
  }

  /** The last mark up to a place. */
  #markAt(index: number): Mark {
    const at = Math.min(Math.floor(index / this.#stride), this.#marks.length - 1);
    return this.#marks[at]!;
  }
}
