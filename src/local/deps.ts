// deno-lint-ignore-file no-import-prefix -- the registry must be spelled out where no import map travels
/**
 * The package of the embedded defaults, and the only file here that names it.
 *
 * @module
 */
import type * as Signer from "npm:micro-eth-signer@0.20.1";
import { loadPackage } from "../runtime.ts";

/** Loads the transaction signer on first use. */
export function signer(): Promise<typeof Signer> {
  return loadPackage(
    import.meta.url,
    () => import("micro-eth-signer"),
    "npm:micro-eth-signer@0.20.1",
  );
}
