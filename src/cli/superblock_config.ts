/**
 * The configuration of synchronized batches out of a YAML file and the environment, which counts for more.
 *
 * @module
 */
import process from "node:process";
import { ConfigError } from "../errors.ts";
import {
  ENVIRONMENT_NAMES,
  environmentName,
  type Given,
  type PresetName,
  presetValues,
  type SuperblockConfig,
  superblockConfig,
} from "../superblock/config.ts";
import { readSetting, type SettingKey, SETTINGS } from "../superblock/settings.ts";
import { type FlagValues, textOf } from "./command.ts";
import { readYaml } from "./config_file.ts";
import { yaml } from "./deps.ts";

/** Names that begin so are ours, and a wrong one is a mistake. */
const OUR_NAMES = /^BATCH_(?:L1_LISTENER|BATCH_MANAGER|PIPELINE|INTEGRATION)_/;

/** Where a configuration comes from. */
export interface SuperblockConfigOptions {
  /** A YAML file with a block `batch:`. */
  readonly path?: string;
  /** Of the process, by default. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly preset?: PresetName;
  /** What counts for less than both. */
  readonly assumed?: readonly Given[];
  /** What counts for more than both. */
  readonly given?: readonly Given[];
}

/**
 * Reads it.
 *
 * @throws {ConfigError} `Invalid`, naming key, value and where it came from, a file with its line
 */
export async function readSuperblockConfig(
  { path, environment = process.env, preset, assumed = [], given = [] }: SuperblockConfigOptions =
    {},
): Promise<SuperblockConfig> {
  const fromFile = path === undefined ? [] : await settingsIn(path);
  return superblockConfig([...assumed, ...fromFile, ...settingsOf(environment), ...given], preset);
}

/** What is wrong with the block of a file and with the environment, each for itself. */
export async function wrongSettingsIn(flags: FlagValues): Promise<readonly ConfigError[]> {
  const path = textOf(flags, "config");
  const fromFile = path === undefined ? [] : await settingsIn(path).catch(configErrorOf);
  if (fromFile instanceof ConfigError) return [fromFile];
  return [...fromFile, ...settingsOf(process.env)].flatMap((each) => {
    try {
      readSetting(each);
      return [];
    } catch (error) {
      return [configErrorOf(error)];
    }
  });
}

function configErrorOf(error: unknown): ConfigError {
  if (error instanceof ConfigError) return error;
  throw error;
}

/** A value that counts, and who says so. */
export interface Counting extends Given {
  readonly kind: "environment" | "file" | "default";
}

/** All values that count, in the order of the keys. */
export async function superblockSettingsGiven(
  { path, environment = process.env, preset = "production" }: SuperblockConfigOptions,
): Promise<readonly Counting[]> {
  const fromFile = path === undefined ? [] : await settingsIn(path);
  const defaults = Object.entries(presetValues(preset)).map(([key, value]) => ({
    key,
    value: SETTINGS[key as SettingKey].kind === "duration" ? `${value}ms` : value,
    origin: "default",
    kind: "default" as const,
  }));
  const all = new Map<string, Counting>(defaults.map((each) => [each.key, each]));
  for (const each of fromFile) all.set(each.key, { ...each, kind: "file" });
  for (const each of settingsOf(environment)) {
    all.set(each.key, { ...each, origin: environmentName(each.key), kind: "environment" });
  }
  for (const each of all.values()) if (each.kind !== "default") readSetting(each);
  return Object.keys(SETTINGS).flatMap((key) => all.get(key) ?? []);
}

async function settingsIn(path: string): Promise<Given[]> {
  const { isAlias, isMap, isScalar } = await yaml();
  const { document, at } = await readYaml(path, { intAsBigInt: true });
  const batch = document.get("batch", true);
  // Whoever has a block for the role may say all of it in the environment.
  if (batch === undefined && document.has("superblock")) return [];
  if (!isMap(batch)) {
    throw new ConfigError(
      "Invalid",
      `Cannot use ${path}: it has no block "batch:" with keys in it`,
    );
  }
  const given: Given[] = [];
  const read = (map: typeof batch, prefix: string) => {
    for (const { key, value: node } of map.items) {
      const name = prefix + String(key);
      const value = isAlias(node) ? node.resolve(document) : node;
      if (isMap(value)) {
        read(value, `${name}.`);
        continue;
      }
      const offset = isScalar(key) ? key.range?.[0] : undefined;
      given.push({
        key: name,
        value: isScalar(value) ? value.value : document.createNode(value).toJSON(),
        origin: offset === undefined ? path : at(offset),
      });
    }
  };
  read(batch, "");
  return given;
}

function settingsOf(environment: NonNullable<SuperblockConfigOptions["environment"]>): Given[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const key = ENVIRONMENT_NAMES.get(name);
    if (key === undefined && !OUR_NAMES.test(name)) return [];
    return [{ key: key ?? name, value, origin: `environment variable ${name}` }];
  });
}
