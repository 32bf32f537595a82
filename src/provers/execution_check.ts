/**
 * What stands in the place of a proof where nothing was proved: a report of what was checked, as JSON text.
 * It names itself an execution check, so that nobody can take it for a proof.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import type { OutputAt } from "../l2/output_roots.ts";
import { equalBytes } from "../wire/bytes.ts";
import { parseU64, shown, toHex } from "../wire/hex.ts";
import { bytesOf, fieldsOf } from "./json.ts";

/** What is checked of a range of blocks. */
export const RANGE_CHECKS = [
  "each block has the hash of its header",
  "each block has the transactions of its header",
  "each block follows the one before by number and parent hash",
  "the output roots at both ends are made of state root, message passer and block hash",
] as const;

/** What is checked of ranges that are aggregated. */
export const AGGREGATION_CHECKS = [
  "each part is an execution check of a range of the same chain",
  "each range begins at the block, hash and output root where the one before ends",
] as const;

/** What a proof would show besides. */
export const NOT_CHECKED = [
  "that executing the blocks leads from one state to the next",
  "that the blocks are derived from L1",
] as const;

/** What was checked, of which blocks. */
export interface CheckReport {
  readonly kind: "range" | "aggregation";
  readonly chainId: bigint;
  /** The block before the first. */
  readonly start: OutputAt;
  readonly end: OutputAt;
  readonly checked: readonly string[];
  /** Of an aggregation: hash of the L1 block that it was asked for. */
  readonly l1Head?: Uint8Array;
}

/** A report as JSON. */
export function reportJson({ kind, chainId, start, end, checked, l1Head }: CheckReport): object {
  return {
    kind,
    chain_id: `${chainId}`,
    start: outputJson(start),
    end: outputJson(end),
    ...(l1Head && { l1_head: toHex(l1Head) }),
    checked,
    not_checked: NOT_CHECKED,
  };
}

/** A report as it stands in the place of a proof. */
export function reportBytes(report: CheckReport): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ execution_check: reportJson(report) }));
}

/** Whether what stands in the place of a proof is a report of what was checked. */
export function isExecutionCheck(bytes: Uint8Array): boolean {
  return checkIn(bytes) !== undefined;
}

/**
 * A report out of what stands in the place of a proof.
 *
 * @throws {CodecError} `InvalidHeader` where it is none
 */
export function reportOf(bytes: Uint8Array): CheckReport {
  const check = checkIn(bytes);
  if (check === undefined) {
    throw new CodecError("InvalidHeader", "Cannot read it: it is no execution check");
  }
  const { kind, chain_id, start, end, checked, l1_head } = fieldsOf(check, "the report");
  if (kind !== "range" && kind !== "aggregation") {
    throw new CodecError("InvalidHeader", `Cannot read kind: it is ${shown(kind)}`);
  }
  return {
    kind,
    chainId: parseU64(chain_id, "chain_id"),
    start: outputOf(start, "start"),
    end: outputOf(end, "end"),
    checked: Array.isArray(checked) ? checked.map(String) : [],
    ...(l1_head !== undefined && { l1Head: bytesOf(l1_head, "l1_head", 32) }),
  };
}

/**
 * One report of ranges that follow each other.
 *
 * @throws {CodecError} `InvalidHeader` where they do not
 */
export function aggregated(ranges: readonly CheckReport[], l1Head: Uint8Array): CheckReport {
  const [first, last] = [ranges[0], ranges.at(-1)];
  if (!first || !last) throw broken("there are no ranges");
  for (const [at, { kind, chainId, start }] of ranges.entries()) {
    if (kind !== "range") throw broken(`part ${at} is an ${kind}`);
    if (chainId !== first.chainId) {
      throw broken(`range ${at} is of chain ${chainId}, those before of ${first.chainId}`);
    }
    const before = ranges[at - 1]?.end;
    if (!before || isSame(before, start)) continue;
    throw broken(
      `range ${at} begins at ${nameOf(start)}, the one before ends at ${nameOf(before)}`,
    );
  }
  const { chainId, start } = first;
  const checked = [...new Set(ranges.flatMap((range) => range.checked)), ...AGGREGATION_CHECKS];
  return { kind: "aggregation", chainId, start, end: last.end, checked, l1Head };
}

function checkIn(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))?.execution_check;
  } catch {
    // A proof of another prover.
    return undefined;
  }
}

function outputJson({ number, hash, outputRoot }: OutputAt): object {
  return { number: `${number}`, hash: toHex(hash), output_root: toHex(outputRoot) };
}

function outputOf(value: unknown, field: string): OutputAt {
  const { number, hash, output_root } = fieldsOf(value, field);
  return {
    number: parseU64(number, `${field}.number`),
    hash: bytesOf(hash, `${field}.hash`, 32),
    outputRoot: bytesOf(output_root, `${field}.output_root`, 32),
  };
}

function isSame(one: OutputAt, other: OutputAt): boolean {
  return one.number === other.number && equalBytes(one.hash, other.hash) &&
    equalBytes(one.outputRoot, other.outputRoot);
}

function nameOf({ number, hash, outputRoot }: OutputAt): string {
  return `block ${number} ${toHex(hash)} with output root ${toHex(outputRoot)}`;
}

function broken(why: string): CodecError {
  return new CodecError("InvalidHeader", `Cannot aggregate: ${why}`);
}
