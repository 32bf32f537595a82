/**
 * The other side of {@link KzgPool}: commitments and proofs in a thread of its own, one message after
 * the other.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { CodecError, type CodecErrorCode, type ErrorDetails } from "../errors.ts";
import type { Kzg } from "../ethereum.ts";
import { concatBytes } from "../wire/bytes.ts";
import { fromHex } from "../wire/hex.ts";
import { chooseKzg, type KzgEngine } from "./kzg.ts";

/** What this side is told. */
export type KzgRequest =
  & {
    readonly engine: KzgEngine;
    /** The blob. */
    readonly data: ArrayBuffer;
  }
  & (
    | { readonly action: "commitment" | "cellProofs" }
    | { readonly action: "blobProof"; readonly commitment: string }
  );

/** What it says: points, one after the other, or an error. Classes do not travel between threads. */
export type KzgAnswer =
  | { readonly points: ArrayBuffer }
  | {
    /** Of a {@link CodecError}; any other error has none. */
    readonly known?: { readonly code: CodecErrorCode; readonly details: ErrorDetails };
    readonly message: string;
  };

/** Made once in a thread, since that takes seconds. */
let made: { readonly engine: KzgEngine; readonly kzg: Kzg } | undefined;

async function answer(request: KzgRequest): Promise<void> {
  try {
    const kzg = await kzgOf(request.engine);
    // In a copy: a list of one is given back as it is, and may be a view of what is the engine's own.
    const { buffer } = new Uint8Array(concatBytes(await pointsOf(kzg, request)));
    parentPort?.postMessage({ points: buffer }, [buffer]);
  } catch (error) {
    parentPort?.postMessage(inWords(error));
  }
}

async function kzgOf(engine: KzgEngine): Promise<Kzg> {
  if (made?.engine !== engine) made = { engine, kzg: await chooseKzg(engine) };
  return made.kzg;
}

async function pointsOf(kzg: Kzg, request: KzgRequest): Promise<readonly Uint8Array[]> {
  const blob = new Uint8Array(request.data);
  switch (request.action) {
    case "commitment":
      return [await kzg.commitment(blob)];
    case "cellProofs":
      return await kzg.cellProofs(blob);
    case "blobProof":
      return [await kzg.blobProof(blob, fromHex(request.commitment, "commitment"))];
  }
}

function inWords(error: unknown): KzgAnswer {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof CodecError)) return { message };
  return { known: { code: error.code, details: error.details }, message };
}

// Imported, and not run as a worker, it does nothing.
parentPort?.on("message", (request: KzgRequest) => void answer(request));
parentPort?.postMessage("ready");
