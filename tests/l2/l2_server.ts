/**
 * A node of a test behind HTTP, for the program.
 *
 * @module
 */
import { RpcError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { type Asked, withServer } from "../l1/rpc_server.ts";

/** Runs `action` with the URL at which `node` answers, one by one and many at once. */
export async function withNode(node: JsonRpc, action: (url: string) => Promise<void>) {
  const answerTo = async ({ id, method, params }: Asked) => {
    try {
      return { jsonrpc: "2.0", id, result: await node.request(method, params) };
    } catch (error) {
      const { message, details } = error as RpcError;
      return { jsonrpc: "2.0", id, error: { code: details["rpcCode"] ?? -32000, message } };
    }
  };
  await withServer<Asked | readonly Asked[]>(async (asked, response) => {
    const isMany = Array.isArray(asked);
    const answers = await Promise.all((isMany ? asked : [asked as Asked]).map(answerTo));
    response.end(JSON.stringify(isMany ? answers : answers[0]));
  }, action);
}
