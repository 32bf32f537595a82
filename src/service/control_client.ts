/**
 * Asks a running program something, over its socket or a port.
 *
 * @module
 */
import { request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { SourceError } from "../errors.ts";
import { systemCode, systemReason } from "../local/disk.ts";

/** Who is asked. */
export interface ControlPlace {
  /** The path of a unix socket, or the URL of a port. */
  readonly at: string | URL;
  /** What should run there, for errors. */
  readonly who: string;
  /** How long to wait for its answer; as long as it takes otherwise. */
  readonly timeoutMs?: number;
}

/** What it answered. */
export interface ControlAnswer {
  readonly status: number;
  /** JSON. */
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * Sends a request.
 *
 * @throws {SourceError} `Connection` when nobody answers there, or not in time; `Damaged` when it is somebody
 * else
 */
export function askControl(
  place: ControlPlace,
  method: "GET" | "POST",
  path: string,
): Promise<ControlAnswer> {
  const { at, timeoutMs } = place;
  const isUrl = at instanceof URL;
  const request = isUrl && at.protocol === "https:" ? httpsRequest : httpRequest;
  const target: RequestOptions = isUrl
    ? optionsOf(new URL(at.pathname.replace(/\/$/, "") + path, at))
    : { socketPath: at, path };
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => {
      clearTimeout(limit);
      reject(noAnswer(place, cause));
    };
    const call = request({ ...target, method, agent: false }, async (response) => {
      const parts: Uint8Array[] = [];
      try {
        for await (const part of response) parts.push(part as Uint8Array);
        const body = Object(JSON.parse(Buffer.concat(parts).toString()));
        clearTimeout(limit);
        resolve({ status: response.statusCode ?? 0, body });
      } catch (cause) {
        fail(cause);
      }
    });
    const limit = timeoutMs === undefined ? undefined : setTimeout(() => {
      fail(new Error(`it did not answer within ${timeoutMs} ms`));
      call.destroy();
    }, timeoutMs);
    call.once("error", fail);
    call.end();
  });
}

/** Spelled out: not every runtime takes all of a URL. */
function optionsOf({ hostname, port, pathname, search, username, password }: URL): RequestOptions {
  return {
    hostname: hostname.replace(/^\[|\]$/g, ""),
    ...(port !== "" && { port: Number(port) }),
    path: pathname + search,
    ...(username !== "" &&
      { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` }),
  };
}

/** What a URL may hold beside the host is not shown. */
function noAnswer({ at, who }: ControlPlace, cause: unknown): SourceError {
  const where = at instanceof URL ? at.host : at;
  if (cause instanceof SyntaxError) {
    const message = `Cannot ask ${where}: no ${who} answers there, it is no JSON`;
    return new SourceError("Damaged", message, { cause });
  }
  const isNobody = ["ENOENT", "ECONNREFUSED"].includes(systemCode(cause) ?? "");
  const why = isNobody
    ? `no ${who} runs there; start one, or name the place of the one that runs`
    : systemReason(cause);
  return new SourceError("Connection", `Cannot ask the ${who} at ${where}: ${why}`, { cause });
}
