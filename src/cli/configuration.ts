/**
 * What a role is told: by flags, by the environment, by a file, by defaults, in this order. Each value is
 * known by where it came from, and a wrong one is refused with that.
 *
 * @module
 */
import process from "node:process";
import { ConfigError } from "../errors.ts";
import { writeStderr } from "../runtime.ts";
import type { FlagValues } from "./command.ts";
import { type Block, type Entry, type Item, readConfigFile } from "./config_file.ts";
import {
  CONFIG_VARIABLE,
  type Configurable,
  nearest,
  prefixOf,
  SECTIONS,
  seedNamesOf,
  type Setting,
  settingOf,
  settingsOf,
  valueIn,
} from "./config_settings.ts";
import { usage } from "./options.ts";

/** Where a value came from. */
export interface Origin {
  readonly kind: "flag" | "environment" | "file" | "default";
  /** `--max-blobs`, `MONTANA_BATCHER_MAX_BLOBS`, `montana.yaml:3:14`, or `default`. */
  readonly at: string;
  /** Those of a list in a file. */
  readonly items?: readonly Item[];
}

/** What is wrong, and where it stands. */
export interface Problem {
  readonly at: string;
  readonly text: string;
}

/** What a role is told. */
export interface Configured {
  /** As its flags would give it. */
  readonly values: FlagValues;
  /** By the names of the values. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Required, and given nowhere. */
  readonly missing: readonly Setting[];
}

/** The names and values of an environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where values come from. */
export interface Sources {
  /** What the command line says; none of its defaults. */
  readonly given?: FlagValues;
  readonly environment: Environment;
  /** A file's blocks. */
  readonly entries?: readonly Entry[];
}

/** Puts the sources one above the other; what cannot be is told to `refuse`, and left out. */
export function configure(
  role: Configurable,
  { given = {}, environment, entries = [] }: Sources,
  refuse: (problem: Problem) => void,
): Configured {
  const values: Record<string, FlagValues[string]> = { ...given };
  const origins = new Map<string, Origin>();
  const take = (setting: Setting, origin: Origin, text: string | readonly string[]) => {
    const value = valueIn(setting, text);
    if (value instanceof Error) {
      // A URL may hold a key.
      const isHidden = text === "" || `${text}`.includes("://");
      const shown = isHidden ? "" : ` ${JSON.stringify(text)}`;
      return refuse({
        at: origin.at,
        text: `Cannot use ${role.name}.${setting.key}${shown}: ${value.message}`,
      });
    }
    if (origins.has(setting.name)) return;
    origins.set(setting.name, origin);
    values[setting.name] = value;
  };

  const settings = settingsOf(role);
  for (const { name, flag } of settings) {
    if (given[name] === undefined) continue;
    origins.set(name, { kind: "flag", at: flag.flags.split(" ")[0]! });
  }
  for (const setting of settings) {
    const text = environment[setting.variable];
    if (text === undefined) continue;
    const items = setting.kind === "list" ? text.split(",") : text;
    take(setting, { kind: "environment", at: setting.variable }, items);
  }
  for (const { setting, origin, text } of inFile(role, entries, refuse)) {
    take(setting, origin, text);
  }
  for (const { name, flag: { value } } of settings) {
    if (value === undefined || origins.has(name)) continue;
    origins.set(name, { kind: "default", at: "default" });
    values[name] = value;
  }
  const missing = settings.filter(({ flag, name }) => flag.isRequired && !origins.has(name));
  return { values, origins, missing };
}

/** The values of a role's block in a file. */
function inFile(role: Configurable, entries: readonly Entry[], refuse: (problem: Problem) => void) {
  const block = entries.find(({ key }) => key === role.name);
  if (!block || "text" in block.value && block.value.text === "") return [];
  if (!isBlock(block.value)) {
    const text = `Cannot use ${role.name}: it is a block, with keys such as ${
      settingsOf(role)[0]?.key
    }: below it`;
    refuse({ at: block.at, text });
    return [];
  }
  const seen = new Map<string, Entry>();
  return block.value.below.flatMap(({ key, at, value }) => {
    const named = settingOf(role, key);
    if (!named) {
      refuse({ at, text: unknownText(`${role.name}.${key}`, key, keysOf(role), role.name) });
      return [];
    }
    const { setting, toText } = named;
    const other = seen.get(setting.key);
    seen.set(setting.key, { key, at, value });
    if (other) {
      const text = `Cannot use ${role.name}.${key}: ${other.key} above says the same`;
      refuse({ at, text });
      return [];
    }
    if (isBlock(value)) {
      refuse({ at, text: `Cannot use ${role.name}.${key}: need a value, not keys below it` });
      return [];
    }
    const origin = "text" in value
      ? { kind: "file" as const, at: value.at }
      : { kind: "file" as const, at, items: value };
    const text = "text" in value ? toText(value.text) : value.map((item) => item.text);
    return [{ setting, origin, text }];
  });
}

function isBlock(value: Entry["value"]): value is Block {
  return "below" in value;
}

function keysOf(role: Configurable): readonly string[] {
  return [...settingsOf(role).map(({ key }) => key), ...seedNamesOf(role).map(([seed]) => seed)];
}

function unknownText(
  name: string,
  word: string,
  words: readonly string[],
  role: string,
): string {
  const near = nearest(word, words);
  const hint = near
    ? `did you mean ${near}?`
    : `\`montana config reference\` lists those of ${role}`;
  return `Cannot use ${name}: there is no such key; ${hint}`;
}

/** Refuses blocks that belong to nobody. */
export function refuseUnknownSections(
  entries: readonly Entry[],
  refuse: (problem: Problem) => void,
): void {
  for (const { key, at } of entries) {
    if (SECTIONS.includes(key)) continue;
    const near = nearest(key, SECTIONS);
    const hint = near ? `did you mean ${near}?` : `there are ${SECTIONS.join(", ")}`;
    refuse({ at, text: `Cannot use ${key}: there is no such block; ${hint}` });
  }
}

/**
 * Variables that look like a setting of a role and are none. Others than us make such names too, as
 * Kubernetes does for a service that is called `montana-batcher`.
 */
export function unknownVariables(role: Configurable, environment: Environment): readonly string[] {
  const known = settingsOf(role).map(({ variable }) => variable);
  return Object.keys(environment)
    .filter((name) => name.startsWith(prefixOf(role.name)) && !known.includes(name))
    .filter((name) => environment[name] !== undefined)
    .map((name) => {
      const prefix = prefixOf(role.name);
      const near = nearest(
        name.slice(prefix.length),
        known.map((each) => each.slice(prefix.length)),
      );
      const hint = near ? `; did you mean ${prefix}${near}?` : "";
      return `${name} is no setting of ${role.name}${hint}`;
    });
}

/**
 * What a role is told that is about to run; what is wrong with it is refused.
 *
 * @param given by the command line, without its defaults
 * @throws {ConfigError} `Invalid` for what stands in the file or the environment, `Usage` for what is missing
 */
export async function configuredRole(
  role: Configurable,
  given: FlagValues,
  environment: Environment = process.env,
): Promise<Configured> {
  const path = given["config"] ?? environment[CONFIG_VARIABLE];
  if (path === "") throw usage(`Cannot use ${CONFIG_VARIABLE} "": it names nothing`);
  const entries = typeof path === "string" ? await readConfigFile(path) : [];
  const refuse = (problem: Problem) => {
    throw asError(problem);
  };
  refuseUnknownSections(entries, refuse);
  const configured = configure(role, { given, environment, entries }, refuse);
  for (const text of unknownVariables(role, environment)) writeStderr(`warning: ${text}`);
  const [missing] = configured.missing;
  if (missing) {
    const { flag: { flags }, key, variable } = missing;
    throw usage(
      `required option '${flags}' not specified, nor ${role.name}.${key} in a file, nor ${variable}`,
    );
  }
  const config = path === undefined ? {} : { config: path };
  return { ...configured, values: { ...configured.values, ...config } };
}

function asError({ at, text }: Problem): ConfigError {
  return new ConfigError("Invalid", `${at}: ${text}`, { details: { at } });
}

/** The problem with a value that stands in a file or the environment; none where a flag is to blame. */
export function problemIn(
  error: unknown,
  role: Configurable,
  { origins }: Pick<Configured, "origins">,
): (Problem & { readonly setting: Setting }) | undefined {
  if (!(error instanceof ConfigError)) return undefined;
  const settings = settingsOf(role);
  for (const [flag] of error.message.matchAll(/--[a-z][a-z0-9-]*/g)) {
    const setting = settings.find(({ key }) => key.replaceAll("_", "-") === flag.slice(2));
    const origin = setting && origins.get(setting.name);
    if (!origin || origin.kind === "flag" || origin.kind === "default") continue;
    const item = origin.items?.find(({ text }) => error.message.includes(text));
    const name = new RegExp(`${flag}(?![a-z0-9-])`, "g");
    const text = error.message.replace(name, `${role.name}.${setting.key}`);
    return { at: item?.at ?? origin.at, text, setting };
  }
  return undefined;
}

/** Runs what may find out that a value cannot be: the error then says where it stands. */
export async function withOrigins<T>(
  role: Configurable,
  configured: Configured,
  action: () => Promise<T> | T,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const problem = problemIn(error, role, configured);
    throw problem ? asError(problem) : error;
  }
}
