/**
 * What several sequencers share: the provers, the Shared Publisher and a rollup node, all of which fail now
 * and then, and what of it all there is to be looked at afterwards.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { SeededRandom } from "../../src/local/memory.ts";
import { brokenRule } from "../../src/provers/settlement.ts";
import { type Transition, transitionOf } from "../../src/provers/superblock_json.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import {
  type HttpFault,
  OpSuccinctServer,
  PublisherServer,
  SuperblockProverServer,
} from "../provers/servers.ts";

/** What the publisher accepted. */
export interface Accepted {
  readonly chainId: number;
  readonly number: number;
  /** The block before the first that is proved. */
  readonly startBlock: number;
  readonly endBlock: number;
}

type Call = Parameters<HttpFault>[0];

/** A publisher that remembers what it accepted, each time. */
class RememberingPublisher extends PublisherServer {
  readonly accepted: Accepted[] = [];

  override answer(call: Call) {
    const answer = super.answer(call);
    if (answer.status === 202) {
      const { chain_id, superblock_number, l2_start_block, aggregation_outputs } = call.body!;
      const { l2BlockNumber } = aggregation_outputs as Record<string, unknown>;
      this.accepted.push({
        chainId: Number(chain_id),
        number: Number(superblock_number),
        startBlock: Number(l2_start_block),
        endBlock: Number(l2BlockNumber),
      });
    }
    return answer;
  }
}

/** Their URLs. */
export interface SettlementUrls {
  readonly prover: string;
  readonly networkProver: string;
  readonly publisher: string;
  readonly rollup: string;
}

/** All of them; disposing of it ends them. */
export class Settlement implements AsyncDisposable {
  readonly prover = new OpSuccinctServer();
  readonly networkProver = new SuperblockProverServer();
  readonly publisher = new RememberingPublisher();
  readonly #rollup: Server;
  readonly #random: SeededRandom;
  /** Who waits for a call; it is not answered. */
  #awaited: { readonly isIt: (call: Call) => boolean; readonly tell: () => void } | undefined;
  faults = 0;

  private constructor(rollup: Server, seed: number) {
    this.#rollup = rollup;
    this.#random = new SeededRandom(seed);
  }

  static async begin(
    seed: number,
  ): Promise<{ readonly settlement: Settlement; readonly urls: SettlementUrls }> {
    const rollup = createServer(async (request, response) => {
      const parts: Uint8Array[] = [];
      for await (const part of request) parts.push(part);
      const { id, params: [block] } = JSON.parse(Buffer.concat(parts).toString());
      const result = { outputRoot: outputRoot(Number(block)) };
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
    });
    await new Promise<void>((resolve) => rollup.listen(0, "127.0.0.1", resolve));
    const settlement = new Settlement(rollup, seed);
    const { prover, networkProver, publisher } = settlement;
    // Long enough to be forgotten on the way.
    prover.statuses = [...Array(8).fill(prover.statuses[0]!), ...prover.statuses];
    const urls = {
      prover: await prover.listen(),
      networkProver: await networkProver.listen(),
      publisher: await publisher.listen(),
      rollup: `http://127.0.0.1:${(rollup.address() as AddressInfo).port}`,
    };
    return { settlement, urls };
  }

  /** From now on each so many calls one goes wrong; the publisher has often done what it was told. */
  failEach(calls: number): void {
    const fault = (server: { answer: PublisherServer["answer"] }): HttpFault => (call) => {
      const isAwaited = this.#awaited?.isIt(call) ?? false;
      if (!isAwaited && this.#random.next() >= 1 / calls) return undefined;
      if (this.#random.next() < 0.5) server.answer(call);
      if (isAwaited) {
        this.#awaited!.tell();
        this.#awaited = undefined;
        return "hang";
      }
      this.faults += 1;
      return { status: 503, text: "" };
    };
    for (const server of [this.prover, this.networkProver, this.publisher]) {
      server.fault = fault(server);
    }
  }

  /**
   * Resolves at the next request for a range that ends with such a block, or submission of such a chain,
   * which gets no answer.
   */
  next(what: "range" | "submission", isOwn: (number: number) => boolean): Promise<void> {
    return new Promise((tell) => {
      this.#awaited = {
        isIt: ({ path, body }) =>
          what === "range"
            ? path === "/request_span_proof" && isOwn(Number(body!.end))
            : path === "/v1/proofs/op-succinct" && isOwn(Number(body!.chain_id)),
        tell,
      };
    });
  }

  /** The provers are started again. */
  forget(): void {
    this.prover.forget();
    this.networkProver.forget();
  }

  hasAccepted(chainId: number, number: number): boolean {
    return this.acceptedOf(chainId).some((each) => each.number === number);
  }

  /** What is accepted of one chain, in order. */
  acceptedOf(chainId: number): Accepted[] {
    return this.publisher.accepted.filter((each) => each.chainId === chainId);
  }

  /** The newest request for each superblock of a chain, whose blocks have numbers in a range of its own. */
  transitionsOf(isOwn: (block: bigint) => boolean): Map<number, Transition> {
    const found = new Map<number, Transition>();
    for (const { method, body } of this.networkProver.calls) {
      if (method !== "POST") continue;
      const transition = transitionOf(body);
      const [block] = transition.next.blocks;
      if (block && isOwn(block.number)) found.set(Number(transition.next.number), transition);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#rollup.close(resolve));
    this.#rollup.closeAllConnections();
    await Promise.all([
      closed,
      ...[this.prover, this.networkProver, this.publisher].map((server) => server.close()),
    ]);
  }
}

function outputRoot(block: number): string {
  return toHex(noise(32, block));
}

/** Makes sure that superblocks follow each other as the settlement contract demands it. */
export async function keepsRules(transitions: Iterable<Transition>): Promise<void> {
  for (const transition of transitions) {
    const broken = await brokenRule(transition);
    ok(broken === undefined, `superblock ${transition.next.number}: ${broken}`);
  }
}

/** Makes sure that these batches were accepted once, in order, and no block between them is left without a proof. */
export function acceptedInOrder(accepted: readonly Accepted[], batches: readonly number[]): void {
  deepEqual(accepted.map(({ number }) => number), batches, "each once, in order");
  for (const [at, { number, startBlock }] of accepted.entries()) {
    const before = accepted[at - 1];
    if (before) equal(startBlock, before.endBlock, `batch ${number}: where its proof begins`);
  }
}
