/**
 * What is offered where a node refuses the newest transaction of a nonce, and has lost the one before it.
 *
 * @module
 */
import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../src/wire/hex.ts";
import { withMembers } from "../helpers.ts";
import { decodeFake } from "../simulation/ethereum_transactions.ts";
import { answered, request, TxWorld } from "./tx_world.ts";

/** What the node says of the newest, and which transaction before it is offered then. */
const ROWS: readonly { text: string; ofItsKind: boolean; ofTheOther: boolean }[] = [
  { text: "nonce too low", ofItsKind: false, ofTheOther: false },
  // Pools hold the two kinds apart, each with a floor of its own.
  { text: "transaction underpriced", ofItsKind: false, ofTheOther: true },
  {
    text: "max fee per blob gas less than block blob gas fee",
    ofItsKind: false,
    ofTheOther: true,
  },
  // It may be the one before it that is in the pool.
  { text: "replacement transaction underpriced", ofItsKind: true, ofTheOther: true },
  { text: "txpool is full", ofItsKind: true, ofTheOther: true },
  { text: "insufficient funds for gas * price + value", ofItsKind: true, ofTheOther: true },
];

for (const { text, ofItsKind, ofTheOther } of ROWS) {
  for (const [kind, isOffered] of [["its", ofItsKind], ["the other", ofTheOther]] as const) {
    const does = isOffered ? "offers" : "does not offer";
    test(`Publishing ${does} an older one of ${kind} kind where the newest is refused: ${text}`, async () => {
      // The node takes the first and loses it; what replaces it, it refuses twice.
      const sent: string[] = [];
      const world = new TxWorld({
        chain: (node) =>
          withMembers(node, {
            knows: (hash) => sent[0] === toHex(hash) ? Promise.resolve(false) : node.knows(hash),
            send(raw) {
              const { hash } = decodeFake(raw);
              sent.push(toHex(hash));
              if (sent[0] === toHex(hash)) return Promise.resolve(hash);
              const refused = sent.filter((each) => each === toHex(hash)).length <= 2;
              return refused ? Promise.reject(answered(text)) : node.send(raw);
            },
          }),
      });
      try {
        let manager = await world.open();
        const first = manager.send(request(0));
        if (kind === "its") {
          await world.run(first);
        } else {
          void first.catch(() => {});
          await world.until(() => sent.length > 0);
          await world.run(manager.close());
          manager = await world.open();
          await world.run(manager.send(request(0, { blobs: 0 })));
          equal(world.told("tx.signed").some(({ reason }) => reason === "fallback"), true);
        }
        await world.run(manager.close());
        const behind = sent.slice(sent.findIndex((each) => each !== sent[0]));
        equal(behind.includes(sent[0]!), isOffered, sent.join("\n"));
      } finally {
        world.close();
      }
    });
  }
}
