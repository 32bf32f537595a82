/**
 * A batch processor over HTTP, on a port or a unix socket.
 *
 * | request               |                                                                          |
 * | --------------------- | ------------------------------------------------------------------------ |
 * | `POST /v1/operations` | `text/plain`, or no type: each line is an operation                      |
 * |                       | `application/json`: a string is one, an array of strings is many         |
 * | `GET /v1/status`      | how it stands                                                            |
 * | `POST /v1/flush`      | answered when all that was added before is handled; so `drain`, `pause`  |
 * | `/drain` `/pause`     | when it is so. `?deadline_ms=` bounds the wait. Only where it may be     |
 * | `/resume`             | controlled: on the socket in its data directory                          |
 *
 * Operations are answered with 202 once they are synced: `{"sequences":["7","8"]}`. An error is
 * `{"error":{"code":…,"kind":…,"message":…}}`; of several operations, those that were taken nevertheless
 * have their sequence beside it, the others `null`.
 *
 * @module
 */
import { describeError, MontanaError } from "../errors.ts";
import {
  type ApiRequest,
  type ApiResponse,
  mustBeProgram,
  Refusal,
  refused,
  wrongMethod,
} from "./api.ts";
import { type Address, listen, type Listening } from "./http_server.ts";

/** What is served. */
export interface ServedProcessor {
  add(operation: Uint8Array): Promise<bigint>;
  flushNow(deadline: ApiDeadline): Promise<void>;
  pause(deadline: ApiDeadline): Promise<void>;
  drain(deadline: ApiDeadline): Promise<void>;
  resume(): Promise<void>;
  stats(): object;
}

/** How long a request may wait. */
export interface ApiDeadline {
  readonly deadlineMs?: number;
}

/** What is allowed. */
export interface ApiOptions {
  /** Bytes of a request. */
  readonly maxBodyBytes: number;
  /** Whether it may be flushed, paused, drained and resumed. */
  readonly isControl: boolean;
}

const NEWLINE = 0x0a;
const CONTROLS = ["flush", "pause", "drain", "resume"] as const;
type Control = typeof CONTROLS[number];

/** Which status says what of our errors. What is not here is 500. */
const STATUS: Readonly<Record<string, number>> = {
  Full: 429,
  TooLarge: 413,
  RecordTooLarge: 413,
  Draining: 503,
  Closed: 503,
  NotStarted: 503,
  NoSpace: 507,
  Paused: 409,
  Deadline: 504,
};

/**
 * Serves a batch processor.
 *
 * @throws {ConfigError} `Invalid` when that cannot be
 */
export function serve(
  processor: ServedProcessor,
  address: Address,
  options: ApiOptions,
): Promise<Listening> {
  return listen(address, (request) => answer(processor, request, options));
}

/** Answers a request; it does not throw. */
export async function answer(
  processor: ServedProcessor,
  request: ApiRequest,
  options: ApiOptions,
): Promise<ApiResponse> {
  try {
    const { pathname } = request.url;
    mustBeProgram(request);
    if (pathname === "/v1/operations") {
      return wrongMethod(request, "POST") ?? await addAll(processor, request, options);
    }
    if (pathname === "/v1/status") {
      return wrongMethod(request, "GET") ?? { status: 200, body: processor.stats() };
    }
    const control = CONTROLS.find((each) => pathname === `/v1/${each}`);
    if (control && options.isControl) {
      return wrongMethod(request, "POST") ?? await apply(processor, control, request);
    }
    return refused(404, "NotFound", notFound(pathname, control !== undefined));
  } catch (error) {
    return failed(error);
  }
}

async function addAll(
  processor: ServedProcessor,
  request: ApiRequest,
  { maxBodyBytes }: ApiOptions,
): Promise<ApiResponse> {
  const body = await request.body(maxBodyBytes);
  if (!body) {
    return refused(413, "TooLarge", `Cannot take more than ${maxBodyBytes} bytes in one request`);
  }
  const operations = operationsOf(request.contentType, body);
  if ("status" in operations) return operations;
  const outcomes = await Promise.allSettled(operations.map((each) => processor.add(each)));
  const sequences = outcomes.map((each) => each.status === "fulfilled" ? each.value : null);
  const refusal = outcomes.find((each) => each.status === "rejected");
  if (!refusal) return { status: 202, body: { sequences } };
  const response = failed(refusal.reason);
  return { ...response, body: { ...response.body, sequences } };
}

async function apply(
  processor: ServedProcessor,
  control: Control,
  { url }: ApiRequest,
): Promise<ApiResponse> {
  const given = url.searchParams.get("deadline_ms");
  if (given !== null && !/^\d{1,15}$/.test(given)) {
    return refused(400, "Invalid", `Cannot use deadline_ms "${given}": need a number`);
  }
  const deadline = given === null ? {} : { deadlineMs: Number(given) };
  if (control === "flush") await processor.flushNow(deadline);
  else await processor[control](deadline);
  return { status: 200, body: processor.stats() };
}

function operationsOf(
  contentType: string | undefined,
  body: Uint8Array,
): readonly Uint8Array[] | ApiResponse {
  const type = (contentType ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "application/json") return operationsOfJson(body);
  if (body.length === 0) return refused(400, "Empty", "Cannot add nothing: the body is empty");
  const isLines = type === "" || type === "text/plain" || type === "application/x-ndjson" ||
    // What curl says of --data.
    type === "application/x-www-form-urlencoded" || type === "application/octet-stream";
  if (isLines) return linesOf(body);
  const message = `Cannot take "${type}": need text/plain with a line an operation, or ` +
    "application/json with a string or an array of strings";
  return refused(415, "UnsupportedType", message);
}

function operationsOfJson(body: Uint8Array): readonly Uint8Array[] | ApiResponse {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    return refused(400, "Invalid", `Cannot read the body as JSON: ${describeError(error)}`);
  }
  const texts: unknown[] = Array.isArray(value) ? value : [value];
  const wrong = texts.findIndex((each) =>
    typeof each !== "string" || each.includes("\n") || !each.isWellFormed()
  );
  if (texts.length > 0 && wrong < 0) {
    return texts.map((text) => new TextEncoder().encode(text as string));
  }
  const why = texts.length === 0 ? "the array is empty" : `item ${wrong} is none`;
  const message =
    "Cannot take this JSON: need a string of Unicode text without a newline, or an array of them; " +
    why;
  return refused(400, "Invalid", message);
}

function linesOf(body: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < body.length;) {
    const at = body.indexOf(NEWLINE, from);
    const end = at < 0 ? body.length : at;
    lines.push(body.subarray(from, end));
    from = end + 1;
  }
  return lines;
}

function notFound(path: string, isControl: boolean): string {
  const there = "there are POST /v1/operations and GET /v1/status";
  const elsewhere = isControl ? `; it is controlled by the socket in its data directory` : "";
  return `Cannot find ${path}: ${there}${elsewhere}`;
}

function failed(error: unknown): ApiResponse {
  if (error instanceof Refusal) return refused(error.status, error.code, error.message);
  if (!(error instanceof MontanaError)) return refused(500, "Failed", describeError(error));
  const status = STATUS[error.code] ?? 500;
  const response = refused(status, error.code, error.message, error.kind);
  // A second is a guess; whoever asks again at once is no help.
  return status === 429 || status === 503
    ? { ...response, headers: { "retry-after": "1" } }
    : response;
}
