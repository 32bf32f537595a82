import {
  deepStrictEqual as deepEqual,
  notDeepStrictEqual,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { keccak256 } from "viem";
import { type Asked, withServer } from "../l1/rpc_server.ts";
import { Load } from "./load.ts";

function answerTo({ id, method, params }: Asked): object {
  const results: Readonly<Record<string, () => unknown>> = {
    eth_getTransactionCount: () => "0x0",
    txpool_status: () => ({ pending: "0x0", queued: "0x0" }),
    eth_sendRawTransaction: () => keccak256(`${params[0]}` as `0x${string}`),
  };
  return { jsonrpc: "2.0", id, result: results[method]!() };
}

/** The first transactions that a seed makes. */
async function firstOf(seed: number, count: number): Promise<string[]> {
  const raws: string[] = [];
  await withServer<Asked | Asked[]>((asked, response) => {
    response.end(JSON.stringify(Array.isArray(asked) ? asked.map(answerTo) : answerTo(asked)));
  }, async (url) => {
    const rpc = async (method: string, params: readonly unknown[] = []) => {
      const body = JSON.stringify({ id: 1, method, params });
      return (await (await fetch(url, { method: "POST", body })).json()).result;
    };
    const options = { chainId: 901, seed, perSecond: 2000, perBlob: 1_000_000 };
    const load = new Load({ url, rpc }, options);
    load.start();
    while (load.sent < count) await rpc("txpool_status");
    await load.pause();
    equal(new Set(load.raws.values()).size, load.sent);
    raws.push(...load.raws.values());
  });
  return raws.slice(0, count);
}

test("a load sends what its seed says, however long that takes", async () => {
  const first = await firstOf(7, 200);
  deepEqual(await firstOf(7, 200), first);
  notDeepStrictEqual(await firstOf(8, 200), first);
  const types = first.map((raw) => /^0x0[1-4]/.exec(raw)?.[0] ?? "0x00");
  deepEqual([...new Set(types)].sort(), ["0x00", "0x01", "0x02", "0x04"]);
});
