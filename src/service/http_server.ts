/**
 * Listens for requests, on a port or on a unix socket, and hands them to whoever answers them.
 *
 * @module
 */
import { chmod, lstat, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { ConfigError } from "../errors.ts";
import { systemCode, systemReason } from "../local/disk.ts";
import type { ApiRequest, ApiResponse } from "./api.ts";
import { BodyRoom, RequestBody } from "./request_body.ts";

/** What the name of a unix socket may have at most, on Linux; macOS takes 103. */
export const MAX_SOCKET_PATH_BYTES = 103;

/** Where to listen. */
export type Address =
  | { readonly host: string; readonly port: number }
  | {
    readonly path: string;
    readonly mode?: number;
    /** Whatever socket is there was left behind: a lock says so. */
    readonly isOurs?: boolean;
  };

/** A server that listens. */
export interface Listening {
  /** A URL, or the path of a socket. */
  readonly name: string;
  /** Takes no more requests, and ends those under way. */
  close(): Promise<void>;
}

/** Answers requests; it does not throw. */
export type Answerer = (request: ApiRequest) => Promise<ApiResponse>;

/**
 * Listens.
 *
 * @param stalledMs how long a client may send nothing of a body, or read nothing of a stream: then it is
 * cut off, and may come back. All of a body may take ten times that
 * @param room of bodies under way; who comes when it is taken is answered 503
 * @throws {ConfigError} `Invalid` when that cannot be
 */
export async function listen(
  address: Address,
  answerer: Answerer,
  stalledMs: number = STALLED_MS,
  room: BodyRoom = new BodyRoom(),
): Promise<Listening> {
  const server = createServer((request, response) => {
    const body = new RequestBody(request, room, stalledMs);
    handle(answerer, stalledMs, { request, body, response }).catch(() => response.destroy())
      .finally(() => body.letGo());
  });
  const isSocket = "path" in address;
  if (isSocket) await makeRoom(address.path, address.isOurs === true);
  const name = isSocket ? address.path : `${address.host}:${address.port}`;
  await new Promise<void>((resolve, reject) => {
    const reasonOf = isSocket ? systemReason : portReason;
    server.once("error", (cause) => reject(cannotListen(name, reasonOf(cause), cause)));
    if (isSocket) server.listen(address.path, resolve);
    else server.listen(address.port, address.host, resolve);
  });
  if (isSocket && address.mode !== undefined) await chmod(address.path, address.mode);
  return { name: isSocket ? name : urlOf(server), close: () => closeServer(server, address) };
}

const STALLED_MS = 30_000;

/** What paths are read against; nobody looks at it. */
const HERE = "http://localhost/";

interface Exchange {
  readonly request: IncomingMessage;
  readonly body: RequestBody;
  readonly response: ServerResponse;
}

const CROWDED: ApiResponse = {
  status: 503,
  body: { error: "Cannot take the request: too many bytes of others are under way" },
  headers: { "retry-after": "1" },
};

const LATE: ApiResponse = {
  status: 408,
  body: { error: "Cannot take the request: its body came too slowly" },
};

async function handle(
  answerer: Answerer,
  stalledMs: number,
  { request: message, body: sent, response }: Exchange,
): Promise<void> {
  const request: ApiRequest = {
    method: message.method ?? "GET",
    // A path such as `//` is no URL: it is not found, like others that are not there.
    url: URL.parse(message.url ?? "/", HERE) ?? new URL(HERE),
    origin: message.headers["origin"],
    lastEventId: message.headers["last-event-id"]?.toString(),
    contentType: message.headers["content-type"],
    authorization: message.headers["authorization"],
    body: (maxBytes) => sent.read(maxBytes),
  };
  const answered = await answerer(request);
  const given = sent.isCrowded ? CROWDED : sent.isLate ? LATE : answered;
  const { status, headers, stream, text = jsonOf(given.body) } = given;
  if (stream) {
    response.writeHead(status, headers);
    return await sendStream(response, stream, stalledMs);
  }
  const whole = { "content-type": "application/json", ...headers };
  if (message.complete) {
    response.writeHead(status, whole);
    response.end(text);
    return;
  }
  // What is left of a body that was not read would be taken for the next request. And a connection that
  // ends while that still comes is reset, so that nobody reads the answer.
  const length = `${new TextEncoder().encode(text).length}`;
  response.writeHead(status, { ...whole, "content-length": length, connection: "close" });
  response.write(text);
  if (!sent.isLate) await sent.drain();
  response.end();
}

function jsonOf(body: object): string {
  return JSON.stringify(body, (_key, each) => {
    if (typeof each === "bigint") return `${each}`;
    return each instanceof Error ? each.message : each;
  }) + "\n";
}

async function sendStream(
  response: ServerResponse,
  stream: (signal: AbortSignal) => AsyncIterable<string>,
  stalledMs: number,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  response.once("error", () => gone.abort());
  response.flushHeaders();
  try {
    for await (const text of stream(gone.signal)) {
      if (gone.signal.aborted || !await isSent(response, text, stalledMs)) break;
    }
  } finally {
    gone.abort();
    response.destroy();
  }
}

/** Whether a text went out before the connection ended, or stood still for too long. */
function isSent(response: ServerResponse, text: string, stalledMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (isSent: boolean) => {
      clearTimeout(limit);
      response.off("close", onClose);
      response.off("drain", onDrain);
      resolve(isSent);
    };
    const onClose = () => done(false);
    const onDrain = () => done(true);
    const limit = setTimeout(() => done(false), stalledMs);
    response.once("close", onClose);
    if (response.write(text)) done(true);
    else response.once("drain", onDrain);
  });
}

/** Removes a socket that a crash left behind. */
async function makeRoom(path: string, isOurs: boolean): Promise<void> {
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    throw cannotListen(path, `a socket's path has ${MAX_SOCKET_PATH_BYTES} bytes at most`);
  }
  const stats = await lstat(path).catch((error) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw cannotListen(path, systemReason(error), error);
  });
  if (!stats) return;
  if (!stats.isSocket()) throw cannotListen(path, "it is there, and no socket");
  // A command that outlived us may hold it open, though nobody answers: children inherit it under Deno.
  if (!isOurs && await isOpen(path)) throw cannotListen(path, "another process has it open");
  await rm(path, { force: true });
}

function isOpen(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

async function closeServer(server: Server, address: Address): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
  if ("path" in address) await rm(address.path, { force: true });
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") return `${address}`;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

/** What each runtime says in other words, or without saying what to do. */
function portReason(error: unknown): string {
  switch (systemCode(error)) {
    case "EADDRINUSE":
      return "another program listens there; end that one, or take another port (0 takes a free one)";
    case "EADDRNOTAVAIL":
    case "EINVAL":
      return "this machine has no such address; take 127.0.0.1, or one of its own";
    case "EACCES":
    case "EPERM":
      return "that is not allowed; ports below 1024 need a privilege, take one above";
    default:
      return systemReason(error);
  }
}

function cannotListen(name: string, why: string, cause?: unknown): ConfigError {
  return new ConfigError("Invalid", `Cannot listen on ${name}: ${why}`, { cause });
}
