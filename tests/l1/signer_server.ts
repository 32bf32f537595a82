/**
 * A remote signer for tests: a server that signs with the first well-known key of anvil, as op-signer and
 * web3signer do, or that answers wrongly, as it is told. It reads a request by itself and signs with
 * viem, so it shares no line with what asks it.
 *
 * @module
 */
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import {
  hexToBigInt,
  hexToNumber,
  parseTransaction,
  toRlp,
  type TransactionSerializable,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { toHex } from "../../src/wire/hex.ts";
import { ANVIL_KEY } from "./transactions.ts";

type Hex = `0x${string}`;

/** What a request holds of a transaction. */
export type SignerArguments = Readonly<Record<string, unknown>>;

/** What comes back: a result or an error of JSON-RPC, text as it stands, or nothing ever. */
export type Reply =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } }
  | { readonly status: number; readonly body: string }
  | "hang"
  | "hang up";

/** How it behaves. */
export interface SignerServerOptions {
  /** Its own answer otherwise. */
  readonly reply?: (method: string, args: SignerArguments) => Reply | Promise<Reply>;
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
}

/** A server that runs. */
export interface SignerServer extends AsyncDisposable {
  readonly url: string;
  /** Every body that came, as text. */
  readonly requests: string[];
}

const account = privateKeyToAccount(toHex(ANVIL_KEY) as Hex);

/** Signs what a request asks for, with `change` made to it before. */
export async function signRequested(
  args: SignerArguments,
  change: object = {},
  signer: { signTransaction(tx: TransactionSerializable): Promise<Hex> } = account,
): Promise<Hex> {
  const number = (name: string) => hexToBigInt(args[name] as Hex);
  const isBlob = args["blobVersionedHashes"] !== undefined;
  const fields = {
    chainId: Number(number("chainId")),
    nonce: hexToNumber(args["nonce"] as Hex),
    to: args["to"],
    value: number("value"),
    data: args["input"],
    gas: number("gas"),
    maxFeePerGas: number("maxFeePerGas"),
    maxPriorityFeePerGas: number("maxPriorityFeePerGas"),
  };
  const blobs = isBlob
    ? {
      type: "eip4844",
      blobVersionedHashes: args["blobVersionedHashes"],
      maxFeePerBlobGas: number("maxFeePerBlobGas"),
    }
    : { type: "eip1559" };
  return await signer.signTransaction(
    { ...fields, ...blobs, ...change } as TransactionSerializable,
  );
}

/** A blob transaction in the form in which it travels, with lists of blobs that are empty. */
export function wrapped(raw: Hex, version?: Hex): Hex {
  // Only to make sure that it is one.
  if (parseTransaction(raw).type !== "eip4844") throw new Error("no blob transaction");
  const list = `0x${raw.slice(4)}` as Hex;
  const rest = [...(version === undefined ? [] : [version]), [], [], []].map((each) => toRlp(each));
  const content = list.slice(2) + rest.map((each) => each.slice(2)).join("");
  const size = (content.length / 2).toString(16);
  const digits = size.length % 2 === 0 ? size : `0${size}`;
  const head = (0xf7 + digits.length / 2).toString(16) + digits;
  return `0x03${head}${content}`;
}

/** Starts one on a free port. */
export async function startSigner(options: SignerServerOptions = {}): Promise<SignerServer> {
  const { reply = async (_, args) => ({ result: await signRequested(args) }), tls } = options;
  const requests: string[] = [];
  const listener: Parameters<typeof createServer>[1] = async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    requests.push(body);
    const { id, method, params } = JSON.parse(body);
    const answer = method === "eth_accounts" && !options.reply
      ? { result: [account.address.toLowerCase()] }
      : await reply(method, params[0] ?? {});
    if (answer === "hang") return;
    if (answer === "hang up") return void request.socket.destroy();
    const json = "status" in answer
      ? answer.body
      : JSON.stringify({ jsonrpc: "2.0", id, ...answer });
    response.writeHead("status" in answer ? answer.status : 200).end(json);
  };
  const server = tls
    ? createSecureServer({ ...tls, requestCert: tls.ca !== undefined }, listener)
    : createServer(listener);
  // Those who shake hands and do not come through are told so; here it is of no interest.
  server.on("tlsClientError", () => {}).on("clientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `${tls ? "https" : "http"}://127.0.0.1:${port}/secret-path?token=secret-query`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
