// deno-lint-ignore-file no-import-prefix -- the registry must be spelled out where no import map travels
/**
 * The packages of the command line, and the only file that names them.
 *
 * @module
 */
import type * as Commander from "npm:commander@15.1.0";
import type * as Yaml from "npm:yaml@2.9.1";
import { loadPackage } from "../runtime.ts";

export type { Command } from "npm:commander@15.1.0";

/** A YAML document, a map in one, and how one is read. */
export type { Document as YamlDocument, YAMLMap as YamlMap } from "npm:yaml@2.9.1";

/** How a document is read. */
export type YamlOptions = Yaml.ParseOptions & Yaml.DocumentOptions & Yaml.SchemaOptions;

/** Loads commander, from wherever this program came. */
export function commander(): Promise<typeof Commander> {
  return loadPackage(import.meta.url, () => import("commander"), "npm:commander@15.1.0");
}

/** Loads yaml likewise. */
export function yaml(): Promise<typeof Yaml> {
  return loadPackage(import.meta.url, () => import("yaml"), "npm:yaml@2.9.1");
}
