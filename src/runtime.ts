/**
 * The process: its clock, its chance, its signals, its streams, and what differs between Deno, Bun and
 * Node.
 *
 * @module
 */
import process from "node:process";
import { randomInt } from "node:crypto";
import type { Clock, Random } from "./ports.ts";

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done);
    }),
};

/** The chance of the machine. */
export const systemRandom: Random = { next: () => randomInt(2 ** 32) / 2 ** 32 };

/** The runtime that runs this, and its version. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  if (bun) return `bun ${bun}`;
  return deno ? `deno ${deno}` : `node ${node}`;
}

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP; ends the process with 130 at the second.
 *
 * @param onFirst told which signal it was
 */
export function onShutdownSignal(onFirst: (name: string) => void): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      onFirst(name);
      controller.abort();
    });
  }
  return controller.signal;
}

/** Writes to standard output, and resolves when it is handed over. */
export function writeStdout(data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => error ? reject(error) : resolve());
  });
}

/** Writes a line to standard error. */
export function writeStderr(line: string): void {
  process.stderr.write(line + "\n");
}

/** All of standard input. */
export async function readStdin(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part as Uint8Array);
  return new Uint8Array(Buffer.concat(parts));
}

/** Whether a person looks at it. */
export const isTerminal: { readonly stdout: boolean; readonly stderr: boolean } = {
  stdout: process.stdout.isTTY === true,
  stderr: process.stderr.isTTY === true,
};
