import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { MemoryBlobStore } from "../../src/local/memory_tx_journal.ts";
import { noise } from "../helpers.ts";

test("MemoryBlobStore keeps blobs until they are forgotten", async () => {
  const store = new MemoryBlobStore();
  const [first, second] = [noise(32, 1), noise(32, 2)];
  const blob = noise(100);
  await store.put(first, blob);
  await store.put(second, blob);
  equal(await store.get(first), blob);
  store.forget([first, noise(32, 3)]);
  equal(await store.get(first), undefined);
  equal(await store.get(second), blob);
  equal(store.size, 1);
});
