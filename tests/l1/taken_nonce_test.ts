import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RpcError } from "../../src/errors.ts";
import type { BlockTag, Chain, L1BlockTransaction } from "../../src/ethereum.ts";
import { mayHoldBatch } from "../../src/l1/taken_nonce.ts";
import { answered } from "./tx_world.ts";

const address = new Uint8Array(20).fill(1);
const to = new Uint8Array(20).fill(2);
const DESTINATIONS = { inbox: to, elsewhere: new Uint8Array(20).fill(3), nowhere: undefined };

/** A transaction by who sent it and where to. */
interface Sent {
  readonly isOwn: boolean;
  readonly destination: keyof typeof DESTINATIONS;
}

/** A chain of blocks with these transactions, which keeps the state of the last so many. */
function chainOf(blocks: readonly (readonly Sent[])[], kept = blocks.length): Chain {
  const nonce = (_: Uint8Array, tag: BlockTag) => {
    const number = Number(tag);
    if (number < blocks.length - kept) return Promise.reject(answered("missing trie node"));
    const own = blocks.slice(0, number + 1).flat().filter(({ isOwn }) => isOwn);
    return Promise.resolve(BigInt(own.length));
  };
  const block = (number: bigint) => {
    const transactions = blocks[Number(number)]!.map(({ isOwn, destination }) =>
      ({
        to: DESTINATIONS[destination],
        sender: () => Promise.resolve(isOwn ? address : to),
      }) as L1BlockTransaction
    );
    return Promise.resolve({ transactions });
  };
  return { nonce, block } as unknown as Chain;
}

const sent = fc.record({
  isOwn: fc.boolean(),
  destination: fc.constantFrom("inbox" as const, "elsewhere" as const, "nowhere" as const),
});

test("mayHoldBatch() finds where the transaction of any nonce went, in any chain", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(sent, { maxLength: 4 }), { maxLength: 40 }), async (all) => {
      const blocks = [[], ...all];
      const chain = chainOf(blocks);
      const own = blocks.flat().filter(({ isOwn }) => isOwn);
      for (const [nonce, { destination }] of own.entries()) {
        const head = BigInt(blocks.length - 1);
        const found = await mayHoldBatch({ chain, address, nonce: BigInt(nonce), to, head });
        equal(found, destination === "inbox", `nonce ${nonce}`);
      }
    }),
    { numRuns: 200 },
  );
});

test("mayHoldBatch() says that it may where a node tells a transaction before it wrong", async () => {
  const away: Sent = { isOwn: true, destination: "elsewhere" };
  const { block, ...chain } = chainOf([[], [away, away]]);
  const wrong = async (number: bigint) => {
    const { header, transactions } = (await block(number))!;
    const sender = () => Promise.reject(new RpcError("Invalid", "as planned"));
    return {
      header,
      transactions: transactions.map((each, at) => at > 0 ? each : { ...each, sender }),
    };
  };
  const taken = { address, nonce: 1n, to, head: 1n };
  equal(await mayHoldBatch({ ...taken, chain: { ...chain, block } }), false);
  equal(await mayHoldBatch({ ...taken, chain: { ...chain, block: wrong } }), true);
});

test("mayHoldBatch() says that it may where a node keeps no state so old, and throws what passes", async () => {
  const away: Sent = { isOwn: true, destination: "elsewhere" };
  const blocks = [[], [away], [], [], [], []];
  const taken = { address, nonce: 0n, to, head: 5n };
  equal(await mayHoldBatch({ ...taken, chain: chainOf(blocks) }), false);
  equal(await mayHoldBatch({ ...taken, chain: chainOf(blocks, 3) }), true);
  const busy = new RpcError("Busy", "as planned");
  const chain = { ...chainOf(blocks), nonce: () => Promise.reject(busy) };
  equal(await mayHoldBatch({ ...taken, chain }).catch((error) => error), busy);
});
