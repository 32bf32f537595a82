/**
 * From the bytes of a batch on L1 to its blocks: what depends on nothing but the bytes, and can
 * therefore be done before the batch's turn.
 *
 * @module
 */
import { CodecError, CompressionError } from "../errors.ts";
import type { BatchCodec, Compressor } from "../ports.ts";
import type { Batch, L1Batch } from "../types.ts";
import { open } from "../wire/envelope.ts";
import { type Drop, undecodable } from "./verdict.ts";

/** What the view of a transaction takes beside its bytes: 121 under Deno 2.9.6, 76 under Bun 1.4.5. */
const OBJECT_BYTES = 128;

/** What a batch holds, or why its bytes hold no batch. */
export type Opened =
  | { readonly decoded: Batch; readonly rawBytes: number; readonly drop?: undefined }
  | { readonly drop: Drop; readonly decoded?: undefined; readonly rawBytes?: undefined };

/** What opening needs. */
export interface Opener {
  /** One for each format that is to be read. */
  readonly compressors: readonly Compressor[];
  readonly codec: BatchCodec;
}

/** A batch read from L1, opened once, whether before its turn or at it. */
export class ReadBatch {
  readonly batch: L1Batch;
  readonly #opener: Opener;
  #opened: Promise<Opened> | undefined;

  constructor(batch: L1Batch, opener: Opener) {
    this.batch = batch;
    this.#opener = opener;
  }

  /** @throws what a failing engine threw: the next call tries again */
  async open(): Promise<Opened> {
    try {
      return await (this.#opened ??= openBatch(this.batch, this.#opener));
    } catch (error) {
      this.#opened = undefined;
      throw error;
    }
  }

  /**
   * Opens it before its turn; what fails is told by {@link ReadBatch.open}, when that is called.
   *
   * @returns bytes that are held because of it
   */
  async openAhead(): Promise<number> {
    try {
      return heldBytes(await (this.#opened ??= openBatch(this.batch, this.#opener)));
    } catch {
      return 0;
    }
  }
}

async function openBatch(batch: L1Batch, { compressors, codec }: Opener): Promise<Opened> {
  if (batch.broken) return { drop: undecodable(batch.broken) };
  try {
    const raw = await open(batch.data, compressors);
    return { decoded: codec.decode(raw), rawBytes: raw.length };
  } catch (error) {
    if (isFaultOfBatch(error)) return { drop: undecodable(error) };
    throw error;
  }
}

function heldBytes({ decoded, rawBytes }: Opened): number {
  if (!decoded) return 0;
  const objects = decoded.blocks.reduce((sum, block) => sum + 1 + block.transactions.length, 0);
  return rawBytes + OBJECT_BYTES * objects;
}

/** Whether it lies in the bytes, so that every reader meets it: a failing engine is no verdict. */
function isFaultOfBatch(error: unknown): error is CodecError | CompressionError {
  if (error instanceof CodecError) return true;
  return error instanceof CompressionError &&
    (error.code === "Corrupted" || error.code === "TooLarge");
}
