/**
 * The keys of the configuration, and what each value can be.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";

/** A value that was given for a key. */
export interface Given {
  /** Below `batch:`, such as `l1_listener.batch_factor`. */
  readonly key: string;
  /** As it stood there. */
  readonly value: unknown;
  /** A file, or the name of an environment variable. */
  readonly origin: string;
}

/** A count is a `bigint`, a duration a number of milliseconds. */
export type SettingValue = string | number | bigint | boolean;

/** What a value can be. */
export type Setting =
  | { readonly kind: "flag" | "url" }
  | { readonly kind: "count"; readonly least: bigint; readonly most: bigint }
  /** In milliseconds. */
  | { readonly kind: "duration"; readonly least: number; readonly unit?: "s" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

const U64_MAX = 2n ** 64n - 1n;
const HOUR_MS = 3_600_000;
/** `setTimeout` takes no more. */
const DURATION_MAX_MS = 24 * 24 * HOUR_MS;

function count(least: bigint, most: bigint): Setting {
  return { kind: "count", least, most };
}

function duration(least: number, unit?: "s"): Setting {
  return { kind: "duration", least, ...(unit && { unit }) };
}

/** A key below `batch:`. */
export type SettingKey =
  | "enabled"
  | "l1_listener.l1_rpc"
  | "l1_listener.beacon_rpc"
  | "l1_listener.batch_factor"
  | "l1_listener.poll_interval"
  | "l1_listener.genesis_time"
  | "l1_listener.slot_duration"
  | "l1_listener.slots_per_epoch"
  | "batch_manager.chain_id"
  | "batch_manager.max_batch_size"
  | "batch_manager.batch_timeout"
  | "batch_manager.late_block_grace"
  | "batch_manager.max_ahead"
  | "pipeline.max_concurrent_jobs"
  | "pipeline.job_timeout"
  | "pipeline.max_retries"
  | "pipeline.retry_delay"
  | "pipeline.empty_batches"
  | "integration.chain_id"
  | "integration.enable_batch_sync"
  | "integration.block_reporting";

/** Those of the seed, and those for which it has only constants. */
export const SETTINGS: Readonly<Record<SettingKey, Setting>> = {
  enabled: { kind: "flag" },
  "l1_listener.l1_rpc": { kind: "url" },
  "l1_listener.beacon_rpc": { kind: "url" },
  "l1_listener.batch_factor": count(1n, 1_000_000n),
  "l1_listener.poll_interval": duration(10),
  "l1_listener.genesis_time": count(0n, 2n ** 40n),
  "l1_listener.slot_duration": duration(1000, "s"),
  "l1_listener.slots_per_epoch": count(1n, 1_000_000n),
  "batch_manager.chain_id": count(1n, U64_MAX),
  "batch_manager.max_batch_size": count(1n, 1_000_000_000n),
  "batch_manager.batch_timeout": duration(1000),
  "batch_manager.late_block_grace": duration(0),
  "batch_manager.max_ahead": duration(0),
  "pipeline.max_concurrent_jobs": count(1n, 1000n),
  "pipeline.job_timeout": duration(1000),
  "pipeline.max_retries": count(0n, 1000n),
  "pipeline.retry_delay": duration(0),
  "pipeline.empty_batches": { kind: "choice", choices: ["prove", "skip"] },
  "integration.chain_id": count(1n, U64_MAX),
  "integration.enable_batch_sync": { kind: "flag" },
  "integration.block_reporting": { kind: "flag" },
};

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: HOUR_MS };

/**
 * The value that was given.
 *
 * @throws {ConfigError} `Invalid`, naming key, value and where it came from
 */
export function readSetting(given: Given): SettingValue {
  const setting: Setting | undefined = Object.hasOwn(SETTINGS, given.key)
    ? SETTINGS[given.key as SettingKey]
    : undefined;
  if (!setting) {
    const section = given.key.split(".")[0]!;
    const near = Object.keys(SETTINGS).filter((key) => key.startsWith(`${section}.`));
    const known = (near.length > 0 ? near : Object.keys(SETTINGS)).join(", ");
    throw refused(given, `there is no such key. There are ${known}`);
  }
  const { value } = given;
  switch (setting.kind) {
    case "flag":
      if (typeof value === "boolean") return value;
      if (value === "true" || value === "false") return value === "true";
      throw refused(given, "need true or false");
    case "url":
      if (typeof value === "string" && isHttp(value)) return value;
      throw refused(given, "need an http or https URL");
    case "choice":
      if (setting.choices.includes(value as string)) return value as string;
      throw refused(given, `need ${setting.choices.join(" or ")}`);
    case "count": {
      const { least, most } = setting;
      const number = countIn(value);
      if (number !== undefined && number >= least && number <= most) return number;
      throw refused(given, `need a whole number from ${least} to ${most}`);
    }
    case "duration": {
      const ms = durationIn(value);
      const isWhole = setting.unit !== "s" || (ms !== undefined && ms % 1000 === 0);
      if (ms !== undefined && ms >= setting.least && ms <= DURATION_MAX_MS && isWhole) return ms;
      const unit = setting.unit === "s" ? " of whole seconds" : "";
      throw refused(
        given,
        `need a time${unit} such as 12s, 90m or 1h30m, from ${setting.least}ms to 24 days`,
      );
    }
  }
}

/** The error for a value. A URL may hold a key, and is not shown: under a misspelt key neither. */
export function refused({ key, value, origin }: Given, why: string): ConfigError {
  const text = value === undefined ? "" : typeof value === "string" ? value : asJson(value);
  const isHidden = value !== undefined && (text.includes("://") || /(?:_rpc|url)$/i.test(key));
  const shown = value === undefined || isHidden ? "" : ` ${text}`;
  const hidden = isHidden
    ? `, have ${text.length} characters (not shown, as it may hold a key)`
    : "";
  return new ConfigError("Invalid", `Cannot use ${key}${shown} (${origin}): ${why}${hidden}`, {
    details: { key, value: shown.trim(), origin },
  });
}

function asJson(value: unknown): string {
  return typeof value === "bigint" ? `${value}` : JSON.stringify(value) ?? String(value);
}

function isHttp(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function countIn(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === "string" && /^\d{1,20}$/.test(value) ? BigInt(value) : undefined;
}

/** As Go writes them: `90m`, `1h30m0s`, `1.5s`, `500ms`. */
function durationIn(value: unknown): number | undefined {
  if (value === 0 || value === "0") return 0;
  if (typeof value !== "string" || !/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(value)) return undefined;
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  return Math.round(
    parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNIT_MS[unit!]!, 0),
  );
}
