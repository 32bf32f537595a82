// deno-lint-ignore-file no-import-prefix -- the registry must be spelled out where no import map travels
/**
 * The packages of the Ethereum edge, and the only file here that names them. Each is loaded on first
 * use.
 *
 * @module
 */
import type * as Signer from "npm:micro-eth-signer@0.20.1";
import type * as Rlp from "npm:micro-eth-signer@0.20.1/core/rlp.js";

const byUrl = import.meta.url.startsWith("http");

/** Transactions, their signatures, and addresses. */
export function signer(): Promise<typeof Signer> {
  const pinned = "npm:micro-eth-signer@0.20.1";
  // Out of a call, since a bundler that knows the text would look for it.
  return byUrl ? import(String(pinned)) : import("micro-eth-signer");
}

/** RLP. */
export function rlp(): Promise<typeof Rlp> {
  const pinned = "npm:micro-eth-signer@0.20.1/core/rlp.js";
  return byUrl ? import(String(pinned)) : import("micro-eth-signer/core/rlp.js");
}
