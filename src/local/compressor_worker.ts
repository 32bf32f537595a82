/**
 * The other side of {@link CompressorPool}: compresses and decompresses in a thread of its own, one
 * message after the other.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { type CompressorOptions, createCompressor } from "../compress/formats.ts";
import {
  CompressionError,
  type CompressionErrorCode,
  type ErrorDetails,
  type ErrorKind,
} from "../errors.ts";

/** What this side is told. */
export interface CompressionRequest {
  readonly compressor: CompressorOptions;
  readonly action: "compress" | "decompress";
  readonly data: ArrayBuffer;
}

/** What it says: bytes, or an error. Classes do not travel between threads. */
export type CompressionAnswer =
  | { readonly data: ArrayBuffer }
  | {
    /** Of a {@link CompressionError}; any other error has none. */
    readonly known?: {
      readonly code: CompressionErrorCode;
      readonly kind: ErrorKind;
      readonly details: ErrorDetails;
    };
    readonly message: string;
    readonly cause: string | undefined;
  };

async function answer({ compressor, action, data }: CompressionRequest): Promise<void> {
  try {
    const made = await createCompressor(compressor)[action](new Uint8Array(data));
    // A view would move all that it is a view of, which may be the runtime's own.
    const { buffer } = made.length === made.buffer.byteLength ? made : new Uint8Array(made);
    parentPort?.postMessage({ data: buffer }, [buffer as ArrayBuffer]);
  } catch (error) {
    parentPort?.postMessage(inWords(error));
  }
}

function inWords(error: unknown): CompressionAnswer {
  if (!(error instanceof Error)) return { message: String(error), cause: undefined };
  const { message } = error;
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  if (!(error instanceof CompressionError)) return { message, cause };
  const { code, kind, details } = error;
  return { known: { code, kind, details }, message, cause };
}

// Imported, and not run as a worker, it does nothing.
parentPort?.on("message", (request: CompressionRequest) => void answer(request));
parentPort?.postMessage("ready");
