/**
 * A scripted L2 node behind HTTP, for programs.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import { RpcError } from "../../src/errors.ts";
import type { ScriptedL2 } from "./scripted_l2.ts";

interface Call {
  readonly id: number;
  readonly method: string;
  readonly params: readonly unknown[];
}

/** A page, as proxies and providers answer one. */
const PAGE = "<!DOCTYPE html><html><body>Welcome</body></html>";

/** Serves it until it is disposed of. Where its answer is no JSON-RPC (`Invalid`), it serves a page. */
export class ServedL2 implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    const { port } = server.address() as { port: number };
    this.url = `http://127.0.0.1:${port}`;
    this.#server = server;
  }

  static async begin(l2: ScriptedL2): Promise<ServedL2> {
    const server = createServer(async (request, response) => {
      const parts: Uint8Array[] = [];
      for await (const part of request) parts.push(part as Uint8Array);
      const asked: Call | Call[] = JSON.parse(Buffer.concat(parts).toString());
      const answer = Array.isArray(asked)
        ? await Promise.all(asked.map((each) => answerOf(l2, each)))
        : await answerOf(l2, asked);
      const isPage = [answer].flat().includes(undefined);
      response.setHeader("content-type", isPage ? "text/html" : "application/json");
      response.end(isPage ? PAGE : JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ServedL2(server);
  }

  get host(): string {
    return new URL(this.url).host;
  }

  /** Nobody is there from now on. */
  async end(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** `undefined` where there is none. */
async function answerOf(l2: ScriptedL2, { id, method, params }: Call): Promise<object | undefined> {
  try {
    return { jsonrpc: "2.0", id, result: await l2.request(method, params) ?? null };
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (error.code === "Invalid") return undefined;
    const { rpcCode: code = -32000 } = error.details;
    return { jsonrpc: "2.0", id, error: { code, message: error.message } };
  }
}
