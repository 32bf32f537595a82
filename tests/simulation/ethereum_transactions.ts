/**
 * Transactions of the simulated Ethereum: their bytes, and a signer and a KZG that cost nothing. The bytes
 * are those of EIP-1559 and EIP-4844; what stands where a signature stands says who signed, so that nobody
 * multiplies points of a curve. Hashes are SHA-256, which is made in native code.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type {
  BlobSidecar,
  Kzg,
  SidecarForm,
  SignedTransaction,
  Signer,
  UnsignedTransaction,
} from "../../src/ethereum.ts";
import { concatBytes, equalBytes } from "../../src/wire/bytes.ts";

/** A transaction as the network sees it. */
export interface NetworkTransaction extends UnsignedTransaction, SignedTransaction {
  readonly from: Uint8Array;
  /** Missing where it came as it stands in a block. */
  readonly sidecar: BlobSidecar | undefined;
}

/** Reads what is sent. */
export type Decode = (raw: Uint8Array) => NetworkTransaction | Promise<NetworkTransaction>;

const CELL_PROOFS = 128;

export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** Signs for whoever it is told to be. */
export class FakeSigner implements Signer {
  readonly address: Uint8Array;

  constructor(address: Uint8Array) {
    this.address = address;
  }

  sign(transaction: UnsignedTransaction): Promise<SignedTransaction> {
    const fields = fieldsOf(transaction);
    const digest = sha256(encodeRlp(fields));
    const type = transaction.blobHashes.length > 0 ? 3 : 2;
    const body = encodeRlp([...fields, ...signatureOf(this.address, digest)]);
    const raw = concatBytes([Uint8Array.of(type), body]);
    return Promise.resolve({ raw, hash: sha256(raw) });
  }
}

/** A commitment is a hash of the blob, and a proof repeats the commitment and says which it is. */
export class FakeKzg implements Kzg {
  readonly engine = "portable";

  commitment(blob: Uint8Array): Promise<Uint8Array> {
    return Promise.resolve(commitmentOf(blob));
  }

  cellProofs(blob: Uint8Array): Promise<readonly Uint8Array[]> {
    const commitment = commitmentOf(blob);
    return Promise.resolve(
      Array.from({ length: CELL_PROOFS }, (_, cell) => proofOf(commitment, cell)),
    );
  }

  blobProof(_blob: Uint8Array, commitment: Uint8Array): Promise<Uint8Array> {
    return Promise.resolve(proofOf(commitment, 0xff));
  }
}

/** The versioned hash of a commitment (EIP-4844). */
export function versionedHash(commitment: Uint8Array): Uint8Array {
  const hash = sha256(commitment);
  hash[0] = 1;
  return hash;
}

/**
 * Reads what {@linkcode FakeSigner} signed, with or without a sidecar, in both forms of it.
 *
 * @throws {Error} with the text that a node answers
 */
export function decodeFake(sent: Uint8Array): NetworkTransaction {
  const type = sent[0]!;
  if (type !== 2 && type !== 3) throw new Error("transaction type not supported");
  const list = decodeRlp(sent.subarray(1));
  if (!Array.isArray(list)) throw new Error("rlp: expected List");
  if (type === 2 || !Array.isArray(list[0])) return transactionOf(type, list, sent, undefined);
  const [fields, ...rest] = list;
  const [blobs, commitments, proofs] = rest.length === 4 ? rest.slice(1) : rest;
  const isKnown = rest.length === 3 || equalBytes(bytes(rest[0]), Uint8Array.of(1));
  if (!isKnown) throw new Error("unexpected blob tx sidecar version");
  const raw = concatBytes([Uint8Array.of(3), encodeRlp(fields as Rlp[])]);
  const sidecar = { blobs: texts(blobs), commitments: texts(commitments), proofs: texts(proofs) };
  checkSidecar(sidecar, rest.length === 4);
  return transactionOf(type, fields as Rlp[], raw, sidecar);
}

/** The transaction with its blobs, as it is sent. */
export function encodeNetwork(
  raw: Uint8Array,
  { blobs, commitments, proofs }: BlobSidecar,
  form: SidecarForm,
): Uint8Array {
  const version = form === "cells" ? [integer(1n)] : [];
  const lists = [[...blobs], [...commitments], [...proofs]];
  const body = encodeRlp([decodeRlp(raw.subarray(1)), ...version, ...lists]);
  return concatBytes([Uint8Array.of(3), body]);
}

/** What a node verifies with KZG. */
function checkSidecar({ blobs, commitments, proofs }: BlobSidecar, hasCells: boolean): void {
  const each = hasCells ? CELL_PROOFS : 1;
  if (blobs.length !== commitments.length || proofs.length !== blobs.length * each) {
    throw new Error("invalid number of blobs, commitments or proofs");
  }
  for (const [index, blob] of blobs.entries()) {
    const commitment = commitments[index]!;
    const own = proofs.slice(index * each, (index + 1) * each);
    const isProven = equalBytes(commitmentOf(blob), commitment) &&
      own.every((proof, cell) => equalBytes(proof, proofOf(commitment, hasCells ? cell : 0xff)));
    if (!isProven) throw new Error("can't verify opening proof");
  }
}

function transactionOf(
  type: number,
  fields: readonly Rlp[],
  raw: Uint8Array,
  sidecar: BlobSidecar | undefined,
): NetworkTransaction {
  const [chainId, nonce, tip, maxFee, gas, to, _value, input] = fields;
  const [blobFee, hashes] = type === 3 ? fields.slice(9, 11) : [new Uint8Array(), []];
  const [, r, s] = fields.slice(-3);
  const transaction: UnsignedTransaction = {
    chainId: number(chainId),
    nonce: number(nonce),
    to: bytes(to),
    input: bytes(input),
    gas: number(gas),
    fees: {
      maxFeePerGas: number(maxFee),
      maxPriorityFeePerGas: number(tip),
      maxFeePerBlobGas: number(blobFee),
    },
    blobHashes: texts(hashes),
  };
  const from = bytes(r).subarray(12);
  const [, expectedR, expectedS] = signatureOf(from, sha256(encodeRlp(fieldsOf(transaction))));
  if (!equalBytes(bytes(r), expectedR) || !equalBytes(bytes(s), expectedS)) {
    throw new Error("invalid sender: invalid transaction v, r, s values");
  }
  return { ...transaction, raw, hash: sha256(raw), from, sidecar };
}

function fieldsOf({ chainId, nonce, to, input, gas, fees, blobHashes }: UnsignedTransaction) {
  const common: Rlp[] = [
    integer(chainId),
    integer(nonce),
    integer(fees.maxPriorityFeePerGas),
    integer(fees.maxFeePerGas),
    integer(gas),
    to,
    integer(0n),
    input,
    [],
  ];
  return blobHashes.length > 0
    ? [...common, integer(fees.maxFeePerBlobGas), [...blobHashes]]
    : common;
}

/** Whose it is stands in r, and what was signed in s; neither begins with a zero. */
function signatureOf(
  address: Uint8Array,
  digest: Uint8Array,
): [Uint8Array, Uint8Array, Uint8Array] {
  const r = concatBytes([new Uint8Array(12).fill(0x51), address]);
  const s = concatBytes([Uint8Array.of(0x51), digest.subarray(1)]);
  return [integer(0n), r, s];
}

function commitmentOf(blob: Uint8Array): Uint8Array {
  return concatBytes([Uint8Array.of(0xc0), sha256(blob), new Uint8Array(15)]);
}

function proofOf(commitment: Uint8Array, cell: number): Uint8Array {
  const proof = commitment.slice();
  proof[47] = cell;
  return proof;
}

type Rlp = Uint8Array | Rlp[];

function integer(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array();
  const digits = value.toString(16);
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return Uint8Array.from(even.match(/../g)!, (digit) => parseInt(digit, 16));
}

function number(item: Rlp | undefined): bigint {
  return bytes(item).reduce((sum, byte) => sum << 8n | BigInt(byte), 0n);
}

function bytes(item: Rlp | undefined): Uint8Array {
  if (item instanceof Uint8Array) return item;
  throw new Error("rlp: expected String");
}

function texts(item: Rlp | undefined): Uint8Array[] {
  if (Array.isArray(item)) return item.map(bytes);
  throw new Error("rlp: expected List");
}

function encodeRlp(item: Rlp): Uint8Array {
  if (Array.isArray(item)) {
    const body = concatBytes(item.map(encodeRlp));
    return concatBytes([head(0xc0, body.length), body]);
  }
  return item.length === 1 && item[0]! < 0x80 ? item : concatBytes([head(0x80, item.length), item]);
}

function head(base: number, length: number): Uint8Array {
  if (length < 56) return Uint8Array.of(base + length);
  const size = integer(BigInt(length));
  return Uint8Array.of(base + 55 + size.length, ...size);
}

function decodeRlp(data: Uint8Array): Rlp {
  const [item, end] = itemAt(data, 0);
  if (end !== data.length) throw new Error("rlp: input contains trailing bytes");
  return item;
}

function itemAt(data: Uint8Array, at: number): [item: Rlp, end: number] {
  const first = data[at];
  if (first === undefined) throw new Error("rlp: value size exceeds available input length");
  if (first < 0x80) return [data.subarray(at, at + 1), at + 1];
  const base = first < 0xc0 ? 0x80 : 0xc0;
  const sizeBytes = Math.max(0, first - base - 55);
  const start = at + 1 + sizeBytes;
  const length = sizeBytes > 0 ? Number(number(data.subarray(at + 1, start))) : first - base;
  const end = start + length;
  if (end > data.length) throw new Error("rlp: value size exceeds available input length");
  if (base === 0x80) return [data.subarray(start, end), end];
  const items: Rlp[] = [];
  for (let next = start; next < end;) {
    const [item, itemEnd] = itemAt(data, next);
    items.push(item);
    next = itemEnd;
  }
  return [items, end];
}
