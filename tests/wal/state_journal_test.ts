import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Storage } from "../../src/ports.ts";
import { fromJsonPayload, toJsonPayload } from "../../src/wal/json_payload.ts";
import { Wal } from "../../src/wal/log.ts";
import { StateJournal } from "../../src/wal/state_journal.ts";
import { linkedBlocks, noise } from "../helpers.ts";

interface State {
  readonly next: bigint;
}

const OPTIONS = { keep: 3, isWhole: ({ next }: Partial<State>) => typeof next === "bigint" };

function openIn(storage: Storage): Promise<StateJournal<State>> {
  return StateJournal.open<State>({ storage, directory: "data" }, OPTIONS);
}

test("fromJsonPayload() gives back what toJsonPayload() was given, 64-bit numbers and bytes too", () => {
  const value = {
    position: { nextBatchNumber: 2n ** 64n - 1n, lastTimestamp: 0n },
    lastBlock: linkedBlocks(1, { first: 7 })[0]!,
    hash: noise(32),
    empty: new Uint8Array(),
    out: "/some/where.jsonl",
    list: [1n, "2", 3, null, true],
  };
  deepEqual(fromJsonPayload(toJsonPayload(value)), value);
});

test("StateJournal finds the newest states after a crash, and keeps no more than asked for", async () => {
  const storage = new MemoryStorage();
  for (let next = 0n; next < 40n; next++) {
    const journal = await openIn(storage);
    const from = next < 3n ? 0n : next - 3n;
    const kept = Array.from(
      { length: Number(next - from) },
      (_, at) => ({ next: from + BigInt(at) }),
    );
    deepEqual(journal.states, kept);
    await journal.save({ next });
    storage.crash(new SeededRandom(Number(next)));
  }
  const wal = await Wal.open({ storage, directory: "data" });
  let records = 0;
  for await (const _ of wal.read()) records += 1;
  equal(records <= 6, true);
});

test("StateJournal has saved a state, also where those before it cannot be let go of now", async () => {
  const disk = new MemoryStorage();
  let writes = Infinity;
  const storage = new FaultyStorage(
    disk,
    ({ method }) => method === "write" && --writes < 0 ? { error: "NoSpace" } : undefined,
  );
  const journal = await openIn(storage);
  const lessOne = 2 * OPTIONS.keep - 1;
  for (let next = 0; next < lessOne; next++) await journal.save({ next: BigInt(next) });
  writes = 1;
  await journal.save({ next: 5n });
  equal(writes < 0, true, "nothing failed");
  await journal.close();
  const again = await openIn(disk);
  deepEqual(again.states, [{ next: 3n }, { next: 4n }, { next: 5n }]);
  await again.close();
});

test("StateJournal refuses a state that is none, by record", async () => {
  const values = ["{", "null", "[]", "7", "{}", '{"next":7}', '{"next":{"$u64":"x"}}'];
  for (const text of values) {
    const storage = new MemoryStorage();
    const wal = await Wal.open({ storage, directory: "data" });
    await wal.append(1, new TextEncoder().encode(text));
    await wal.close();
    await rejects(
      openIn(storage),
      { code: "Corrupted", message: /data, record \d+: it is not/ },
      text,
    );
    await (await Wal.open({ storage, directory: "data" })).close();
  }
});
