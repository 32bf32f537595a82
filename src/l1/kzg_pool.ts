/**
 * KZG in other threads, so that intervals, the network and the log go on while proofs are made.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CodecError } from "../errors.ts";
import type { Kzg } from "../ethereum.ts";
import { WorkerPool, type WorkerPoolOptions } from "../local/worker_pool.ts";
import { workerUrl } from "../runtime.ts";
import { toHex } from "../wire/hex.ts";
import {
  assertBlob,
  ELEMENT_SIZE,
  findKzg,
  type KzgEngine,
  type KzgPreference,
  POINT_SIZE,
} from "./kzg.ts";
import type { KzgAnswer, KzgRequest } from "./kzg_worker.ts";

/** How long an answer can take at the very most: the slowest takes 30 s on a machine of 2015. */
const TIMEOUT_MS = 180_000;
/** A worker takes seconds before its first answer, so it is kept for longer than batches are apart. */
const IDLE_TIMEOUT_MS = 30 * 60_000;

/** What a commitment by the portable engine costs before the first element: as much as so many. */
const PORTABLE_BASE_ELEMENTS = 400;
/** By then it has taken half as long as another engine takes before its first answer: two full blobs. */
const PORTABLE_ELEMENTS = 9000;

/** Answers that are kept, of 6 kB at most: blobs are read again, and sent again after a reorganisation. */
const ANSWERS_KEPT = 128;

/** How many workers, and which engine begins. */
export interface KzgPoolOptions extends WorkerPoolOptions {
  /**
   * The portable engine makes the first commitments: it is ready in a tenth of the time that others take,
   * and small blobs take it no longer than them. For who reads, and proves nothing.
   */
  readonly startsPortable?: boolean;
}

/**
 * Finds the first engine that loads, or the one that is wanted, and has it work in other threads.
 *
 * @param options by default one worker, or with the portable engine as many as the machine runs at
 * once; it is ended after half an hour without work
 * @throws {ConfigError} `Invalid` where the engine that is wanted is not there, or for a number that
 * cannot be
 */
export async function openKzg(
  preference: KzgPreference = "auto",
  options: KzgPoolOptions = {},
): Promise<KzgPool> {
  return new KzgPool(await findKzg(preference), options);
}

/**
 * Commitments and proofs made in other threads: the same as those of the engine. Calls may overlap. The
 * last 128 answers are remembered, by the SHA-256 of their blobs.
 *
 * Workers are started when there is work for them. A pool left open keeps no process alive; call
 * `close()` to have the memory back.
 *
 * @example
 * ```ts
 * import { makeSidecar, openKzg, toBlobs } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const kzg = await openKzg("auto");
 * const sidecar = await makeSidecar(kzg, toBlobs(new Uint8Array(1000).fill(7)), "cells");
 * if (sidecar.proofs.length !== 128) throw new Error("unexpected number of proofs");
 * await kzg.close();
 * ```
 */
export class KzgPool implements Kzg {
  readonly engine: KzgEngine;
  readonly #pool: WorkerPool<KzgAnswer>;
  /** What the portable engine commits to before this one is made. */
  #portableElements: number;
  /** What was asked for, by the SHA-256 of its blob; the oldest first. */
  readonly #answers = new Map<string, Promise<Uint8Array[]>>();

  /** @throws {ConfigError} `Invalid` for a number of workers, bytes or milliseconds that cannot be */
  constructor(engine: KzgEngine, { startsPortable, ...options }: KzgPoolOptions = {}) {
    this.engine = engine;
    this.#portableElements = startsPortable ? PORTABLE_ELEMENTS : 0;
    // A second one of the others costs seconds and memory; one alone does six blobs in two seconds.
    const workers = engine === "portable" ? {} : { workers: 1 };
    this.#pool = new WorkerPool(workerUrl("src/l1/kzg_worker.ts"), {
      idleTimeoutMs: IDLE_TIMEOUT_MS,
      ...workers,
      ...options,
    });
  }

  /**
   * `blob` must not change until this is done.
   *
   * @throws {CodecError} `InvalidBlobSize`, `InvalidFieldElement`; `KzgFailed` when a blob outlives none
   * of its workers, and for all that is not done when the pool is closed
   */
  async commitment(blob: Uint8Array): Promise<Uint8Array> {
    return (await this.#run(blob, { action: "commitment" }))[0]!;
  }

  /** @throws {CodecError} as {@link commitment} */
  cellProofs(blob: Uint8Array): Promise<readonly Uint8Array[]> {
    return this.#run(blob, { action: "cellProofs" });
  }

  /** @throws {CodecError} as {@link commitment}; `InvalidCommitment` */
  async blobProof(blob: Uint8Array, commitment: Uint8Array): Promise<Uint8Array> {
    return (await this.#run(blob, { action: "blobProof", commitment: toHex(commitment) }))[0]!;
  }

  /** Fails the calls that are not done, and all later ones, and resolves when the workers have ended. */
  close(): Promise<void> {
    this.#answers.clear();
    return this.#pool.close();
  }

  async #run(blob: Uint8Array, action: Action): Promise<Uint8Array[]> {
    assertBlob(blob);
    const digest = createHash("sha256").update(blob).digest("hex");
    const key = [...Object.values(action), digest].join();
    const answer = this.#answers.get(key) ?? this.#ask(blob, action);
    // The last to be wanted is the last to be forgotten, and what failed is asked for again.
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > ANSWERS_KEPT) this.#answers.delete(oldest!);
    try {
      return (await answer).map((point) => point.slice());
    } catch (error) {
      if (this.#answers.get(key) === answer) this.#answers.delete(key);
      throw error;
    }
  }

  async #ask(blob: Uint8Array, action: Action): Promise<Uint8Array[]> {
    const engine = this.#engineFor(blob, action);
    const task = { message: { engine, ...action }, data: blob, bytes: blob.length };
    const answer = await this.#pool.run({ ...task, timeoutMs: TIMEOUT_MS }).catch((cause) => {
      throw failed(engine, action, cause.message, { cause });
    });
    if ("points" in answer) return split(new Uint8Array(answer.points));
    if (!answer.known) throw failed(engine, action, answer.message);
    throw new CodecError(answer.known.code, answer.message, { details: answer.known.details });
  }

  #engineFor(blob: Uint8Array, { action }: Action): KzgEngine {
    if (action !== "commitment" || this.#portableElements <= 0) return this.engine;
    this.#portableElements -= PORTABLE_BASE_ELEMENTS + elementsIn(blob);
    return "portable";
  }
}

type Action =
  | Pick<KzgRequest & { readonly action: "commitment" | "cellProofs" }, "action">
  | Pick<KzgRequest & { readonly action: "blobProof" }, "action" | "commitment">;

const NAMES: Readonly<Record<Action["action"], string>> = {
  commitment: "the commitment",
  cellProofs: "the cell proofs",
  blobProof: "the proof",
};

function failed(engine: KzgEngine, { action }: Action, reason: string, options?: ErrorOptions) {
  const message = `Cannot make ${NAMES[action]} of a blob with the KZG engine ${engine}: ${reason}`;
  return new CodecError("KzgFailed", message, options);
}

/** How many field elements are not zero. */
function elementsIn(blob: Uint8Array): number {
  let count = 0;
  for (let offset = 0; offset < blob.length; offset += ELEMENT_SIZE) {
    if (blob.subarray(offset, offset + ELEMENT_SIZE).some((byte) => byte !== 0)) count += 1;
  }
  return count;
}

function split(points: Uint8Array): Uint8Array[] {
  return Array.from(
    { length: points.length / POINT_SIZE },
    (_, index) => points.subarray(index * POINT_SIZE, (index + 1) * POINT_SIZE),
  );
}
