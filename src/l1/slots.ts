/**
 * Which slot a block of L1 stands in: beacon nodes know blobs by slots, the chain knows times. Number and
 * slot part ways at the first slot that is missed.
 *
 * @module
 */
import type { L1Header } from "../ethereum.ts";

/**
 * How slots are counted. A development node without a consensus layer, such as anvil, has none, and
 * takes the number of a block in place of one.
 */
export type SlotRule =
  | {
    /** Unix seconds of slot 0. */
    readonly genesisTime: bigint;
    readonly slotMs: bigint;
  }
  | "block number";

/** Of Ethereum, for a node that does not tell. */
export const SLOT_MS = 12_000n;

/** The slot that includes a block; below 0 for a block older than the beacon chain. */
export function slotOf(rule: SlotRule, block: Pick<L1Header, "number" | "timestamp">): bigint {
  if (rule === "block number") return block.number;
  const sinceMs = (block.timestamp - rule.genesisTime) * 1000n;
  return sinceMs < 0n ? -1n : sinceMs / rule.slotMs;
}

/**
 * Reads the rule out of what `/eth/v1/beacon/genesis` and `/eth/v1/config/spec` answer; `undefined` where
 * the first is no genesis. A beacon chain begins with validators: where their root is nothing but zeros,
 * and nobody tells how long a slot is, there is none.
 */
export function slotRule(genesis: unknown, spec: unknown): SlotRule | undefined {
  const { genesis_time: time, genesis_validators_root: root } = fieldsOf(fieldsOf(genesis)["data"]);
  if (typeof time !== "string" || !/^\d{1,18}$/.test(time)) return undefined;
  const { SLOT_DURATION_MS: ms, SECONDS_PER_SLOT: seconds } = fieldsOf(fieldsOf(spec)["data"]);
  const slotMs = numberIn(ms) ?? (numberIn(seconds) ?? 0n) * 1000n;
  if (slotMs > 0n) return { genesisTime: BigInt(time), slotMs };
  const isDevelopment = typeof root === "string" && /^0x0+$/.test(root);
  return isDevelopment ? "block number" : { genesisTime: BigInt(time), slotMs: SLOT_MS };
}

function numberIn(value: unknown): bigint | undefined {
  return typeof value === "string" && /^\d{1,9}$/.test(value) ? BigInt(value) : undefined;
}

/** The fields of a JSON object; none of anything else. */
export function fieldsOf(json: unknown): Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null ? json as Record<string, unknown> : {};
}
