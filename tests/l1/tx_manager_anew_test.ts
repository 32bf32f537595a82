/**
 * A batch that came too late and was sealed anew: it takes a nonce of its own, and never passes for the one
 * before.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  notDeepStrictEqual as notDeepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import type { TxRequest } from "../../src/l1/tx_manager.ts";
import { toBlobs } from "../../src/wire/blob.ts";
import { batchCalldata, blobCalldata } from "../../src/wire/inbox.ts";
import { noise } from "../helpers.ts";
import { INBOX, request, TxWorld } from "./tx_world.ts";

/** Batch 0 in other bytes. */
function anew(kind: Kind, deadlineL1Block: bigint): TxRequest {
  const batchNumber = 0n;
  const data = noise(500, 77);
  const body = kind === "blobs"
    ? { input: blobCalldata(batchNumber), blobs: toBlobs(data) }
    : { input: batchCalldata({ batchNumber, data }), blobs: [] };
  return { batchNumber, to: INBOX, deadlineL1Block, ...body };
}

type Kind = "blobs" | "calldata";
const LATE = 7n;

/** A world in which no block takes a transaction to the inbox before it is told to. */
async function inWorld(action: (world: TxWorld, open: () => void) => Promise<void>): Promise<void> {
  let isOpen = false;
  const world = new TxWorld({
    ethereum: { isOverlooked: ({ to }) => !isOpen && to[0] === INBOX[0] },
  });
  try {
    await action(world, () => isOpen = true);
  } finally {
    world.close();
  }
}

for (const kind of ["blobs", "calldata"] as const) {
  const before = request(0, { blobs: kind === "blobs" ? 1 : 0, deadline: LATE });

  for (const isRestarted of [false, true]) {
    const when = isRestarted ? "after a restart" : "at once";
    test(`TxManager lands a batch in ${kind} that was sealed anew, ${when}`, async () => {
      await inWorld(async (world, open) => {
        let manager = await world.open();
        await rejects(world.run(manager.send(before)), { code: "WindowExpired" });
        if (isRestarted) {
          await world.run(manager.close());
          manager = await world.open();
        }
        ok(!world.told("tx.signed").some(({ reason }) => reason === "cancel"));
        const sending = manager.send(anew(kind, 1000n));
        await world.until(() => world.told("tx.signed").some(({ reason }) => reason === "cancel"));
        open();
        const { l1Block } = await world.run(sending);
        ok(l1Block > LATE);
        deepEqual(world.record.landed(), [0n]);
        await world.until(() => world.journal.landed.length === 2);
        await world.run(manager.close());
      });
    });

    test(`TxManager lands a batch in ${kind} that was sealed anew though it lands too late as well, ${when}`, async () => {
      await inWorld(async (world, open) => {
        let manager = await world.open();
        await rejects(world.run(manager.send(before)), { code: "WindowExpired" });
        open();
        await world.until(() => world.told("tx.included").length === 1);
        const [late] = world.told("tx.included");
        ok(late!.receipt.blockNumber > LATE);
        if (isRestarted) {
          await world.until(() => world.journal.landed.length === 1);
          equal(world.journal.landed[0]!.deadlineL1Block, LATE);
          await world.run(manager.close());
          manager = await world.open();
        }
        const { txHash } = await world.run(manager.send(anew(kind, 1000n)));
        notDeepEqual(txHash, late!.receipt.txHash);
        deepEqual(world.record.landed(), [0n, 0n]);
        await world.run(manager.close());
      });
    });
  }

  test(`TxManager refuses other bytes for a batch in ${kind} that may land in time, or did`, async () => {
    await inWorld(async (world, open) => {
      const manager = await world.open();
      const first = manager.send(before);
      await world.until(() => world.told("tx.sent").length === 1);
      await rejects(world.run(manager.send(anew(kind, 1000n))), { code: "Changed" });
      open();
      await world.run(first);
      await world.until(() => world.ethereum.head.header.number > LATE);
      await rejects(world.run(manager.send(anew(kind, 1000n))), { code: "Changed" });
      await world.until(() => world.journal.landed.length === 1);
      await rejects(world.run(manager.send(anew(kind, 1000n))), { code: "Changed" });
      world.record.verify(1);
      deepEqual(world.violations, []);
      await world.run(manager.close());
    });
  });
}
