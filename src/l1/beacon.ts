/**
 * A beacon node, or an archiver that answers like one, as a source of blobs (design `ethereum.md`,
 * "Reading").
 *
 * | question                                              | answer                                     |
 * | ----------------------------------------------------- | ------------------------------------------ |
 * | `/eth/v1/beacon/genesis`, `/eth/v1/config/spec`       | how slots are counted, once                |
 * | `/eth/v1/beacon/blobs/{slot}?versioned_hashes=…`      | blobs in the order of the block            |
 * | `/eth/v1/beacon/blobs/{slot}`                         | all of the block: for nodes that heed but  |
 * |                                                       | one of several hashes, or none             |
 * | `/eth/v1/beacon/blob_sidecars/{slot}`                 | the same of older nodes, with commitments  |
 * | `/eth/v1/beacon/headers/head`, `…/headers/{slot}`     | why they are missing                       |
 *
 * Every blob is checked: its commitment must have the hash that was asked for.
 *
 * @module
 */
import { CodecError, SourceError } from "../errors.ts";
import type { BlobSource, Kzg } from "../ethereum.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import { type BeaconAnswer, BeaconHttp, type BeaconHttpOptions } from "./beacon_http.ts";
import {
  type BlobBlock,
  type BlobFinder,
  blobMissing,
  type FoundBlobs,
  hashOfBlob,
  inOrder,
  type MissingReason,
} from "./found_blobs.ts";
import { versionedHash } from "./sidecar.ts";
import { fieldsOf, slotOf, type SlotRule, slotRule } from "./slots.ts";
import { BLOB_SIZE } from "../wire/blob.ts";

/** Epochs for which nodes must keep blobs and columns (4096), in slots. */
const RETENTION_SLOTS = 131_072n;
/** So close to the head, what is not there may still come. */
const RECENT_SLOTS = 2n;
/** How clients say that they hold too few columns: Lighthouse, Prysm, Lodestar, Teku, Nimbus. */
const FEW_COLUMNS = /columns?\b|custod|supernode/i;

/** A beacon node. */
export interface BeaconOptions extends BeaconHttpOptions {
  readonly kzg: Pick<Kzg, "commitment">;
  /** How slots are counted; the node is asked otherwise. */
  readonly slots?: SlotRule;
  /** Asked how slots are counted where the node itself does not tell, as archivers do not. */
  readonly slotsOf?: () => Promise<SlotRule | undefined>;
}

type Endpoint = "blobs" | "blob_sidecars";

const WORDS: Readonly<Record<MissingReason, string>> = {
  orphaned: "in its chain that slot is empty, or holds another block",
  pruned: "it keeps them no longer",
  "not yet": "it has not seen that slot yet",
  columns: "it holds too few data columns to put blobs together; a supernode does, or an archive",
  unknown: "it does not tell why",
};

/**
 * Blobs of a beacon node.
 *
 * @example
 * ```ts
 * import { BeaconNode, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const kzg = { commitment: () => Promise.resolve(new Uint8Array(48)) };
 * const node = new BeaconNode({ url: "http://127.0.0.1:1/secret", kzg, clock: systemClock });
 * const block = { number: 1n, hash: new Uint8Array(32), timestamp: 1_767_225_600n };
 * const error = await node.blobs(block, [new Uint8Array(32)]).catch((error) => error);
 * if (error.code !== "Connection") throw new Error("nobody answers there");
 * ```
 */
export class BeaconNode implements BlobSource, BlobFinder {
  readonly #http: BeaconHttp;
  readonly #kzg: Pick<Kzg, "commitment">;
  readonly #slotsOf: BeaconOptions["slotsOf"];
  #slots: SlotRule | undefined;
  /** Which of the two endpoints it has, once one has answered. */
  #endpoint: Endpoint = "blobs";

  /** @throws {ConfigError} `Invalid` where the URL is none */
  constructor(options: BeaconOptions) {
    this.#http = new BeaconHttp(options);
    this.#kzg = options.kzg;
    this.#slots = options.slots;
    this.#slotsOf = options.slotsOf;
  }

  /** Host and port. */
  get name(): string {
    return this.#http.name;
  }

  /**
   * How this node counts slots, by its own word or as it was given.
   *
   * @throws {SourceError} `Connection`
   */
  async slots(): Promise<SlotRule> {
    return this.#slots ??= await this.ownSlots() ?? await this.#slotsOf?.() ?? this.#noRule();
  }

  /** How it counts slots, where it tells. */
  async ownSlots(): Promise<SlotRule | undefined> {
    const genesis = await this.#http.get("/eth/v1/beacon/genesis");
    if (genesis.status !== 200) return undefined;
    const spec = await this.#http.get("/eth/v1/config/spec");
    return slotRule(genesis.json, spec.status === 200 ? spec.json : undefined);
  }

  async blobs(
    block: BlobBlock,
    hashes: readonly Uint8Array[],
  ): Promise<readonly Uint8Array[]> {
    const found = await this.find(block, hashes);
    const blobs = inOrder(found, hashes);
    if (blobs) return blobs;
    if (found.strange) throw found.strange;
    const reason = found.why ?? "unknown";
    throw blobMissing(block, hashes, found, { who: this.name, why: WORDS[reason], reason });
  }

  async find(block: BlobBlock, hashes: readonly Uint8Array[]): Promise<FoundBlobs> {
    const rule = await this.slots();
    const slot = slotOf(rule, block);
    const wanted = new Set(hashes.map((hash) => toHex(hash)));
    const found = new Map<string, Uint8Array>();
    if (wanted.size === 0) return { blobs: found };
    if (slot < 0n) return { blobs: found, why: "unknown" };
    const asked = await this.#ask(slot, wanted, found, rule === "block number");
    if (found.size === wanted.size) return { blobs: found };
    const why = asked.isFew ? "columns" : await this.#whyMissing(slot, rule);
    const others = asked.others;
    if (others === 0 || why === "orphaned") return { blobs: found, why };
    const strange = this.#wrong(
      `${others} blobs of L1 block ${block.number} are not those asked for, and those are not there`,
    );
    return { blobs: found, why, strange };
  }

  /** Asks for blobs until all are found, or nothing else is left to ask. */
  async #ask(
    slot: bigint,
    wanted: ReadonlySet<string>,
    found: Map<string, Uint8Array>,
    isDevelopment: boolean,
  ): Promise<{ readonly isFew: boolean; readonly others: number }> {
    let isFew = false;
    let others = 0;
    const other: Endpoint = this.#endpoint === "blobs" ? "blob_sidecars" : "blobs";
    for (const endpoint of [this.#endpoint, other]) {
      // A development node heeds but the last of several hashes.
      const filters = endpoint === "blobs" && !isDevelopment ? [[...wanted], []] : [[]];
      let hasAnswered = false;
      for (const filter of filters) {
        const path = `/eth/v1/beacon/${endpoint}/${slot}`;
        const answer = await this.#http.get(path, filter.map((each) => ["versioned_hashes", each]));
        if (answer.status !== 200) {
          isFew ||= FEW_COLUMNS.test(JSON.stringify(answer.json) ?? "");
          if (answer.status === 500 && !isFew) throw this.#noAnswer("it answered 500");
          continue;
        }
        hasAnswered = true;
        this.#endpoint = endpoint;
        others = await this.#take(endpoint, answer, wanted, found);
        if (found.size === wanted.size) return { isFew, others: 0 };
      }
      if (hasAnswered || isFew) break;
    }
    return { isFew, others };
  }

  /** Takes what was wanted out of an answer; tells how many others were in it. */
  async #take(
    endpoint: Endpoint,
    { json }: BeaconAnswer,
    wanted: ReadonlySet<string>,
    found: Map<string, Uint8Array>,
  ): Promise<number> {
    const { data } = fieldsOf(json);
    if (!Array.isArray(data)) throw this.#noAnswer("its answer holds no list of blobs");
    const hashes = await Promise.all(data.map(async (item) => {
      if (endpoint === "blobs") return await this.#takeBlob(item, undefined, wanted, found);
      const { blob, kzg_commitment: commitment } = fieldsOf(item);
      const told = toHex(versionedHash(this.#bytes(commitment, 48)));
      // Others cost time, and nobody needs them.
      return wanted.has(told) ? await this.#takeBlob(blob, told, wanted, found) : told;
    }));
    return new Set(hashes.filter((hash) => !wanted.has(hash))).size;
  }

  async #takeBlob(
    item: unknown,
    told: string | undefined,
    wanted: ReadonlySet<string>,
    found: Map<string, Uint8Array>,
  ): Promise<string> {
    const blob = this.#bytes(item, BLOB_SIZE);
    const hash = await hashOfBlob(this.#kzg, blob);
    if (hash === undefined) throw this.#wrong("what it calls a blob has field elements too large");
    if (told !== undefined && told !== hash) {
      throw this.#wrong(`what it calls blob ${told} has the hash ${hash}`);
    }
    if (wanted.has(hash)) found.set(hash, blob);
    return hash;
  }

  #bytes(text: unknown, size: number): Uint8Array {
    try {
      return fromHex(text, "a blob", size);
    } catch (cause) {
      if (!(cause instanceof CodecError)) throw cause;
      throw this.#wrong(`what it calls a blob is none: ${cause.message}`);
    }
  }

  async #whyMissing(slot: bigint, rule: SlotRule): Promise<MissingReason> {
    if (rule === "block number") return "unknown";
    const head = slotIn(await this.#http.get("/eth/v1/beacon/headers/head").catch(() => undefined));
    if (head === undefined) return "unknown";
    if (head < slot) return "not yet";
    const path = `/eth/v1/beacon/headers/${slot}`;
    const there = await this.#http.get(path).catch(() => undefined);
    if (there?.status === 404) return "orphaned";
    if (there?.status !== 200) return "unknown";
    if (head - slot > RETENTION_SLOTS) return "pruned";
    return head - slot <= RECENT_SLOTS ? "not yet" : "pruned";
  }

  #noRule(): never {
    throw this.#noAnswer(
      "neither it nor another beacon node tells how slots are counted (/eth/v1/beacon/genesis)",
    );
  }

  #noAnswer(why: string): SourceError {
    return new SourceError("Connection", `Cannot read blobs from ${this.name}: ${why}`, {
      details: { endpoint: this.name },
    });
  }

  #wrong(why: string): SourceError {
    return new SourceError("Damaged", `Cannot use the blobs of ${this.name}: ${why}`, {
      details: { endpoint: this.name },
    });
  }
}

/** Beacon nodes, each of which asks the others how slots are counted where it does not know. */
export function beaconNodes(
  urls: readonly string[],
  options: Omit<BeaconOptions, "url" | "slotsOf">,
): readonly BeaconNode[] {
  const nodes: BeaconNode[] = [];
  const slotsOf = async (asker: number) => {
    for (const [index, node] of nodes.entries()) {
      const rule = index === asker ? undefined : await node.ownSlots().catch(() => undefined);
      if (rule) return rule;
    }
    return undefined;
  };
  for (const [index, url] of urls.entries()) {
    nodes.push(new BeaconNode({ ...options, url, slotsOf: () => slotsOf(index) }));
  }
  return nodes;
}

/** The slot of a header. */
function slotIn(answer: BeaconAnswer | undefined): bigint | undefined {
  if (answer?.status !== 200) return undefined;
  const header = fieldsOf(fieldsOf(fieldsOf(answer.json)["data"])["header"]);
  const { slot } = fieldsOf(header["message"]);
  return typeof slot === "string" && /^\d{1,18}$/.test(slot) ? BigInt(slot) : undefined;
}
