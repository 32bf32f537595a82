/**
 * A signer that holds the key elsewhere: `eth_signTransaction`, as web3signer, op-signer, clef's users and
 * development nodes speak it. What it answers is not believed but looked at: it is the very transaction
 * that was asked for, and the key of the address signed it.
 *
 * @module
 */
import { CodecError, SignerError } from "../errors.ts";
import {
  RPC_CODES,
  type SignedTransaction,
  type Signer,
  type UnsignedTransaction,
} from "../ethereum.ts";
import { TEMPORARY_STATUSES } from "../retry.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import { rlp } from "./deps.ts";
import { postJson, type Target, type TlsFiles } from "./signer_request.ts";
import { type DecodedTransaction, decodeSigned } from "./transaction.ts";

/** Where a remote signer is, and how to speak with it. */
export interface RemoteSignerOptions {
  /** `https://` or `http://`; only its host is ever told. */
  readonly url: string;
  /** 20 bytes: whose key signs. Where it is not given the signer is asked, and has to know just one. */
  readonly address?: Uint8Array;
  readonly tls?: TlsFiles;
  /** How long an answer may take; 10 s otherwise. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;
const MAX_SAID_CHARACTERS = 200;
const BLOB_TX_TYPE = 3;
/** Errors of JSON-RPC that pass: internal error, limit exceeded. */
const TEMPORARY_RPC_CODES = [RPC_CODES.internalError, -32005];

/**
 * A key that is elsewhere.
 *
 * @example
 * ```ts
 * import { RemoteSigner } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const url = "http://127.0.0.1:1/secret-path";
 * const error = await RemoteSigner.open({ url }).catch((error) => error);
 * if (error.code !== "Unreachable") throw new Error("nobody listens there");
 * if (error.message.includes("secret-path")) throw new Error("only the host is told");
 * ```
 */
export class RemoteSigner implements Signer {
  readonly address: Uint8Array;
  readonly #target: Target;

  private constructor(target: Target, address: Uint8Array) {
    this.#target = target;
    this.address = address;
  }

  /**
   * Asks nothing where the address is given.
   *
   * @throws {SignerError} `Invalid` for options that cannot be; where the address is not given also
   * `Unreachable`, `Refused`, `WrongAnswer`
   */
  static async open(options: RemoteSignerOptions): Promise<RemoteSigner> {
    const target = targetOf(options);
    return new RemoteSigner(target, options.address ?? await soleAddress(target));
  }

  /** @throws {SignerError} `Unreachable`, `Refused`, `WrongAnswer` */
  async sign(transaction: UnsignedTransaction): Promise<SignedTransaction> {
    const answer = await ask(this.#target, "eth_signTransaction", [
      transactionArguments(this.address, transaction),
    ]);
    const wrong = (reason: string, cause?: unknown) =>
      new SignerError(
        "WrongAnswer",
        `Cannot use what the signer at ${this.#target.url.host} signed as transaction ` +
          `${transaction.nonce} of ${toHex(this.address)}: ${reason}`,
        { cause },
      );
    let raw: Uint8Array;
    let decoded: DecodedTransaction;
    try {
      raw = await withoutSidecar(rawOf(answer));
      decoded = await decodeSigned(raw);
    } catch (cause) {
      if (!(cause instanceof CodecError)) throw cause;
      throw wrong(`it is no signed transaction: ${cause.message.slice(0, MAX_SAID_CHARACTERS)}`);
    }
    const difference = differenceOf(transaction, decoded.tx);
    if (difference !== undefined) throw wrong(difference);
    if (!equalBytes(decoded.sender, this.address)) {
      throw wrong(`it is signed by the key of ${toHex(decoded.sender)}`);
    }
    return { raw, hash: decoded.hash };
  }

  /** Nothing is kept, neither a key nor a connection. */
  close(): void {}

  toString(): string {
    return `RemoteSigner ${toHex(this.address)} at ${this.#target.url.host}`;
  }

  toJSON(): object {
    return { address: toHex(this.address), host: this.#target.url.host };
  }
}

function targetOf({ url: text, tls = {}, timeoutMs = TIMEOUT_MS }: RemoteSignerOptions): Target {
  // The text is not repeated: it may hold a secret.
  const refuse = (reason: string) =>
    new SignerError("Invalid", `Cannot use the URL of a signer: ${reason}`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" && url?.protocol !== "http:") {
    throw refuse("need one that begins with https:// or http://");
  }
  if (url.username !== "" || url.password !== "") {
    throw refuse("it holds a user name or password, which the list of processes would show");
  }
  const { certPath, keyPath, caPath } = tls;
  if (url.protocol === "http:" && (certPath ?? keyPath ?? caPath) !== undefined) {
    throw refuse("certificates are of use with https:// only");
  }
  if ((certPath === undefined) !== (keyPath === undefined)) {
    throw refuse("a certificate and its key are of use only together");
  }
  return { url, tls, timeoutMs };
}

async function soleAddress(target: Target): Promise<Uint8Array> {
  const accounts = await ask(target, "eth_accounts", []);
  const { host } = target.url;
  if (!Array.isArray(accounts) || accounts.length !== 1) {
    const count = Array.isArray(accounts) ? `${accounts.length} addresses` : "no list of them";
    const message =
      `Cannot tell for whom the signer at ${host} signs: it has ${count}; name the one`;
    throw new SignerError("WrongAnswer", message);
  }
  try {
    return fromHex(accounts[0], "address", 20);
  } catch (cause) {
    const message = `Cannot tell for whom the signer at ${host} signs: it answered no address`;
    throw new SignerError("WrongAnswer", message, { cause });
  }
}

/**
 * As op-signer and geth take them. Blobs stay here: what is signed are their hashes. `data` stands beside
 * `input` since web3signer reads that alone, and the others take it where it is the same.
 */
function transactionArguments(from: Uint8Array, transaction: UnsignedTransaction): object {
  const { chainId, nonce, to, input, gas, fees, blobHashes } = transaction;
  const blobs = {
    maxFeePerBlobGas: quantity(fees.maxFeePerBlobGas),
    blobVersionedHashes: blobHashes.map(toHex),
  };
  return {
    type: quantity(blobHashes.length > 0 ? 3n : 2n),
    from: toHex(from),
    to: toHex(to),
    gas: quantity(gas),
    maxFeePerGas: quantity(fees.maxFeePerGas),
    maxPriorityFeePerGas: quantity(fees.maxPriorityFeePerGas),
    value: "0x0",
    nonce: quantity(nonce),
    input: toHex(input),
    data: toHex(input),
    accessList: [],
    chainId: quantity(chainId),
    ...(blobHashes.length > 0 ? blobs : {}),
  };
}

function quantity(value: bigint): string {
  return `0x${value.toString(16)}`;
}

let lastId = 0;

async function ask(target: Target, method: string, params: readonly unknown[]): Promise<unknown> {
  const { host } = target.url;
  const id = ++lastId;
  const { status, body } = await postJson(
    target,
    JSON.stringify({ jsonrpc: "2.0", id, method, params }),
  );
  const answer = parseAnswer(body);
  const isPassing = status >= 500 || TEMPORARY_STATUSES.includes(status);
  if (answer?.error !== undefined && answer.error !== null) {
    const { code, message } = answer.error as { code?: unknown; message?: unknown };
    const said = `${code}: ${message}`.replace(/\s+/g, " ").slice(0, MAX_SAID_CHARACTERS);
    const mayPass = isPassing || TEMPORARY_RPC_CODES.includes(Number(code));
    throw new SignerError(
      mayPass ? "Unreachable" : "Refused",
      `Cannot have ${method} done: the signer at ${host} answered ${said}`,
      { details: { status, rpcCode: Number(code) } },
    );
  }
  if (status !== 200) {
    throw new SignerError(
      isPassing ? "Unreachable" : "Refused",
      `Cannot have ${method} done: the signer at ${host} answered with HTTP status ${status}`,
      { details: { status } },
    );
  }
  if (answer === undefined || !("result" in answer) || answer.id !== id) {
    const message = `Cannot have ${method} done: the signer at ${host} answered something else`;
    throw new SignerError("WrongAnswer", message);
  }
  return answer.result;
}

function parseAnswer(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json = JSON.parse(body);
    return typeof json === "object" && json !== null && !Array.isArray(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

/** The bytes alone, or beside the transaction in words, as geth answers. */
function rawOf(answer: unknown): Uint8Array {
  const isObject = typeof answer === "object" && answer !== null;
  return fromHex(isObject ? (answer as { raw?: unknown }).raw : answer, "raw");
}

/** Some put a blob transaction into the form that travels, with lists of blobs that are empty. */
async function withoutSidecar(raw: Uint8Array): Promise<Uint8Array> {
  if (raw[0] !== BLOB_TX_TYPE) return raw;
  const { RLP } = await rlp();
  try {
    const parts = RLP.decode(raw.subarray(1)) as unknown[];
    if (!Array.isArray(parts[0])) return raw;
    return Uint8Array.of(BLOB_TX_TYPE, ...RLP.encode(parts[0]));
  } catch {
    // Whoever reads it next says what is wrong with it.
    return raw;
  }
}

/** The first field that is another one, in words. */
function differenceOf(asked: UnsignedTransaction, got: UnsignedTransaction): string | undefined {
  const fields = ({ chainId, nonce, to, gas, fees, blobHashes }: UnsignedTransaction) => ({
    chainId,
    nonce,
    to: toHex(to),
    gas,
    maxFeePerGas: fees.maxFeePerGas,
    maxPriorityFeePerGas: fees.maxPriorityFeePerGas,
    maxFeePerBlobGas: blobHashes.length > 0 ? fees.maxFeePerBlobGas : 0n,
    blobHashes: blobHashes.map(toHex).join(" "),
  });
  const wanted = Object.entries(fields(asked));
  const found = Object.values(fields(got));
  const index = wanted.findIndex(([, value], index) => value !== found[index]);
  if (index >= 0) return `its ${wanted[index]![0]} is ${found[index]}, not ${wanted[index]![1]}`;
  return equalBytes(asked.input, got.input) ? undefined : "its input is another one";
}
