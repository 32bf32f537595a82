/**
 * A server of JSON-RPC that answers as it is told.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** A request, as it comes. */
export interface Asked {
  readonly id: number;
  readonly method: string;
  readonly params: unknown[];
}

/** Answers it. */
export type Answer<T = Asked> = (
  asked: T,
  response: ServerResponse,
  request: IncomingMessage,
) => void;

/** Runs `action` with a server that answers so. */
export async function withServer<T = Asked>(
  answer: Answer<T>,
  action: (url: string, host: string) => Promise<void>,
): Promise<void> {
  const server = createServer(async (request, response) => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    answer(JSON.parse(Buffer.concat(parts).toString()), response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    await action(`http://127.0.0.1:${port}/`, `127.0.0.1:${port}`);
  } finally {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
