import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { Wal } from "../../src/wal/log.ts";

async function sequences(wal: Wal): Promise<bigint[]> {
  const found: bigint[] = [];
  for await (const record of wal.read()) found.push(record.sequence);
  return found;
}

test("Wal keeps what was appended over a restart, from its checkpoint on", async () => {
  const storage = new MemoryStorage();
  const first = await Wal.open({ storage, directory: "/log" });
  await Promise.all([1, 2, 3].map((value) => first.append(1, Uint8Array.of(value))));
  await first.checkpoint(1n);
  await rejects(Wal.open({ storage, directory: "/log" }), { code: "Locked" });
  await first.close();
  await rejects(first.append(1, new Uint8Array()), { code: "Closed" });

  const second = await Wal.open({ storage, directory: "/log" });
  equal(second.checkpointed, 1n);
  equal(second.nextSequence, 3n);
  deepEqual(await sequences(second), [1n, 2n]);
  await second.close();
});
