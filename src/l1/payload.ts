/**
 * What a transaction carries to the inbox, and its blobs with all that travels beside them. Blobs stand in
 * the archive before anything is signed, so that after a crash a journal of raw transactions is enough to
 * send them again.
 *
 * @module
 */
import { SinkError } from "../errors.ts";
import type { BlobSidecar, BlobStore, Kzg, SidecarForm, SignedTransaction } from "../ethereum.ts";
import { equalBytes, equalLists } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { rlp } from "./deps.ts";
import { gasFor } from "./gas.ts";
import { commitTo, makeSidecar, networkForm, versionedHash } from "./sidecar.ts";

/** Where fields stand in transactions of types 2 and 3. */
const FIELD = { to: 5, input: 7 } as const;

/** What makes payloads. */
export interface PayloadParts {
  readonly kzg: Kzg;
  readonly blobs: BlobStore;
}

/** What is sent to an address: input, and blobs perhaps. */
export class Payload {
  readonly to: Uint8Array;
  readonly input: Uint8Array;
  readonly gas: bigint;
  /** Versioned hashes, in blob order. */
  readonly blobHashes: readonly Uint8Array[];
  readonly #kzg: Kzg;
  readonly blobs: readonly Uint8Array[];
  readonly #commitments: readonly Uint8Array[];
  readonly #sidecars = new Map<SidecarForm, Promise<BlobSidecar>>();

  private constructor(
    kzg: Kzg,
    to: Uint8Array,
    input: Uint8Array,
    blobs: readonly Uint8Array[],
    commitments: readonly Uint8Array[],
  ) {
    this.to = to;
    this.input = input;
    this.gas = gasFor(input);
    this.blobHashes = commitments.map(versionedHash);
    this.#kzg = kzg;
    this.blobs = blobs;
    this.#commitments = commitments;
  }

  /** Resolves when its blobs would survive a crash. */
  static async make(
    { kzg, blobs: store }: PayloadParts,
    to: Uint8Array,
    input: Uint8Array,
    blobs: readonly Uint8Array[],
  ): Promise<Payload> {
    const payload = new Payload(kzg, to, input, blobs, await commitTo(kzg, blobs));
    for (const [index, blob] of blobs.entries()) await store.put(payload.blobHashes[index]!, blob);
    return payload;
  }

  /**
   * What a transaction of ours carries, its blobs out of the archive.
   *
   * @throws {SinkError} `Changed` where the archive lacks a blob
   */
  static async restore(
    { kzg, blobs: store }: PayloadParts,
    signed: SignedTransaction,
    blobHashes: readonly Uint8Array[],
  ): Promise<Payload> {
    const { to, input } = await readTransaction(signed.raw);
    const blobs: Uint8Array[] = [];
    for (const hash of blobHashes) {
      const blob = await store.get(hash);
      if (!blob) throw lostBlob(signed, hash);
      blobs.push(blob);
    }
    return new Payload(kzg, to, input, blobs, await commitTo(kzg, blobs));
  }

  /** Begins what takes long, so that it is there when it is needed. */
  async prepare(form: SidecarForm): Promise<void> {
    if (this.blobHashes.length > 0) await this.#sidecar(form);
  }

  /** The bytes for `eth_sendRawTransaction`. */
  async wire(signed: SignedTransaction, form: SidecarForm): Promise<Uint8Array> {
    if (this.blobHashes.length === 0) return signed.raw;
    return await networkForm(signed, await this.#sidecar(form), form);
  }

  /** Whether the two are the same bytes for the same address. */
  isSame(other: Payload): boolean {
    const { to, input, blobHashes } = this;
    return equalBytes(to, other.to) && equalBytes(input, other.input) &&
      equalLists(blobHashes, other.blobHashes);
  }

  #sidecar(form: SidecarForm): Promise<BlobSidecar> {
    const made = this.#sidecars.get(form);
    if (made) return made;
    const making = makeSidecar(this.#kzg, this.blobs, form, this.#commitments);
    this.#sidecars.set(form, making);
    // What failed is made anew.
    making.catch(() => this.#sidecars.delete(form));
    return making;
  }
}

/** What a signed transaction of type 2 or 3 carries, and where to. */
export async function readTransaction(
  raw: Uint8Array,
): Promise<Pick<Payload, "to" | "input">> {
  const { RLP } = await rlp();
  const fields = RLP.decode(raw.subarray(1)) as unknown as readonly Uint8Array[];
  return {
    to: new Uint8Array(fields[FIELD.to]!),
    input: new Uint8Array(fields[FIELD.input]!),
  };
}

function lostBlob(signed: SignedTransaction, hash: Uint8Array): SinkError {
  return new SinkError(
    "Changed",
    `Cannot send transaction ${toHex(signed.hash)} again: the archive has no blob ${
      toHex(hash)
    }, and it ` +
      `was there when the transaction was signed. Put the archive back`,
    { details: { tx: toHex(signed.hash), blob: toHex(hash) } },
  );
}
