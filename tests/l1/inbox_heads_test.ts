import { deepStrictEqual as deepEqual, rejects } from "node:assert/strict";
import { test } from "node:test";
import { batch, FakeChain, openInbox, posted, readAll } from "./fake_chain.ts";

/** A chain with `height` blocks of a batch each, of which the safe and the final are named. */
function chainOf(height: number, safe: bigint | undefined, finalized: bigint | undefined) {
  const chain = new FakeChain();
  for (let number = 0; number < height; number++) chain.mine(posted(batch(number)));
  const header = chain.header.bind(chain);
  const heads = { safe, finalized };
  chain.header = (tag) => {
    if (tag !== "safe" && tag !== "finalized") return header(tag);
    const number = heads[tag];
    return number === undefined ? Promise.resolve(undefined) : header(number);
  };
  return { chain, heads };
}

test("L1Inbox.l1Heads() tells how far L1 is safe and final, where what was read rests on it", async () => {
  const { chain, heads } = chainOf(10, 8n, 6n);
  const inbox = openInbox(chain);
  deepEqual(await inbox.l1Heads(), { safe: -1n, finalized: -1n });
  await readAll(inbox);
  deepEqual(await inbox.l1Heads(), { safe: 8n, finalized: 6n });
  // A node that mixes them up.
  heads.safe = 5n;
  deepEqual(await inbox.l1Heads(), { safe: 6n, finalized: 6n });
  heads.finalized = undefined;
  deepEqual(await inbox.l1Heads(), { safe: 5n, finalized: -1n });
});

test("L1Inbox.l1Heads() tells nothing of a branch that was not read", async () => {
  const { chain, heads } = chainOf(10, 4n, 2n);
  const inbox = openInbox(chain);
  await readAll(inbox);
  chain.drop(5);
  for (let number = 0; number < 8; number++) chain.mine(posted(batch(100 + number)));
  // Blocks 6 to 12 of another branch are final before anybody looked at it.
  heads.safe = 12n;
  heads.finalized = 9n;
  deepEqual(await inbox.l1Heads(), { safe: 5n, finalized: 5n });
  // What is to be taken back was found, and not taken back yet: still.
  await rejects(inbox.nextBatch(), { code: "Reorganised" });
  deepEqual(await inbox.l1Heads(), { safe: 5n, finalized: 5n });
  inbox.rewind(6n);
  await readAll(inbox);
  deepEqual(await inbox.l1Heads(), { safe: 12n, finalized: 9n });
});
