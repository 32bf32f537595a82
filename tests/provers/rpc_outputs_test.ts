import { deepStrictEqual as deepEqual, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { JsonRpc } from "../../src/ethereum.ts";
import { RpcOutputSource } from "../../src/provers/rpc_outputs.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";

test("RpcOutputSource asks for output roots, and for a final block of L1", async () => {
  const asked: unknown[] = [];
  let answer: unknown = { hash: toHex(noise(32, 1)), outputRoot: toHex(noise(32, 2)) };
  const node = {
    request: (method: string, params: readonly unknown[]) => {
      asked.push([method, ...params]);
      return Promise.resolve(answer);
    },
  } as unknown as JsonRpc;
  const outputs = new RpcOutputSource({ rollup: node, l1: node });
  deepEqual(await outputs.outputRoot(300n), noise(32, 2));
  deepEqual(await outputs.l1Head(), noise(32, 1));
  deepEqual(asked, [
    ["optimism_outputAtBlock", "0x12c"],
    ["eth_getBlockByNumber", "finalized", false],
  ]);
  for (answer of [null, {}, { hash: "0x01", outputRoot: "0x01" }]) {
    await rejects(outputs.outputRoot(1n), { code: "Invalid", message: /optimism_outputAtBlock/ });
    await rejects(outputs.l1Head(), { code: "Invalid", message: /eth_getBlockByNumber/ });
  }
});
