/**
 * What happened to each batch, kept under `--data-dir` for `montana explain`: one JSON object a line, as
 * the log writes it, with its sentence. It is no journal: a crash may take the last lines, a full disk
 * those that come while it is full.
 *
 * ```
 * {"ts":"2026-11-21T12:00:00.000Z","level":"debug","event":"batch.sealed","text":"…","batch":"12",…}
 * ```
 *
 * @module
 */
import { appendFile, open, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { readError, systemCode, systemReason } from "../local/disk.ts";
import type { Log } from "../ports.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import { describe } from "./log.ts";

/** The file before this one is kept as well, so that the last tens of thousands of batches are there. */
const MAX_BYTES = 64 * 1024 * 1024;

const LINE_END = new TextEncoder().encode("\n");

/** A line of a history. */
export interface HistoryLine {
  readonly ts: string;
  readonly event: string;
  readonly text: string;
  readonly batch: string;
  readonly [field: string]: unknown;
}

function paths(dataDir: string): { readonly current: string; readonly before: string } {
  return { current: join(dataDir, "history.jsonl"), before: join(dataDir, "history.1.jsonl") };
}

/** Writes a history beside another log. */
export class History {
  readonly #dataDir: string;
  readonly #next: Log;
  #lines = "";
  /** Looked up anew behind a failure. */
  #size: number | undefined;
  #writing: Promise<void> | undefined;
  #isFailing = false;

  /** @param next is told everything, too */
  constructor(dataDir: string, next: Log) {
    this.#dataDir = dataDir;
    this.#next = next;
  }

  readonly log: Log = (event) => {
    this.#next(event);
    const { level, text, fields } = describe(event);
    if (fields.batch === undefined) return;
    const ts = new Date(systemClock.now()).toISOString();
    this.#lines += JSON.stringify({ ts, level, event: event.event, text, ...fields }) + "\n";
    this.#writing ??= this.#write().finally(() => this.#writing = undefined);
  };

  /** Resolves when all is written that could be. */
  async close(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  async #write(): Promise<void> {
    const { current } = paths(this.#dataDir);
    while (this.#lines !== "") {
      const lines = this.#lines;
      this.#lines = "";
      try {
        await this.#append(lines);
        this.#isFailing = false;
      } catch (error) {
        this.#size = undefined;
        const why = systemReason(error);
        if (!this.#isFailing) {
          writeStderr(
            `warning: cannot write ${current}: ${why}; what happens meanwhile is not in it`,
          );
        }
        this.#isFailing = true;
      }
    }
  }

  async #append(lines: string): Promise<void> {
    const { current, before } = paths(this.#dataDir);
    const size = this.#size ?? await endOf(current);
    if (size > MAX_BYTES) await rename(current, before);
    await appendFile(current, lines);
    this.#size = (size > MAX_BYTES ? 0 : size) + lines.length;
  }
}

/** How long a file is; half a line that a crash or a full disk left is ended. */
async function endOf(path: string): Promise<number> {
  const size = await stat(path).then(({ size }) => size, (error) => {
    if (systemCode(error) === "ENOENT") return 0;
    throw error;
  });
  if (size === 0) return 0;
  const file = await open(path, "a+");
  try {
    const { buffer } = await file.read({ buffer: new Uint8Array(1), position: size - 1 });
    if (buffer[0] !== LINE_END[0]) await file.write(LINE_END);
  } finally {
    await file.close();
  }
  return size;
}

/** What a history tells of one batch, in order; a torn last line is left out. */
export async function readHistory(dataDir: string, batch: bigint): Promise<HistoryLine[]> {
  const { current, before } = paths(dataDir);
  const texts = [await readIfThere(before), await readIfThere(current)];
  return texts.join("").split("\n").flatMap((line) => {
    // Cheaper than to parse all lines of a long history.
    if (!line.includes(`"batch":"${batch}"`)) return [];
    try {
      return [JSON.parse(line) as HistoryLine];
    } catch {
      return [];
    }
  });
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return "";
    throw readError("history", path, cause);
  }
}
