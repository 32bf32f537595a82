/**
 * How far an L1 is read, where blocks are derived from it.
 *
 * @module
 */
import { SAFE_CONFIRMATIONS } from "../config.ts";
import { ConfigError } from "../errors.ts";
import type { L1Head } from "../local/inbox.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import type { ReadTo } from "./l1.ts";
import type { L1Place } from "./l1_flags.ts";
import { parseChoice, parseCount } from "./options.ts";

const HEADS: readonly L1Head[] = ["latest", "safe", "finalized"];

/** One of the two, or neither. */
export const READ_TO_FLAGS: readonly Flag[] = [
  {
    flags: "--head <tag>",
    help: "how far to read: latest, safe or finalized (a directory: safe)",
    choices: HEADS,
  },
  {
    flags: "--confirmations <n>",
    help: `how far to read: so many blocks below the latest (Ethereum: ${SAFE_CONFIRMATIONS})`,
  },
];

/** What they say. */
export function readTo(flags: FlagValues, { kind }: Pick<L1Place, "kind">): ReadTo {
  const head = textOf(flags, "head");
  const confirmations = textOf(flags, "confirmations");
  if (head !== undefined && confirmations !== undefined) {
    throw new ConfigError("Usage", "Cannot use --head and --confirmations together: give one");
  }
  if (kind === "directory" && confirmations !== undefined) {
    throw new ConfigError(
      "Usage",
      "Cannot use --confirmations with an L1 in a directory: how deep a block must lie stands in its l1.json",
    );
  }
  if (head !== undefined) {
    return parseChoice("--head", head, HEADS);
  }
  if (kind === "directory") return "safe";
  const count = confirmations ?? `${SAFE_CONFIRMATIONS}`;
  return { confirmations: parseCount("--confirmations", count, 0, 1_000_000) };
}
