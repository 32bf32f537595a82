/**
 * The flags that say how batches are sent to an Ethereum L1, and what may be spent.
 *
 * @module
 */
import { KZG_ENGINES, type KzgPreference } from "../l1/kzg.ts";
import { FEE_DEFAULTS } from "../l1/fees.ts";
import { TX_DEFAULTS, type TxManagerConfig } from "../l1/tx_config.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { parseChoice, parseCount, parseDuration, parseWei } from "./options.ts";

const KZG_PREFERENCES: readonly KzgPreference[] = ["auto", ...KZG_ENGINES];
const SIDECAR_FORMS = ["auto", "cells", "legacy"] as const;

/** Who commits to blobs and makes their proofs. */
export const KZG_FLAG: Flag = {
  flags: "--kzg <engine>",
  help: `who commits to blobs: ${KZG_PREFERENCES.join(", ")} (auto)`,
  choices: KZG_PREFERENCES,
};

/** How batches are sent. */
export const SENDING_FLAGS: readonly Flag[] = [
  {
    flags: "--confirmations <n>",
    help:
      `L1 blocks until a batch counts as posted, its own included (${TX_DEFAULTS.confirmations})`,
  },
  {
    flags: "--max-pending-tx <n>",
    help: `transactions that wait for inclusion at a time (${TX_DEFAULTS.maxPendingTx})`,
  },
  {
    flags: "--bump-interval <time>",
    help: "until a transaction that is not included is replaced (4 blocks)",
  },
  {
    flags: "--max-fee <wei>",
    help: `most for one gas, as 30gwei (${FEE_DEFAULTS.maxFeePerGas / 10n ** 9n}gwei)`,
  },
  {
    flags: "--max-blob-fee <wei>",
    help: `most for one gas of blobs (${FEE_DEFAULTS.maxFeePerBlobGas / 10n ** 9n}gwei)`,
  },
  { flags: "--max-spend-per-hour <wei>", help: "most in an hour, as 0.5ether (no limit)" },
  { flags: "--max-spend-per-batch <wei>", help: "most for one batch (no limit)" },
  {
    flags: "--low-runway <time>",
    help: "warn where the account lasts for less, at the rate of the last 24 hours (24h)",
  },
  {
    flags: "--sidecar <form>",
    help: "how blobs travel: auto, cells or legacy (auto)",
    choices: SIDECAR_FORMS,
  },
  KZG_FLAG,
];

/** How an account sends, as far as the flags say. */
export function sendingConfig(
  flags: FlagValues,
  { chainId, blockTimeMs }: { readonly chainId: bigint | undefined; readonly blockTimeMs: number },
): Partial<TxManagerConfig> {
  return {
    blockTimeMs,
    ...(chainId === undefined ? {} : { chainId }),
    ...given(flags, "confirmations", (flag, text) => parseCount(flag, text, 1, 10_000)),
    ...given(flags, "maxPendingTx", (flag, text) => parseCount(flag, text, 1, 64)),
    ...given(flags, "bumpInterval", parseDuration, "bumpIntervalMs"),
    ...given(flags, "maxFee", parseWei, "maxFeePerGas"),
    ...given(flags, "maxBlobFee", parseWei, "maxFeePerBlobGas"),
    ...given(flags, "maxSpendPerHour", parseWei, "maxSpendPerHourWei"),
    ...given(flags, "maxSpendPerBatch", parseWei, "maxSpendPerBatchWei"),
    ...given(flags, "lowRunway", parseDuration, "lowRunwayMs"),
    ...given(
      flags,
      "sidecar",
      (flag, text) => parseChoice(flag, text, SIDECAR_FORMS),
    ),
  };
}

/** Which engine makes commitments. */
export function kzgPreference(flags: FlagValues): KzgPreference {
  return parseChoice("--kzg", textOf(flags, "kzg") ?? "auto", KZG_PREFERENCES);
}

/** A setting whose flag was given. */
function given<Value>(
  flags: FlagValues,
  name: string,
  parse: (flag: string, text: string) => Value,
  setting = name,
): Readonly<Record<string, Value>> {
  const text = textOf(flags, name);
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  return text === undefined ? {} : { [setting]: parse(flag, text) };
}
