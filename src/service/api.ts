/**
 * What the HTTP services here have in common: a request, an answer, and how one is refused.
 *
 * @module
 */

/** A request, read up to its bound. */
export interface ApiRequest {
  readonly method: string;
  readonly url: URL;
  readonly contentType: string | undefined;
  readonly authorization?: string | undefined;
  /** Set by browsers: what a page asks for, nobody asked for. */
  readonly origin?: string | undefined;
  /** Of a client that comes back to a stream: the last event that it has. */
  readonly lastEventId?: string | undefined;
  /** Reads at most so many bytes; `undefined` where there are more. */
  readonly body: (maxBytes: number) => Promise<Uint8Array | undefined>;
}

/** An answer. */
export interface ApiResponse {
  readonly status: number;
  /** Made JSON; 64-bit numbers are decimal text. */
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of the body, as it is. */
  readonly text?: string;
  /**
   * In place of the body: texts that go out one after the other, each when the one before is gone. Begun
   * with a signal that is aborted when nobody listens any more.
   */
  readonly stream?: (signal: AbortSignal) => AsyncIterable<string>;
}

/** Why a request is not answered; {@link refused} answers so. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** @throws {Refusal} where a page in a browser asks */
export function mustBeProgram({ origin }: ApiRequest): void {
  if (origin === undefined) return;
  throw new Refusal(403, "Forbidden", `Cannot serve a page of ${origin}: programs only`);
}

export function found(body: object): ApiResponse {
  return { status: 200, body };
}

/** `undefined` where the method is the right one. */
export function wrongMethod(
  { method, url }: ApiRequest,
  allowed: string,
): ApiResponse | undefined {
  if (method === allowed) return undefined;
  const message = `Cannot ${method} ${url.pathname.slice(0, 100)}: need ${allowed}`;
  return { ...refused(405, "WrongMethod", message), headers: { allow: allowed } };
}

export function refused(
  status: number,
  code: string,
  message: string,
  kind = "critical",
): ApiResponse {
  return { status, body: { error: { code, kind, message } } };
}
