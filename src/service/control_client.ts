/**
 * Asks a running processor something, over its socket.
 *
 * @module
 */
import { request } from "node:http";
import { SourceError } from "../errors.ts";
import { systemCode, systemReason } from "../local/disk.ts";

/** What it answered. */
export interface ControlAnswer {
  readonly status: number;
  /** JSON. */
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * Sends a request to a unix socket.
 *
 * @throws {SourceError} `Connection` when nobody answers there
 */
export function askSocket(
  socketPath: string,
  method: "GET" | "POST",
  path: string,
): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(noAnswer(socketPath, cause));
    const call = request({ socketPath, path, method, agent: false }, async (response) => {
      const parts: Uint8Array[] = [];
      try {
        for await (const part of response) parts.push(part as Uint8Array);
        const body = JSON.parse(Buffer.concat(parts).toString());
        resolve({ status: response.statusCode ?? 0, body });
      } catch (cause) {
        fail(cause);
      }
    });
    call.once("error", fail);
    call.end();
  });
}

function noAnswer(path: string, cause: unknown): SourceError {
  const isNobody = ["ENOENT", "ECONNREFUSED"].includes(systemCode(cause) ?? "");
  const why = isNobody
    ? "no processor runs there; start one, or name the directory of the one that runs"
    : systemReason(cause);
  return new SourceError("Connection", `Cannot ask the processor at ${path}: ${why}`, { cause });
}
