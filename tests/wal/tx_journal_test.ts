import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { LandedTx, TxAttempt } from "../../src/ethereum.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { Wal } from "../../src/wal/log.ts";
import { LogTxJournal } from "../../src/wal/tx_journal.ts";
import { noise } from "../helpers.ts";

const OWNER = { address: new Uint8Array(20).fill(7), chainId: 1n };
const DAY_MS = 24 * 60 * 60 * 1000;

function openIn(storage: MemoryStorage, owner = OWNER): Promise<LogTxJournal> {
  return LogTxJournal.open({ storage, directory: "data" }, owner);
}

function attempt(nonce: bigint, batchNumber: bigint | undefined = nonce, size = 100): TxAttempt {
  return {
    batchNumber,
    nonce,
    signed: { raw: noise(size, Number(nonce)), hash: noise(32, 1000 + Number(nonce)) },
    fees: { maxFeePerGas: 3n, maxPriorityFeePerGas: 1n, maxFeePerBlobGas: 2n ** 90n },
    blobHashes: [noise(32, 1)],
    signedAtMs: 1000,
  };
}

function landed(nonce: bigint, landedAtMs = Number(nonce)): LandedTx {
  return {
    nonce,
    batchNumber: nonce,
    isSuccess: true,
    txHash: noise(32, Number(nonce)),
    l1Block: nonce,
    l1BlockHash: noise(32, 5),
    blobHashes: [],
    cost: { gasUsed: 1n, gasPrice: 2n, blobGasUsed: 3n, blobGasPrice: 4n },
    landedAtMs,
  };
}

test("LogTxJournal finds each attempt after a crash, until it is final, and then what came of it", async () => {
  const storage = new MemoryStorage();
  const attempts: TxAttempt[] = [];
  const final: LandedTx[] = [];
  for (let nonce = 0n; nonce < 30n; nonce++) {
    const journal = await openIn(storage);
    deepEqual(journal.attempts, attempts);
    deepEqual(journal.landed, final);
    await journal.signed(attempt(nonce, nonce % 5n === 0n ? undefined : nonce));
    attempts.push(attempt(nonce, nonce % 5n === 0n ? undefined : nonce));
    if (nonce % 4n === 3n) {
      const all = attempts.splice(0, 3).map((each) => landed(each.nonce));
      await journal.forget(all.at(-1)!.nonce + 1n, all);
      final.push(...all);
    }
    storage.crash(new SeededRandom(Number(nonce)));
  }
});

test("LogTxJournal gives its room back, and keeps what landed in a day and the newest 64", async () => {
  const storage = new MemoryStorage();
  const journal = await openIn(storage);
  const hourMs = DAY_MS / 24;
  for (let nonce = 0n; nonce < 200n; nonce++) {
    await journal.signed(attempt(nonce, nonce, 50_000));
    await journal.forget(nonce + 1n, [landed(nonce, Number(nonce) * hourMs)]);
  }
  equal(journal.landed.length, 64);
  equal(journal.landed.at(-1)!.nonce, 199n);
  await journal.close();
  const again = await openIn(storage);
  deepEqual(again.landed, journal.landed);
  deepEqual(again.attempts, []);
  const crowd = Array.from({ length: 100 }, (_, at) => landed(200n + BigInt(at), 199 * hourMs));
  await again.forget(300n, crowd);
  equal(again.landed.length, 24 + 1 + 100);
  await again.close();
  const wal = await Wal.open({ storage, directory: "data" });
  equal(wal.checkpointed > 100n, true);
  await wal.close();
});

test("LogTxJournal refuses another account or chain, and what it did not write", async () => {
  const storage = new MemoryStorage();
  await (await openIn(storage)).close();
  for (const other of [{ ...OWNER, chainId: 2n }, { ...OWNER, address: new Uint8Array(20) }]) {
    await rejects(openIn(storage, other), { code: "Invalid", message: /Give that key/ });
  }
  const wal = await Wal.open({ storage, directory: "data" });
  await wal.append(2, new TextEncoder().encode('{"nonce":7}'));
  await wal.close();
  await rejects(openIn(storage), { code: "Corrupted", message: /record 1 of the journal/ });
});
