import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { Forkchoice, PayloadEnvelope, PayloadRecord } from "../../src/engine.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryPayloadJournal } from "../../src/local/memory_payload_journal.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { Wal } from "../../src/wal/log.ts";
import { toJsonPayload } from "../../src/wal/json_payload.ts";
import { LogPayloadJournal } from "../../src/wal/payload_journal.ts";
import { payloadAfter, payloadChain } from "../l2/payloads.ts";

const DIRECTORY = "data/payloads";
const openIn = (storage: MemoryStorage) =>
  LogPayloadJournal.open({ storage, directory: DIRECTORY }, { segmentBytes: 64 * 1024 });

async function all(journal: { read(): AsyncIterable<PayloadRecord> }): Promise<PayloadRecord[]> {
  const records: PayloadRecord[] = [];
  for await (const record of journal.read()) records.push(record);
  return records;
}

const rootAt = (number: bigint) => ({ number, hash: new Uint8Array(32).fill(Number(number)) });

const choiceOf = ({ payload }: PayloadEnvelope, finalized?: Uint8Array): Forkchoice => ({
  head: payload.blockHash,
  safe: undefined,
  finalized,
  root: rootAt(7n),
});

test("LogPayloadJournal finds after a crash all that was acknowledged, in order", async () => {
  const storage = new MemoryStorage();
  const expected: PayloadRecord[] = [];
  const memory = new MemoryPayloadJournal();
  const chain = await payloadChain(20);
  for (const [index, envelope] of chain.entries()) {
    const journal = await openIn(storage);
    deepEqual(await all(journal), expected);
    deepEqual(await all(memory), expected, "as the one in memory does");
    expected.push({ sequence: await journal.taken(envelope), envelope });
    equal(await memory.taken(envelope), expected.at(-1)!.sequence);
    if (index % 3 === 0) {
      const forkchoice = choiceOf(envelope, index % 2 ? new Uint8Array(32) : undefined);
      expected.push({ sequence: await journal.chosen(forkchoice), forkchoice });
      equal(await memory.chosen(forkchoice), expected.at(-1)!.sequence);
    }
    if (index % 5 === 4) {
      const { sequence } = expected[3]!;
      await journal.forget(sequence);
      await memory.forget(sequence);
      expected.splice(0, 3);
    }
    storage.crash(new SeededRandom(index));
  }
});

test("LogPayloadJournal keeps payloads of all versions whole", async () => {
  const storage = new MemoryStorage();
  const journal = await openIn(storage);
  const withdrawal = { index: 1n, validatorIndex: 2n, address: new Uint8Array(20), amount: 3n };
  const payloads: PayloadEnvelope[] = [];
  for (const version of [1, 2, 3, 4] as const) {
    const draft = version > 1 ? { withdrawals: [withdrawal] } : {};
    payloads.push(
      await payloadAfter({ blockHash: new Uint8Array(32), blockNumber: 2n ** 63n, timestamp: 5n }, {
        version,
        baseFeePerGas: 2n ** 255n,
        transactions: [Uint8Array.of(2, 3), new Uint8Array(70_000).fill(version), new Uint8Array()],
        executionRequests: [Uint8Array.of(1, 2)],
        ...draft,
      }),
    );
  }
  for (const each of payloads) await journal.taken(each);
  await journal.close();
  const read = await all(await openIn(storage));
  deepEqual(read.map((each) => "envelope" in each && each.envelope), payloads);
});

test("LogPayloadJournal refuses what it did not write", async () => {
  const [whole] = await payloadChain(1);
  const framed = (json: Uint8Array, rest = new Uint8Array(4)) => {
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, json.length, true);
    return concatBytes([size, json, rest]);
  };
  const textOf = (text: string) => new TextEncoder().encode(text);
  for (
    const [type, bytes] of [
      [1, framed(toJsonPayload({ payload: { ...whole!.payload, parentHash: "0x" } }))],
      [1, framed(toJsonPayload({ payload: {} }))],
      [1, framed(toJsonPayload(whole!), new Uint8Array(5))],
      [1, framed(toJsonPayload(whole!), Uint8Array.of(1, 0, 0, 0, 9, 0, 0, 0))],
      [1, framed(textOf("nonsense"))],
      [1, textOf("nonsense")],
      [1, new Uint8Array()],
      [2, textOf("{}")],
      [3, textOf("{}")],
    ] as const
  ) {
    const storage = new MemoryStorage();
    const wal = await Wal.open({ storage, directory: DIRECTORY });
    await wal.append(type, bytes);
    await wal.close();
    const journal = await openIn(storage);
    await rejects(all(journal), {
      code: "Corrupted",
      message: /record 0 of the journal of payloads/,
    });
    await journal.close();
  }
});
