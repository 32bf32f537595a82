/**
 * Several sources of blobs in their order: the own archive, beacon nodes, archivers. What one lacks the
 * next is asked for.
 *
 * | a source                                         | is                                              |
 * | ------------------------------------------------ | ----------------------------------------------- |
 * | does not answer                                  | asked last for a while, ever longer             |
 * | lacks blobs                                      | asked again the next time                       |
 * | gives other blobs than it was asked for, while   | in quarantine: not asked for a minute, ever     |
 * | the block is still on the chain                  | longer, up to an hour                           |
 *
 * @module
 */
import { describeError, SourceError } from "../errors.ts";
import type { BlobSource, BlobStore, Chain } from "../ethereum.ts";
import type { Clock, Log } from "../ports.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import {
  type BlobBlock,
  type BlobFinder,
  blobMissing,
  type FoundBlobs,
  inOrder,
  type MissingReason,
} from "./found_blobs.ts";

const REST_MS = 10_000;
const MAX_REST_MS = 300_000;
const QUARANTINE_MS = 60_000;
const MAX_QUARANTINE_MS = 3_600_000;

/** What to ask. */
export interface BlobSourcesParts {
  /** In the order in which they are asked. */
  readonly sources: readonly (BlobSource | BlobFinder)[];
  readonly clock: Clock;
  /** Tells a block that is gone from a source that errs. */
  readonly chain?: Pick<Chain, "header">;
  /** Where to keep what came from any of them. */
  readonly store?: BlobStore;
  readonly log?: Log;
}

/** A source, and how it did. */
interface Standing {
  readonly source: BlobFinder;
  failures: number;
  restsUntilMs: number;
  errors: number;
  isQuarantinedUntilMs: number;
}

/**
 * Blobs from whoever has them.
 *
 * @example
 * ```ts
 * import { type BlobSource, BlobSources, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const blob = new Uint8Array(131_072);
 * const source: BlobSource = { name: "fixed", blobs: () => Promise.resolve([blob]) };
 * const sources = new BlobSources({ sources: [source], clock: systemClock });
 * const block = { number: 1n, hash: new Uint8Array(32), timestamp: 0n };
 * const [found] = await sources.blobs(block, [new Uint8Array(32)]);
 * if (found !== blob) throw new Error("expected the blob");
 * ```
 */
export class BlobSources implements BlobSource {
  readonly name: string;
  readonly #parts: BlobSourcesParts;
  readonly #log: Log;
  readonly #standings: readonly Standing[];

  constructor(parts: BlobSourcesParts) {
    this.#parts = parts;
    this.#log = parts.log ?? (() => {});
    this.name = parts.sources.map(({ name }) => name).join(", ");
    this.#standings = parts.sources.map((source) => ({
      source: "find" in source ? source : asFinder(source),
      failures: 0,
      restsUntilMs: 0,
      errors: 0,
      isQuarantinedUntilMs: 0,
    }));
  }

  /** @throws {SourceError} `BlobMissing`, whose `details.why` is `orphaned` where the block is gone */
  async blobs(block: BlobBlock, hashes: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    const blobs = new Map<string, Uint8Array>();
    const told: string[] = [];
    const reasons = new Set<MissingReason>();
    const order = this.#order(told);
    for (const [index, standing] of order.entries()) {
      const missing = hashes.filter((hash) => !blobs.has(toHex(hash)));
      if (missing.length === 0) break;
      const next = order[index + 1]?.source.name;
      const { found, why } = await this.#ask(standing, block, missing, next);
      for (const [hash, blob] of found) blobs.set(hash, blob);
      await this.#keep(standing.source, found);
      if (why === undefined) continue;
      told.push(`${standing.source.name}: ${why.text}`);
      reasons.add(why.reason);
    }
    const all = inOrder({ blobs }, hashes);
    if (all) return all;
    const reason = REASONS.find((each) => reasons.has(each)) ?? "unknown";
    throw blobMissing(block, hashes, { blobs }, {
      who: "any source",
      why: told.length > 0 ? told.join("; ") : this.#whyNone(),
      reason,
    });
  }

  #whyNone(): string {
    return this.#standings.length > 0
      ? "none has them"
      : "none is named; name a beacon node, or an archive";
  }

  /** Those that answer first; those in quarantine not at all. */
  #order(told: string[]): readonly Standing[] {
    const now = this.#parts.clock.now();
    const free = this.#standings.filter((each) => each.isQuarantinedUntilMs <= now);
    for (const each of this.#standings) {
      if (!free.includes(each)) {
        told.push(`${each.source.name}: gave wrong blobs, and is not asked now`);
      }
    }
    const isAwake = (each: Standing) => each.restsUntilMs <= now;
    return [...free.filter(isAwake), ...free.filter((each) => !isAwake(each))];
  }

  async #ask(
    standing: Standing,
    block: BlobBlock,
    hashes: readonly Uint8Array[],
    next: string | undefined,
  ): Promise<{
    readonly found: FoundBlobs["blobs"];
    readonly why?: { readonly text: string; readonly reason: MissingReason };
  }> {
    const { source } = standing;
    let answer: FoundBlobs;
    try {
      answer = await source.find(block, hashes);
    } catch (error) {
      const isWrong = error instanceof SourceError && error.code === "Damaged";
      if (isWrong) {
        return await this.#strange(standing, block, { blobs: new Map(), strange: error });
      }
      this.#failed(standing, error, next);
      return { found: new Map(), why: { text: describeError(error), reason: "unknown" } };
    }
    this.#answered(standing);
    if (answer.blobs.size === new Set(hashes.map((hash) => toHex(hash))).size) {
      standing.errors = 0;
      return { found: answer.blobs };
    }
    if (answer.strange) return await this.#strange(standing, block, answer);
    return this.#missing(standing, block, answer.blobs, answer.why);
  }

  #missing(
    { source }: Standing,
    block: BlobBlock,
    found: FoundBlobs["blobs"],
    reason: MissingReason | undefined,
  ) {
    // An archive need not have what it never saw.
    if (reason === undefined) return { found };
    this.#log({
      event: "blobs.missing",
      source: source.name,
      l1Block: block.number,
      why: reason,
    });
    return { found, why: { text: reason, reason } };
  }

  /** Other blobs than those: the slot has another block by now, or the source errs. */
  async #strange(standing: Standing, block: BlobBlock, { blobs, strange }: FoundBlobs) {
    const { chain, clock } = this.#parts;
    const now = await chain?.header(block.number).catch(() => undefined);
    if (now && !equalBytes(now.hash, block.hash)) {
      return this.#missing(standing, block, blobs, "orphaned");
    }
    const ms = Math.min(MAX_QUARANTINE_MS, QUARANTINE_MS * 2 ** standing.errors);
    standing.errors += 1;
    standing.isQuarantinedUntilMs = clock.now() + ms;
    const { name } = standing.source;
    this.#log({ event: "blobs.quarantined", source: name, error: strange });
    return { found: blobs, why: { text: describeError(strange), reason: "unknown" as const } };
  }

  #failed(standing: Standing, error: unknown, next: string | undefined): void {
    const restMs = Math.min(MAX_REST_MS, REST_MS * 2 ** standing.failures);
    standing.restsUntilMs = this.#parts.clock.now() + restMs;
    standing.failures += 1;
    if (standing.failures > 1) return;
    this.#log({ event: "endpoint.failed", endpoint: standing.source.name, error, next });
  }

  #answered(standing: Standing): void {
    if (standing.failures === 0) return;
    standing.failures = 0;
    standing.restsUntilMs = 0;
    this.#log({ event: "endpoint.recovered", endpoint: standing.source.name });
  }

  /** Whether it can be kept or not, it can be read. */
  async #keep(source: object, found: FoundBlobs["blobs"]): Promise<void> {
    const { store } = this.#parts;
    if (!store || source === store) return;
    for (const [hash, blob] of found) {
      await store.put(fromHex(hash, "hash"), blob).catch((error) =>
        this.#log({ event: "endpoint.failed", endpoint: "archive", error, next: undefined })
      );
    }
  }
}

/** What says most comes first. */
const REASONS: readonly MissingReason[] = ["orphaned", "not yet", "columns", "pruned", "unknown"];

/** A source that has all or nothing. */
function asFinder(source: BlobSource): BlobFinder {
  return {
    name: source.name,
    async find(block, hashes) {
      try {
        const blobs = await source.blobs(block, hashes);
        return { blobs: new Map(hashes.map((hash, index) => [toHex(hash), blobs[index]!])) };
      } catch (error) {
        if (!(error instanceof SourceError) || error.code !== "BlobMissing") throw error;
        const why = REASONS.find((each) => each === error.details.why) ?? "unknown";
        return { blobs: new Map(), why };
      }
    },
  };
}
