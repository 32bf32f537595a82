// deno-lint-ignore-file no-import-prefix -- the registry must be spelled out where no import map travels
/**
 * The packages of the command line, and the only file that names them.
 *
 * @module
 */
import type * as Commander from "npm:commander@15.1.0";
import type * as Yaml from "npm:yaml@2.9.1";

export type { Command } from "npm:commander@15.1.0";

const byUrl = import.meta.url.startsWith("http");

/** Loads commander, from wherever this program came. */
export function commander(): Promise<typeof Commander> {
  const pinned = "npm:commander@15.1.0";
  // Out of a call, since a bundler that knows the text would look for it.
  return byUrl ? import(String(pinned)) : import("commander");
}

/** Loads yaml likewise. */
export function yaml(): Promise<typeof Yaml> {
  const pinned = "npm:yaml@2.9.1";
  return byUrl ? import(String(pinned)) : import("yaml");
}
