/**
 * A node of L2 as a process of its own: a chain of small blocks, served by JSON-RPC. The path of its URL is
 * the number of the newest block. Prints its URL when it is ready.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- it tells its URL
import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import process from "node:process";
import { blockHashing } from "../../src/l1/block_hashing.ts";
import { rawTransaction } from "../../src/l1/raw_transaction.ts";
import { ScriptedL2, transfers } from "../../tests/l2/scripted_l2.ts";

/** Signed once, and then in many blocks. */
const POOL = 64;

interface Asked {
  readonly id: number;
  readonly method: string;
  readonly params: readonly unknown[];
}

const [head = "1000"] = process.argv.slice(2);
const pool = await transfers(POOL);
const hashing = await blockHashing();
const raws = pool.map((each) => rawTransaction(each, hashing)!);
/** Two of them, other ones in each block. */
const pick = <T>(from: readonly T[]) => (number: bigint) => {
  const at = Number(number) % POOL;
  return [from[at]!, from[(at + 7) % POOL]!];
};
const l2 = new ScriptedL2(Number(head), { transactions: pick(pool), raws: pick(raws) });

async function answer({ id, method, params }: Asked, path: string) {
  l2.asked.length = 0;
  const isHead = params[0] === "latest";
  const asked = isHead ? [`0x${Number(path.slice(1)).toString(16)}`, ...params.slice(1)] : params;
  return { jsonrpc: "2.0", id, result: await l2.request(method, asked) };
}

const server = createServer(async (request, response) => {
  const parts: Uint8Array[] = [];
  for await (const part of request) parts.push(part as Uint8Array);
  const asked: Asked | Asked[] = JSON.parse(Buffer.concat(parts).toString());
  const path = request.url ?? "/";
  const answers = Array.isArray(asked)
    ? await Promise.all(asked.map((each) => answer(each, path)))
    : await answer(asked, path);
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answers));
});
server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
});
