/**
 * Hands batches to a command: one operation a line on its standard input. Exit code 0 says that the batch
 * is handled; any other, or a signal, that it is not, with the end of its standard error as the reason.
 *
 * | environment            |                                                     |
 * | ---------------------- | --------------------------------------------------- |
 * | `MONTANA_BATCH_FIRST`  | sequence of the first operation                     |
 * | `MONTANA_BATCH_LAST`   | sequence of the last: both are the batch's identity |
 * | `MONTANA_BATCH_COUNT`  | operations, so lines                                |
 *
 * Its standard output goes to our standard error. A batch comes again after a failure, and after a crash:
 * a command that must not do it twice compares the identity. Where this process is killed, the command
 * may see less lines than it was told of.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { HandlerError } from "../errors.ts";
import type { BatchHandler } from "../ports.ts";
import type { OperationBatch } from "../types.ts";
import { toLines } from "../wire/operation_lines.ts";

/** What of its standard error stands in the error. */
const MAX_SAID_BYTES = 2048;

/**
 * A command that takes batches.
 *
 * @example
 * ```ts
 * import { CommandHandler } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const operations = [{ sequence: 0n, data: new TextEncoder().encode("a") }];
 * const batch = { first: 0n, last: 0n, operations, bytes: 1 };
 * const { signal } = new AbortController();
 * await new CommandHandler("grep -q a").handle(batch, signal);
 * const refused = await new CommandHandler("grep -q b").handle(batch, signal).catch(() => true);
 * if (refused !== true) throw new Error("there is no b");
 * ```
 */
export class CommandHandler implements BatchHandler {
  readonly #command: string;
  readonly #onOutput: (data: Uint8Array) => void;

  /**
   * @param command for `/bin/sh -c`
   * @param onOutput takes what it prints
   */
  constructor(command: string, onOutput: (data: Uint8Array) => void = () => {}) {
    this.#command = command;
    this.#onOutput = onOutput;
  }

  /** @throws {HandlerError} `Failed` when it does not end with 0; `Rejected` for what is no line */
  async handle(batch: OperationBatch, signal: AbortSignal): Promise<void> {
    const lines = toLines(batch, batch.operations);
    signal.throwIfAborted();
    const child = spawn("/bin/sh", ["-c", this.#command], {
      // In a group of its own, so that it is ended with all that it started.
      detached: true,
      env: {
        ...process.env,
        MONTANA_BATCH_FIRST: `${batch.first}`,
        MONTANA_BATCH_LAST: `${batch.last}`,
        MONTANA_BATCH_COUNT: `${batch.operations.length}`,
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const kill = () => killGroup(child);
    signal.addEventListener("abort", kill);
    // A process that quits at once must not leave it to go on beside the next start.
    process.on("exit", kill);
    try {
      const said = new Tail(MAX_SAID_BYTES);
      const ended = endOf(child);
      child.stdout.on("data", this.#onOutput);
      child.stderr.on("data", (data: Uint8Array) => {
        said.push(data);
        this.#onOutput(data);
      });
      // A command that does not read all, and ends with 0, has handled it nevertheless.
      child.stdin.on("error", () => {});
      child.stdin.end(lines);
      const how = await ended;
      if (how !== undefined) throw this.#failed(batch, how, said.text());
    } finally {
      signal.removeEventListener("abort", kill);
      process.off("exit", kill);
    }
  }

  #failed({ first, last }: OperationBatch, how: string, said: string): HandlerError {
    return new HandlerError(
      "Failed",
      `Cannot handle batch ${first}-${last}: "${this.#command}" ${how}${said && `: ${said}`}`,
      { details: { first, last } },
    );
  }
}

/** Resolves with what is wrong with how it ended, if anything. */
function endOf(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(`could not be started: ${error.message}`));
    child.once("close", (code, signal) => {
      if (code === 0) resolve(undefined);
      else resolve(code === null ? `was ended by ${signal}` : `ended with ${code}`);
    });
  });
}

function killGroup(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** The end of a stream. */
class Tail {
  readonly #most: number;
  #bytes = new Uint8Array(0);

  constructor(most: number) {
    this.#most = most;
  }

  push(data: Uint8Array): void {
    const joined = new Uint8Array(this.#bytes.length + data.length);
    joined.set(this.#bytes);
    joined.set(data, this.#bytes.length);
    this.#bytes = joined.slice(-this.#most);
  }

  text(): string {
    return new TextDecoder().decode(this.#bytes).trim();
  }
}
