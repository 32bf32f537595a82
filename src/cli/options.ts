/**
 * What flags are made of: units, addresses, choices. A value that cannot be is refused with the flag, the
 * value and what it should look like.
 *
 * @module
 */
import process from "node:process";
import { ConfigError } from "../errors.ts";
import { parseEndpoint } from "../l1/json_rpc.ts";
import { fromHex } from "../wire/hex.ts";

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1000,
  MB: 1_000_000,
  KiB: 1024,
  MiB: 1024 ** 2,
};

/**
 * The text itself, or with `env:NAME` what that environment variable holds: a URL with a key in it stands
 * on no command line then, which every user of the machine may read. What it holds is not shown.
 */
export function outOfEnvironment(flag: string, text: string): string {
  const name = /^env:(.*)$/s.exec(text)?.[1];
  if (name === undefined) return text;
  const value = process.env[name] ?? "";
  if (/^https?:\/\//i.test(value)) return value;
  const why = value === "" ? "there is no such environment variable" : "it holds no http(s) URL";
  throw new ConfigError("Usage", `Cannot use ${flag} ${text}: ${why}`);
}

/**
 * As {@link outOfEnvironment}, for a flag that takes nothing but the URL of a node.
 *
 * @throws {ConfigError} `Invalid`, without the text, which may hold a key
 */
export function nodeUrl(flag: string, text: string): string {
  const value = outOfEnvironment(flag, text);
  parseEndpoint(value, flag);
  return value;
}

/**
 * A path, as it is. What is meant for a node, `localhost:8545`, would be a file of that name otherwise.
 *
 * @throws {ConfigError} `Usage`
 */
export function mustBePath(flag: string, text: string): void {
  const [said = ""] = text.split("/");
  const isScheme = /^https?:$/i.test(said);
  if (!isScheme && !/^[\w.-]*[A-Za-z0-9\]]:\d{1,5}$/.test(said)) return;
  const node = isScheme ? `${said}//HOST` : `http://${said}`;
  throw usage(`Cannot use ${flag} ${said}: a node is named ${node}, a file or directory ./${said}`);
}

/** The error for flags that do not fit. */
export function usage(message: string): ConfigError {
  return new ConfigError("Usage", message);
}

/** `12s`, `100ms`, `1.5m`, `2h` in milliseconds. */
export function parseDuration(flag: string, text: string): number {
  return withUnit(flag, text, DURATION_UNITS, "a time such as 12s, 100ms, 2m or 1h");
}

/** `128KiB`, `1MiB`, `500B` in bytes; a bare number is bytes. */
export function parseSize(flag: string, text: string): number {
  const isBare = /^\d+$/.test(text);
  return withUnit(flag, isBare ? `${text}B` : text, SIZE_UNITS, "a size such as 128KiB or 1MiB");
}

/** `30gwei`, `0.5ether`, `1000wei` in wei. */
export function parseWei(flag: string, text: string): bigint {
  const [, whole = "", part = "", unit = ""] =
    /^(\d+)(?:\.(\d+))?(wei|gwei|ether|eth)$/i.exec(text) ??
      [];
  const digits = { wei: 0, gwei: 9, ether: 18, eth: 18 }[unit.toLowerCase()];
  if (digits === undefined || part.length > digits) {
    throw wrongValue(flag, text, "an amount such as 30gwei, 0.5ether or 1000wei");
  }
  return BigInt(whole + part.padEnd(digits, "0"));
}

/** A whole number within bounds. */
export function parseCount(flag: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw wrongValue(flag, text, `a whole number from ${least} to ${most}`);
}

/** A whole number of a chain: of a block, or the chain's own; hexadecimal as well, as nodes tell it. */
export function parseWhole(flag: string, text: string): bigint {
  if (/^(?:[0-9]{1,18}|0x[0-9a-f]{1,15})$/i.test(text)) return BigInt(text);
  throw new ConfigError("Usage", `Cannot use ${flag} "${text}": need a whole number`);
}

/** A 20-byte address. */
export function parseAddress(flag: string, text: string): Uint8Array {
  try {
    return fromHex(text, flag, 20);
  } catch {
    throw wrongValue(flag, text, "an address: 0x and 40 hexadecimal digits");
  }
}

/** `PORT` of this machine, `HOST:PORT`, or `[::1]:PORT`; port 0 is any that is free. */
export function parseListen(
  flag: string,
  text: string,
): { readonly host: string; readonly port: number } {
  const [, host = "127.0.0.1", port] = /^(?:\[?([^\]]*)\]?:)?(\d+)$/.exec(text) ?? [];
  if (port !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  throw wrongValue(flag, text, "PORT or HOST:PORT, a port from 0 to 65535");
}

/** One of a few words. */
export function parseChoice<Choice extends string>(
  flag: string,
  text: string,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find((each) => each === text);
  if (choice) return choice;
  const near = choices.find((each) => each.startsWith(text.slice(0, 2).toLowerCase()));
  const hint = near ? `; did you mean ${near}?` : "";
  throw wrongValue(flag, text, `one of ${choices.join(", ")}${hint}`);
}

function withUnit(
  flag: string,
  text: string,
  units: Readonly<Record<string, number>>,
  expected: string,
): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : units[unit];
  const value = factor === undefined ? NaN : Number(amount) * factor;
  if (Number.isSafeInteger(value)) return value;
  throw wrongValue(flag, text, expected);
}

function wrongValue(flag: string, text: string, expected: string): ConfigError {
  return new ConfigError("Usage", `Cannot use ${flag} "${text}": need ${expected}`);
}
