/**
 * The configuration of synchronized batches out of a YAML file and the environment, which counts for more.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { ConfigError } from "../errors.ts";
import {
  ENVIRONMENT_NAMES,
  type Given,
  type PresetName,
  type SuperblockConfig,
  superblockConfig,
} from "../superblock/config.ts";
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

async function settingsIn(path: string): Promise<Given[]> {
  const { isAlias, isMap, isScalar, LineCounter, parseDocument } = await yaml();
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new ConfigError("Invalid", `Cannot read ${path}: ${cause.message}`, { cause });
  });
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, intAsBigInt: true });
  const [problem] = document.errors;
  if (problem) throw new ConfigError("Invalid", `Cannot read ${path}: ${withoutExcerpt(problem)}`);
  const batch = document.get("batch", true);
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
      const at = isScalar(key) ? key.range?.[0] : undefined;
      const line = at === undefined ? "" : `, line ${lines.linePos(at).line}`;
      given.push({
        key: name,
        value: isScalar(value) ? value.value : document.createNode(value).toJSON(),
        origin: path + line,
      });
    }
  };
  read(batch, "");
  return given;
}

/** What is wrong and where, without the line itself: a URL in it may hold a key. */
function withoutExcerpt({ message, code }: { message: string; code: string }): string {
  const [first = ""] = message.split("\n");
  return (first.includes("://") ? code : first).replace(/:$/, "");
}

function settingsOf(environment: NonNullable<SuperblockConfigOptions["environment"]>): Given[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const key = ENVIRONMENT_NAMES.get(name);
    if (key === undefined && !OUR_NAMES.test(name)) return [];
    return [{ key: key ?? name, value, origin: `environment variable ${name}` }];
  });
}
