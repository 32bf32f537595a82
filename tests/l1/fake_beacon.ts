/**
 * A beacon node over HTTP that answers as it is told to, and commitments that cost no time.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CodecError } from "../../src/errors.ts";
import type { Kzg } from "../../src/ethereum.ts";
import type { BlobBlock } from "../../src/l1/found_blobs.ts";
import { versionedHash } from "../../src/l1/sidecar.ts";
import { encodeBlob } from "../../src/wire/blob.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";

/** Commitments that are no points, but belong to one blob each. */
export const fakeKzg: Pick<Kzg, "commitment"> = {
  // deno-lint-ignore require-await -- it rejects rather than throws
  async commitment(blob) {
    if (blob[0]! > 0x73) throw new CodecError("InvalidFieldElement", "Cannot commit: too large");
    return commitmentOf(blob);
  },
};

function commitmentOf(blob: Uint8Array): Uint8Array {
  const commitment = new Uint8Array(48);
  commitment.set(createHash("sha256").update(blob).digest());
  return commitment;
}

/** Blobs, the same for the same seed. */
export function blobsOf(count: number, seed = 0): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => encodeBlob(noise(1000, 100 * seed + index)));
}

/** Their versioned hashes. */
export function hashesOf(blobs: readonly Uint8Array[]): Uint8Array[] {
  return blobs.map((blob) => versionedHash(commitmentOf(blob)));
}

export const GENESIS_TIME = 1_606_824_023n;

/** An L1 block that stands in a slot. */
export function blockInSlot(slot: number): BlobBlock {
  return {
    number: BigInt(slot) - 5n,
    hash: noise(32, slot),
    timestamp: GENESIS_TIME + 12n * BigInt(slot),
  };
}

/** What a beacon node answers; `body` is made JSON unless it is text. */
export interface FakeAnswer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers in place of the node where it answers anything; `hang` never answers. */
export type Interference = (path: string, url: URL) => FakeAnswer | "hang" | undefined;

/** A beacon node. */
export class FakeBeacon implements AsyncDisposable {
  /** Blobs of each slot that has a block. */
  readonly slots = new Map<number, Uint8Array[]>();
  head = 1000;
  /** Which of the two endpoints it has. */
  endpoints: readonly ("blobs" | "blob_sidecars")[] = ["blobs"];
  /** How it heeds `versioned_hashes`. */
  filter: "all" | "last" | "none" | "refuses" = "all";
  hasGenesis = true;
  validatorsRoot = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";
  spec: Readonly<Record<string, string>> | undefined = { SECONDS_PER_SLOT: "12" };
  interfere: Interference = () => undefined;
  /** Paths with their queries. */
  readonly asked: string[] = [];
  readonly authorizations: (string | undefined)[] = [];
  readonly #server = createServer((request, response) => this.#serve(request, response));

  static async start(): Promise<FakeBeacon> {
    const beacon = new FakeBeacon();
    await new Promise<void>((resolve) => beacon.#server.listen(0, "127.0.0.1", resolve));
    return beacon;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  /** The kinds of questions for blobs that it was asked. */
  get askedForBlobs(): string[] {
    return this.asked.filter((path) => path.includes("blob")).map((path) =>
      path.replace("/eth/v1/beacon/", "").replaceAll(/=0x\w+/g, "")
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.url);
    this.asked.push(request.url!);
    this.authorizations.push(request.headers.authorization);
    const path = url.pathname.replace(/^.*(?=\/eth\/)/, "");
    const answer = this.interfere(path, url) ?? this.#answer(path, url);
    if (answer === "hang") return;
    const { status = 200, body, headers = {} } = answer;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body ?? {}));
  }

  #answer(path: string, url: URL): FakeAnswer {
    const [, endpoint, slot] = /^\/eth\/v1\/beacon\/(\w+)\/?(\w*)$/.exec(path) ?? [];
    if (path === "/eth/v1/config/spec" && this.spec) return { body: { data: this.spec } };
    if (endpoint === "genesis" && this.hasGenesis) {
      const data = {
        genesis_time: `${GENESIS_TIME}`,
        genesis_validators_root: this.validatorsRoot,
        genesis_fork_version: "0x00000000",
      };
      return { body: { data } };
    }
    if (endpoint === "headers") return this.#header(slot!);
    if (this.endpoints.some((each) => each === endpoint)) return this.#blobs(endpoint!, slot!, url);
    return { status: 404, body: { code: 404, message: "NOT_FOUND" } };
  }

  #header(slot: string): FakeAnswer {
    const number = slot === "head" ? this.head : Number(slot);
    if (slot !== "head" && !this.slots.has(number)) return { status: 404, body: { code: 404 } };
    return { body: { data: { header: { message: { slot: `${number}` } } } } };
  }

  #blobs(endpoint: string, slot: string, url: URL): FakeAnswer {
    const blobs = this.slots.get(Number(slot));
    if (!blobs) return { status: 404, body: { code: 404, message: "Block not found" } };
    const hashes = hashesOf(blobs).map((hash) => toHex(hash));
    if (endpoint === "blob_sidecars") {
      const data = blobs.map((blob, index) => ({
        index: `${index}`,
        blob: toHex(blob),
        kzg_commitment: toHex(commitmentOf(blob)),
      }));
      return { body: { data } };
    }
    const given = url.searchParams.getAll("versioned_hashes");
    if (given.length > 0 && this.filter === "refuses") return { status: 400, body: { code: 400 } };
    const heeded = this.filter === "none" ? [] : this.filter === "last" ? given.slice(-1) : given;
    const kept = blobs.filter((_, index) => heeded.length === 0 || heeded.includes(hashes[index]!));
    return { body: { data: kept.map((blob) => toHex(blob)) } };
  }
}
