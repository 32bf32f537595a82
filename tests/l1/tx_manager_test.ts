import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { landed, request, TxWorld } from "./tx_world.ts";

test("TxManager confirms batches in blobs and then calldata, several in flight, and forgets them when final", async () => {
  const world = new TxWorld();
  const manager = await world.open();
  const sends = [0, 1, 2, 3, 4, 5].map((number) => manager.send(request(number, { blobs: 2 })));
  const calldata = [6, 7].map((number) => manager.send(request(number, { blobs: 0 })));
  deepEqual(
    landed(await world.run(Promise.allSettled([...sends, ...calldata]))),
    ["0", "1", "2", "3", "4", "5", "6", "7"],
  );
  const [first] = await Promise.all(sends);
  equal(first!.blobHashes.length, 2);
  equal(first!.cost!.blobGasUsed, 2n * 131_072n);
  equal(world.ethereum.head.header.number >= first!.l1Block + 9n, true);
  await world.until(() => world.journal.landed.length === 8);
  deepEqual(world.journal.attempts, []);
  world.record.verify(8);
  deepEqual(world.violations, []);
  equal(world.record.replacements, 0);
  deepEqual(manager.state, { queued: 0, pending: 0, watched: 0 });
  await world.run(manager.close());
  world.close();
});
