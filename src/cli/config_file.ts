/**
 * A configuration as it stands in a YAML file: each key and each value with its line and column.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { ConfigError } from "../errors.ts";
import { systemReason } from "../local/disk.ts";
import { yaml, type YamlDocument, type YamlMap, type YamlOptions } from "./deps.ts";

/** A text, and where it stands: `montana.yaml:3:14`. */
export interface Item {
  readonly text: string;
  readonly at: string;
}

/** A key with what stands behind it: a text, a list of texts, or keys below it. */
export interface Entry {
  readonly key: string;
  readonly at: string;
  readonly value: Item | readonly Item[] | Block;
}

/** Keys below a key. */
export interface Block {
  readonly below: readonly Entry[];
}

/** A file that was read. */
export interface YamlFile {
  readonly document: YamlDocument;
  /** `montana.yaml:3:14` of an offset. */
  readonly at: (offset: number) => string;
}

/**
 * Reads a file, with nothing filled in from elsewhere.
 *
 * @throws {ConfigError} `Invalid`, with line and column where it is no YAML
 */
export async function readYaml(path: string, options: YamlOptions): Promise<YamlFile> {
  const { LineCounter, parseDocument } = await yaml();
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new ConfigError("Invalid", `Cannot read ${path}: ${systemReason(cause)}`, { cause });
  });
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, ...options });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const [problem] = document.errors;
  if (!problem) return { document, at };
  throw new ConfigError(
    "Invalid",
    `Cannot read ${path}: ${at(problem.pos[0])}: ${withoutExcerpt(problem)}`,
  );
}

/** What is wrong, without the line itself: a URL in it may hold a key. */
function withoutExcerpt({ message, code }: { message: string; code: string }): string {
  const [first = ""] = message.split("\n");
  return first.includes("://") ? code : first;
}

/**
 * The blocks of a file. Each value is the text that stands there: what it means is for its key to say, and
 * an address without quotes would be a number otherwise.
 *
 * @throws {ConfigError} `Invalid`
 */
export async function readConfigFile(path: string): Promise<readonly Entry[]> {
  const { isAlias, isMap, isScalar, isSeq } = await yaml();
  const { document, at } = await readYaml(path, { schema: "failsafe" });
  const wrong = (offset: number, why: string) =>
    new ConfigError("Invalid", `Cannot use ${path}: ${at(offset)}: ${why}`);
  const offsetOf = (node: unknown) =>
    (node as { range?: readonly number[] | null } | null)?.range?.[0] ?? 0;
  const itemOf = (node: unknown, above: number): Item => {
    const target = isAlias(node) ? node.resolve(document) : node;
    if (target === null) return { text: "", at: at(above) };
    if (!isScalar(target)) throw wrong(offsetOf(node), "need a text");
    return { text: String(target.value ?? ""), at: at(offsetOf(node)) };
  };
  const entriesOf = (map: YamlMap): readonly Entry[] =>
    map.items.map(({ key, value: node }) => {
      const offset = offsetOf(key);
      const value = isAlias(node) ? node.resolve(document) : node;
      return {
        key: isScalar(key) ? String(key.value) : String(key),
        at: at(offset),
        value: isMap(value)
          ? { below: entriesOf(value) }
          : isSeq(value)
          ? value.items.map((item) => itemOf(item, offsetOf(value)))
          : itemOf(node, offset),
      };
    });
  const { contents } = document;
  if (contents === null) return [];
  if (!isMap(contents)) throw wrong(offsetOf(contents), "need blocks such as `batcher:`");
  return entriesOf(contents);
}
