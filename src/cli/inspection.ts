/**
 * Recognises blobs, a compressed batch or a raw one, and explains it.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { CodecError, CompressionError, describeError } from "../errors.ts";
import type { Batch } from "../types.ts";
import { decodeBatch, encodedBlockSize, HEADER_SIZE } from "../wire/batch.ts";
import { batchToJson } from "../wire/batch_json.ts";
import { BLOB_CAPACITY, BLOB_SIZE, fromBlobs, splitBlobs } from "../wire/blob.ts";
import { compressorFor, open } from "../wire/envelope.ts";
import { countOf, factLines, formatBytes, formatRatio, formatShare, formatTable } from "./text.ts";

/** What bytes turned out to be. */
export interface Inspection {
  readonly kind: "blobs" | "compressed batch" | "raw batch";
  readonly fileBytes: number;
  readonly blobs: number;
  /** Compressed bytes to the usable bytes of the blobs. */
  readonly fill?: number;
  readonly compression?: string;
  readonly compressedBytes?: number;
  readonly rawBytes: number;
  /** Raw to compressed bytes. */
  readonly ratio?: number;
  readonly batch: Batch;
  /** What was made sure of. */
  readonly checks: readonly string[];
}

/**
 * Recognises bytes by what they decode as.
 *
 * @throws {CodecError} where they are none of it, with what each attempt said
 */
export async function inspectBytes(bytes: Uint8Array): Promise<Inspection> {
  if (bytes.length > 0 && bytes.length % BLOB_SIZE === 0) return await inspectBlobs(bytes);
  // A raw batch and a Brotli one both begin with 0: only one of them decodes to its last byte.
  let rawError: unknown;
  try {
    return inspectRaw(bytes, "raw batch", bytes.length, 0, []);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    rawError = error;
  }
  try {
    return await inspectCompressed(bytes);
  } catch (error) {
    if (!(error instanceof CodecError || error instanceof CompressionError)) throw error;
    throw new CodecError(
      error instanceof CodecError ? error.code : "UnknownFormat",
      `Cannot recognise ${bytes.length} bytes. As blobs: need a multiple of ${BLOB_SIZE} bytes. As a ` +
        `raw batch: ${describeError(rawError)}. As a compressed batch: ${describeError(error)}`,
      { cause: error },
    );
  }
}

/** Explains blobs that stand one behind the other. */
export async function inspectBlobs(bytes: Uint8Array): Promise<Inspection> {
  const blobs = splitBlobs(bytes);
  const data = fromBlobs(blobs);
  const checks = ["every field element is below the modulus", "nothing stands behind the data"];
  try {
    return await inspectCompressed(data, "blobs", bytes.length, blobs.length, checks);
  } catch (error) {
    if (!(error instanceof CodecError || error instanceof CompressionError)) throw error;
    throw new CodecError(
      error instanceof CodecError ? error.code : "Truncated",
      `Cannot explain ${
        countOf(blobs.length, "blob")
      }: well encoded, with ${data.length} bytes of ` +
        `data, but no whole batch (${
          describeError(error)
        }). A batch over several blobs needs them ` +
        `all, in order, in one file`,
      { cause: error },
    );
  }
}

/** Explains a compressed batch, be it out of blobs, calldata or a file. */
export async function inspectCompressed(
  data: Uint8Array,
  kind: Inspection["kind"] = "compressed batch",
  fileBytes: number = data.length,
  blobs: number = 0,
  checks: readonly string[] = [],
): Promise<Inspection> {
  const compressors = allCompressors();
  const compression = compressorFor(data, compressors).name;
  const raw = await open(data, compressors);
  const whole = [...checks, `one whole ${compression} stream, nothing behind it`];
  const inspection = inspectRaw(raw, kind, fileBytes, blobs, whole);
  return {
    ...inspection,
    ...(blobs > 0 ? { fill: data.length / (blobs * BLOB_CAPACITY) } : {}),
    compression,
    compressedBytes: data.length,
    ratio: raw.length / data.length,
  };
}

function inspectRaw(
  raw: Uint8Array,
  kind: Inspection["kind"],
  fileBytes: number,
  blobs: number,
  checks: readonly string[],
): Inspection {
  const batch = decodeBatch(raw);
  const whole = `${countOf(batch.blocks.length, "block")}, and nothing behind the last`;
  return { kind, fileBytes, blobs, rawBytes: raw.length, batch, checks: [...checks, whole] };
}

/** For `--json`: the header by its fields, each block by a row. */
export function inspectionToJson({ batch, ...rest }: Inspection): object {
  const { header } = batchToJson({ header: batch.header, blocks: [] });
  const blocks = blockRows(batch);
  return { ...rest, header, blocks };
}

/** @param source what its bytes are called: a file, or what was posted */
export function inspectionText(inspection: Inspection, source = "file"): string {
  const { kind, fileBytes, blobs, fill, compression, compressedBytes, rawBytes, ratio, batch } =
    inspection;
  const { header } = batchToJson({ header: batch.header, blocks: [] });
  const transactions = batch.blocks.reduce((sum, block) => sum + block.transactions.length, 0);
  const facts: [string, string][] = [
    ["is", blobs > 0 ? `a batch in ${countOf(blobs, "blob")}` : `a ${kind}`],
    [source, formatBytes(fileBytes)],
  ];
  if (fill !== undefined) facts.push(["fill", formatShare(fill)]);
  if (compressedBytes !== undefined) {
    facts.push(["compressed", `${formatBytes(compressedBytes)}, ${compression}`]);
  }
  facts.push(["raw", formatBytes(rawBytes)]);
  if (ratio !== undefined) facts.push(["ratio", formatRatio(ratio)]);
  facts.push(["transactions", `${transactions}`]);
  for (const [field, value] of Object.entries(header)) facts.push([field, `${value}`]);

  const lines = factLines(facts);
  const rows = blockRows(batch).map((row) => Object.values(row).map(String));
  const table = formatTable(["block", "offset", "timestamp", "txs", "bytes"], rows);
  const checks = inspection.checks.map((check) => `ok: ${check}\n`).join("");
  return `${lines}\n${table}\n${checks}`;
}

/** Each block, and where it begins in the raw batch. */
function blockRows({ blocks }: Batch) {
  let offset = HEADER_SIZE;
  return blocks.map((block, index) => {
    const { timestamp, transactions } = block;
    const bytes = encodedBlockSize(block);
    const row = { index, offset, timestamp, transactions: transactions.length, bytes };
    offset += bytes;
    return row;
  });
}
