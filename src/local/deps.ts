// deno-lint-ignore-file no-import-prefix -- the registry must be spelled out where no import map travels
/**
 * The package of the embedded defaults, and the only file here that names it.
 *
 * @module
 */
import type * as Signer from "npm:micro-eth-signer@0.20.1";

const byUrl = import.meta.url.startsWith("http");

/** Loads the transaction signer on first use. */
export function signer(): Promise<typeof Signer> {
  const pinned = "npm:micro-eth-signer@0.20.1";
  // Out of a call, since a bundler that knows the text would look for it.
  return byUrl ? import(String(pinned)) : import("micro-eth-signer");
}
