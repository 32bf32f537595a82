/**
 * Asks a remote signer over HTTP, or HTTPS with a certificate of our own. `fetch` takes certificates in
 * each runtime in another way, or in none; `node:https` takes them the same way in all.
 *
 * @module
 */
import { type ClientRequest, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { SignerError } from "../errors.ts";
import { connectionReason } from "./json_rpc.ts";
import { readPublicFile, readSecretFile } from "./key_file.ts";

/** An answer with a transaction has some hundred thousand bytes of calldata at most, twice in digits. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Files in PEM, which are read for each request: a certificate that is renewed is taken up by itself. */
export interface TlsFiles {
  /** The certificate that we show, with those that vouch for it behind it. */
  readonly certPath?: string;
  /** Its key, readable by its owner alone. */
  readonly keyPath?: string;
  /** Certificates to trust, in place of those that the system trusts. */
  readonly caPath?: string;
}

/** What was answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** Where to ask. */
export interface Target {
  readonly url: URL;
  readonly tls: TlsFiles;
  readonly timeoutMs: number;
}

/**
 * Posts JSON. A redirection is not followed.
 *
 * @throws {SignerError} `Unreachable`; `Unreadable` or `TooOpen` for the files
 */
export async function postJson({ url, tls, timeoutMs }: Target, body: string): Promise<HttpAnswer> {
  const certificates = url.protocol === "https:" ? await readCertificates(tls) : {};
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  const unreachable = (reason: string, cause?: unknown) =>
    new SignerError("Unreachable", `Cannot ask the signer at ${url.host}: ${reason}`, { cause });
  let request: ClientRequest | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise<HttpAnswer>((resolve, reject) => {
      timer = setTimeout(
        () => reject(unreachable(`it gave no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      // A connection of its own each time: there is a signature every few seconds at most, and one that
      // was kept may be gone.
      const options = {
        method: "POST",
        agent: false,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          accept: "application/json",
        },
        ...certificates,
      } as const;
      request = send(url, options, (response) => {
        const parts: Uint8Array[] = [];
        let bytes = 0;
        response.on("data", (part: Uint8Array) => {
          bytes += part.length;
          if (bytes <= MAX_ANSWER_BYTES) parts.push(part);
          else reject(unreachable(`it answered more than ${MAX_ANSWER_BYTES} bytes`));
        });
        response.on("error", (error) => reject(unreachable(reasonOf(error), error)));
        response.on("aborted", () => reject(unreachable("it hung up in its answer")));
        response.on("end", () => {
          const text = Buffer.concat(parts).toString();
          resolve({ status: response.statusCode ?? 0, body: text });
        });
      });
      request.on("error", (error) => reject(unreachable(reasonOf(error), error)));
      request.end(body);
    });
  } finally {
    clearTimeout(timer);
    request?.destroy();
  }
}

async function readCertificates({ certPath, keyPath, caPath }: TlsFiles) {
  const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return {
    ...(certPath === undefined
      ? {}
      : { cert: textOf(await readPublicFile("the certificate", certPath)) }),
    ...(keyPath === undefined
      ? {}
      : { key: textOf(await readSecretFile("the key of the certificate", keyPath)) }),
    ...(caPath === undefined
      ? {}
      : { ca: textOf(await readPublicFile("the certificates to trust", caPath)) }),
  };
}

/** Where no TLS connection was begun, there is nothing of certificates to be told. */
const UNANSWERED = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"];

/** In one line; where there are several addresses, the reasons of all are in one error without words. */
function reasonOf(error: Error & { code?: unknown }): string {
  // Each runtime says it in another way, none in words that help.
  if (/certificate.?required/i.test(`${error.code} ${error.message}`)) {
    return "it wants to be shown a certificate, and was shown none";
  }
  if (UNANSWERED.includes(`${error.code}`)) return connectionReason(error);
  const text = error.message === "" ? String(error.code ?? error.name) : error.message;
  return text.replace(/\s+/g, " ").slice(0, 200);
}
