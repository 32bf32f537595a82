import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { RpcBlockSource } from "../../src/l2/rpc_block_source.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { systemClock } from "../../src/runtime.ts";
import type { L2Block } from "../../src/types.ts";
import { type Asked, withServer } from "../l1/rpc_server.ts";
import { ScriptedL2, transfers } from "./scripted_l2.ts";

const HEAD = 700;
const signed = await transfers(3);

/** A node behind HTTP that spoils some of what it answers, the same for the same seed. */
class FaultyNode {
  readonly l2 = new ScriptedL2(HEAD, {
    transactions: (number) => signed.slice(0, Number(number % 4n)),
  });
  /** How often a block was asked for with its transactions. */
  readonly asked = new Map<string, number>();
  /** Requests that came at once, where they were answered at all. */
  readonly sizes: number[] = [];
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  readonly answer = (asked: Asked | readonly Asked[], response: ServerResponse): void => {
    if (!Array.isArray(asked)) return void this.#single(asked as Asked, response);
    const fault = this.#random.next();
    // It is a provider, whose limit is low.
    if (asked.length > 60) return void response.writeHead(413).end("too large");
    if (fault < 0.05) return void response.socket?.destroy();
    if (fault < 0.1) return void response.end("<html>busy</html>");
    this.sizes.push(asked.length);
    void Promise.all(asked.map((each) => this.#member(each))).then((answers) => {
      const shuffled = answers.flat().toSorted(() => this.#random.next() - 0.5);
      response.end(JSON.stringify(shuffled));
    });
  };

  async #single(asked: Asked, response: ServerResponse): Promise<void> {
    if (this.#random.next() < 0.05) return void response.writeHead(503).end();
    response.end(JSON.stringify(await this.#answerTo(asked)));
  }

  async #member(asked: Asked): Promise<unknown[]> {
    const fault = this.#random.next();
    if (fault < 0.02) return [];
    const { id } = asked;
    if (fault < 0.03) return [{ id, error: { code: 429, message: "too many requests" } }];
    if (fault < 0.04) return [{ id, error: { code: -32003, message: "response too large" } }];
    return [await this.#answerTo(asked)];
  }

  async #answerTo({ id, method, params }: Asked): Promise<object> {
    const [tag, isWhole] = params as [string, boolean];
    if (isWhole) this.asked.set(tag, (this.asked.get(tag) ?? 0) + 1);
    return { jsonrpc: "2.0", id, result: await this.l2.request(method, params) };
  }
}

test("blocks come whole out of a node whose answers are spoilt in part, which are asked again in part", async () => {
  for (const seed of [1, 2, 3]) {
    const node = new FaultyNode(seed);
    await withServer<Asked | readonly Asked[]>(node.answer, async (url) => {
      const clock = new ManualClock();
      const source = new RpcBlockSource({
        endpoints: [new HttpJsonRpc({ url, clock: systemClock })],
        l1: { head: () => Promise.resolve(0n), block: () => Promise.reject(new Error("none")) },
        clock,
        random: new SeededRandom(seed),
        pollIntervalMs: 0,
      });
      const given: L2Block[] = [];
      let failures = 0;
      while (!source.isExhausted) {
        try {
          given.push(...await source.pendingBlocks());
        } catch {
          failures += 1;
          clock.advance(60_000);
        }
        ok(failures < 200, "it comes to no end");
      }
      deepEqual(
        given.map(({ number }) => Number(number)),
        Array.from({ length: HEAD }, (_, at) => at + 1),
      );
      for (const { number, hash, transactions } of given) {
        deepEqual(hash, node.l2.hash(number!));
        ok(transactions.length === Number(number! % 4n));
      }
      const answers = [...node.asked.values()].reduce((sum, times) => sum + times, 0);
      // Asked again as a whole, a batch of 60 would have to be without a fault: one in eleven is.
      ok(answers < 2 * HEAD, `${answers} answers for ${HEAD} blocks`);
      ok(Math.max(...node.sizes) > 10, "it was asked for many at once");
      await source.close();
    });
  }
});
