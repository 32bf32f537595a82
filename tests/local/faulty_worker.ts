/**
 * The worker of the compressor, which goes wrong where its data say so: the text that
 * {@link faulty} makes. What it has done, it leaves in files, since its memory dies with it.
 *
 * @module
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { parentPort } from "node:worker_threads";
import type { CompressionRequest } from "../../src/local/compressor_worker.ts";

/** How to go wrong. */
export interface Fault {
  /**
   * End, throw, end after the answer, never answer, answer with what is no `CompressionError`, or
   * wait until the file `<path>.go` is there.
   */
  readonly kind: "exit" | "throw" | "late" | "hang" | "break" | "hold";
  /** How often, before the same data are taken as any other. */
  readonly times: number;
  /** Counts, as bytes of a file, how often it was met. */
  readonly path: string;
}

const MARK = "faulty:";

/** Data that make this worker go wrong. */
export function faulty(fault: Fault): Uint8Array {
  return new TextEncoder().encode(MARK + JSON.stringify(fault));
}

/** How often the fault of `path` was met. */
export function faultsAt(path: string): number {
  return existsSync(path) ? readFileSync(path).length : 0;
}

function goWrong({ kind, path }: Fault, request: { compressor: unknown }): void {
  switch (kind) {
    case "exit":
      return process.exit(7);
    case "throw":
      throw new Error("planted");
    case "late":
      setTimeout(() => process.exit(7), 20);
      return;
    case "break":
      request.compressor = null;
      return;
    default:
      while (kind === "hang" || !existsSync(`${path}.go`)) pause();
  }
}

/** Blocks this thread. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

// Before the real one, which is imported later, so that its listener comes second.
parentPort?.on("message", (request: CompressionRequest) => {
  const text = new TextDecoder().decode(request.data);
  if (!text.startsWith(MARK)) return;
  const fault: Fault = JSON.parse(text.slice(MARK.length));
  const met = faultsAt(fault.path);
  if (met >= fault.times) return;
  writeFileSync(fault.path, "x".repeat(met + 1));
  goWrong(fault, request);
});
if (parentPort) void import("../../src/local/compressor_worker.ts");
