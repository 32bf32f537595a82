/**
 * What a configuration begins with, and what editors and people are told of one.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { loadRoles } from "../../src/cli/config_roles.ts";
import { yaml } from "../../src/cli/deps.ts";
import { settingsOf } from "../../src/cli/config_settings.ts";
import { withDirectory } from "../helpers.ts";
import { failed, run, succeeded } from "./montana.ts";
import { SEED_YAML } from "./seed_configuration.ts";

const { parse } = await yaml();

/** As much of JSON Schema as there is in ours. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly pattern?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly minimum?: number;
}

/** What contradicts a schema, by its path. */
function contradictions(schema: Schema, value: unknown, path = ""): readonly string[] {
  const { type, properties, pattern, enum: words, anyOf, items, minimum } = schema;
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  const actual = value === null
    ? "null"
    : Array.isArray(value)
    ? "array"
    : Number.isInteger(value)
    ? "integer"
    : typeof value;
  if (type !== undefined && ![type].flat().includes(actual)) return [`${path}: ${actual}`];
  if (words && !words.includes(value)) return [`${path}: ${value}`];
  if (pattern !== undefined && typeof value === "string" && !new RegExp(pattern).test(value)) {
    return [`${path}: ${value}`];
  }
  if (minimum !== undefined && (value as number) < minimum) return [`${path}: ${value}`];
  if (anyOf && anyOf.every((each) => contradictions(each, value).length > 0)) return [path];
  if (Array.isArray(value) && items) {
    return value.flatMap((each, index) => contradictions(items, each, `${path}[${index}]`));
  }
  if (!isObject || !properties) return [];
  return Object.entries(value).flatMap(([key, each]) => {
    const below = properties[key];
    return below ? contradictions(below, each, `${path}.${key}`) : [`${path}.${key}: unknown`];
  });
}

async function schemaOf(): Promise<Schema> {
  return JSON.parse(succeeded(await run("config schema")));
}

test("montana config init prints what montana config check and the schema find right", async () => {
  const schema = await schemaOf();
  await withDirectory(async (cwd) => {
    for (const profile of ["devnet", "low-throughput", "high-throughput"]) {
      const text = succeeded(await run(`config init --profile ${profile}`));
      match(text, new RegExp(`^# montana, profile ${profile}: `));
      await writeFile(join(cwd, "montana.yaml"), text);
      const answer = succeeded(await run("config check montana.yaml", { cwd }));
      equal(answer, "montana.yaml: batcher, deriver can start\n");
      deepEqual(contradictions(schema, parse(text)), []);
      // What is left out stands there too, with its default.
      const all = text.replace(/^ {2}#([a-z0-9_]+: \S)/gm, "  $1");
      ok(all.length < text.length);
      deepEqual(contradictions(schema, parse(all)), []);
    }
    failed(await run("config init --profile highthroughput"), 2, /did you mean high-throughput\?/);
  });
});

test("The JSON Schema has each key of each role, and refuses what config check refuses", async () => {
  const schema = await schemaOf();
  for (const role of await loadRoles()) {
    const keys = Object.keys(schema.properties![role.name]!.properties!);
    for (const { key } of settingsOf(role)) ok(keys.includes(key), `${role.name}.${key}`);
  }
  deepEqual(contradictions(schema, parse(SEED_YAML)), []);
  const wrong: readonly (readonly [string, string])[] = [
    ["batcher: {max_blob: 3}", ".batcher.max_blob: unknown"],
    ["batcher: {batch_interval: 12}", ".batcher.batch_interval: integer"],
    ["batcher: {batch_interval: soon}", ".batcher.batch_interval: soon"],
    ["batcher: {da: calldta}", ".batcher.da: calldta"],
    ["deriver: {once: 1}", ".deriver.once: integer"],
    ["derivr: {}", ".derivr: unknown"],
    ["batch: {pipeline: {max_retries: -1}}", ".batch.pipeline.max_retries: -1"],
  ];
  for (const [text, problem] of wrong) {
    deepEqual(contradictions(schema, parse(text)), [problem], text);
  }
});

test("montana config reference has each key and each variable, with its default", async () => {
  const text = succeeded(await run("config reference"));
  for (const role of await loadRoles()) {
    const [, section = ""] = text.split(`\n## \`${role.name}:\`\n`);
    const page = section.split("\n## ")[0]!;
    for (const { key, variable, flag } of settingsOf(role)) {
      const row = page.split("\n").find((line) =>
        line.startsWith(`| \`${key}\` | \`${variable}\` |`)
      );
      ok(row !== undefined, variable);
      ok(flag.value === undefined || row.includes(`| \`${flag.value}\` |`), row);
    }
  }
  match(text, /\| `l1_listener\.poll_interval` \| `BATCH_L1_LISTENER_POLL_INTERVAL` \|/);
  match(text, /Names of the seeds: .*`max_batch_bytes` \(`max_blobs`\).*`poll_interval_ms`/);
});
