import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import type { Chain } from "../../src/ethereum.ts";
import { SpendGuard } from "../../src/l1/spend_guard.ts";
import { TxManager } from "../../src/l1/tx_manager.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withMembers } from "../helpers.ts";
import { decodeFake, FakeSigner } from "../simulation/ethereum_transactions.ts";
import {
  ADDRESS,
  answered,
  ETHER,
  GWEI,
  landed,
  request,
  TxWorld,
  type WorldOptions,
} from "./tx_world.ts";

/** A node whose answers to the first transactions are these; `undefined` takes one. */
function answering(...texts: readonly (string | undefined)[]): (chain: Chain) => Chain {
  const left = [...texts];
  return (chain) =>
    withMembers(chain, {
      send(raw) {
        const text = left.shift();
        return text === undefined ? chain.send(raw) : Promise.reject(answered(text));
      },
    });
}

/** A node that never takes what was signed first. */
function refusing(text: string): (chain: Chain) => Chain {
  let first: string | undefined;
  return (chain) =>
    withMembers(chain, {
      send(raw) {
        first ??= toHex(raw);
        return toHex(raw) === first ? Promise.reject(answered(text)) : chain.send(raw);
      },
    });
}

/** Somebody else's transaction of the same account comes to the network. */
async function stranger(
  world: TxWorld,
  nonce: bigint,
  { maxFeePerGas = 1000n * GWEI, maxPriorityFeePerGas = 1000n * GWEI } = {},
): Promise<void> {
  const { raw } = await new FakeSigner(ADDRESS).sign({
    chainId: world.ethereum.chainId,
    nonce,
    to: new Uint8Array(20).fill(9),
    input: new Uint8Array(),
    gas: 21_000n,
    fees: { maxFeePerGas, maxPriorityFeePerGas, maxFeePerBlobGas: 0n },
    blobHashes: [],
  });
  await world.ethereum.submit(raw);
}

/** Runs with a world that is ended, and whose promises were kept. */
async function inWorld(
  options: WorldOptions,
  action: (world: TxWorld) => Promise<void>,
): Promise<void> {
  const world = new TxWorld(options);
  try {
    await action(world);
    deepEqual(world.violations, []);
  } finally {
    world.close();
  }
}

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

/** What a node answers once, and it lands all the same. */
const PASSING: readonly string[] = [
  "already known",
  "nonce too high: tx nonce 3, gapped nonce 1",
  "address already reserved",
  "unexpected sidecar version, want: 1, got: 0",
  "txpool is full",
  "the moon is full",
];

/** What a node answers to a transaction for ever, and its replacement lands. */
const TOO_CHEAP: readonly string[] = [
  "replacement transaction underpriced",
  "transaction underpriced: gas tip cap 1, minimum needed 2",
  "max fee per gas less than block base fee",
  "max fee per blob gas less than block blob gas fee",
];

const ROWS = [
  ...PASSING.map((text) => ({ text, chain: answering(text), signed: 1 })),
  ...TOO_CHEAP.map((text) => ({ text, chain: refusing(text), signed: 2 })),
];

for (const { text, chain, signed } of ROWS) {
  test(`TxManager lands a batch to whose first transaction a node says: ${text}`, async () => {
    await inWorld({ chain }, async (world) => {
      const manager = await world.open();
      const receipt = await world.run(manager.send(request(0)));
      equal(receipt.batchNumber, 0n);
      world.record.verify(1);
      equal(world.told("tx.signed").length, signed);
      await world.run(manager.close());
    });
  });
}

test("TxManager takes another nonce where the first was used before it was ever published", async () => {
  const text = "nonce too low: next nonce 1, tx nonce 0";
  await inWorld({ chain: answering(text, text) }, async (world) => {
    const manager = await world.open();
    const send = manager.send(request(0));
    await world.until(() => world.told("tx.signed").length === 1);
    await stranger(world, 0n);
    await world.run(send);
    deepEqual(world.told("tx.signed").map(({ attempt }) => attempt.nonce), [0n, 1n]);
    deepEqual(world.record.landed(), [0n]);
    await world.run(manager.close());
  });
});

test("TxManager tells of a nonce that somebody else took, and gives the batch another when asked again", async () => {
  await inWorld({ ethereum: { isOverlooked: ({ to }) => to[0] !== 9 } }, async (world) => {
    const manager = await world.open({});
    const send = manager.send(request(0, { blobs: 0 }));
    await world.until(() => world.told("tx.sent").length === 1);
    await stranger(world, 0n);
    await rejects(world.run(send), { code: "NonceTaken", message: /nonce 0 of this account/ });
    const again = manager.send(request(0, { blobs: 0 }));
    await world.until(() => world.told("tx.signed").some(({ attempt }) => attempt.nonce === 1n));
    // What was signed for nonce 0 could not land any more.
    ok(world.ethereum.finalNumber() > 0n);
    again.catch(() => {});
    await world.run(manager.close());
  });
});

test("TxManager waits for transactions of its account that it does not know, and ends when they land", async () => {
  await inWorld({}, async (world) => {
    await stranger(world, 0n);
    const manager = await world.open();
    const sending = manager.send(request(0));
    sending.catch(() => {});
    await rejects(world.run(manager.failed), { code: "NonceTaken", message: /Start again/ });
    await rejects(sending, { code: "NonceTaken" });
    deepEqual(world.told("tx.signed"), []);

    // Whoever begins now has looked at L1 with them on it.
    const again = await world.open();
    equal((await world.run(again.send(request(0)))).batchNumber, 0n);
    await world.run(again.close());
  });
});

test("TxManager goes on behind transactions of a shared account", async () => {
  await inWorld({ config: { isShared: true } }, async (world) => {
    await stranger(world, 0n);
    const manager = await world.open();
    const receipt = await world.run(manager.send(request(0)));
    equal(receipt.batchNumber, 0n);
    deepEqual(world.told("tx.waits").map(({ reason }) => reason), ["nonce"]);
    deepEqual(world.told("tx.signed").map(({ attempt }) => attempt.nonce), [1n]);
    await world.run(manager.close());
  });
});

test("TxManager frees a pool that keeps the account for the other type, once", async () => {
  await inWorld({ ethereum: { isOverlooked: ({ to }) => to[0] === 9 } }, async (world) => {
    await stranger(world, 0n, { maxFeePerGas: GWEI / 2n, maxPriorityFeePerGas: 1n });
    const manager = await world.open();
    const receipt = await world.run(manager.send(request(0)));
    equal(receipt.batchNumber, 0n);
    const signed = world.told("tx.signed");
    equal(signed.filter(({ reason }) => reason === "cancel").length, 1);
    equal(signed.at(-1)!.attempt.nonce, 1n);
    deepEqual(world.record.landed(), [0n]);
    await world.run(manager.close());
  });
});

test("TxManager frees a pool again that keeps the account for the first type by then", async () => {
  const raws: Uint8Array[] = [];
  let isOverlooked = true;
  const ethereum = { takesGaps: true, isOverlooked: () => isOverlooked };
  const onSend = (raw: Uint8Array) => void raws.push(raw);
  await inWorld({ ethereum, node: { onSend } }, async (world) => {
    await stranger(world, 0n, { maxFeePerGas: GWEI / 2n, maxPriorityFeePerGas: 1n });
    const manager = await world.open();
    const sends = [0, 1].map((number) => manager.send(request(number)));
    await world.until(() =>
      world.told("tx.sent").some(({ attempt, answer }) =>
        attempt.batchNumber === undefined && answer === "taken"
      )
    );
    // A node that lost all hears of the second batch first.
    const nonces = await Promise.all(raws.map(async (raw) => (await decodeFake(raw)).nonce));
    world.ethereum.pool.clear();
    await world.node.send(raws[nonces.indexOf(1n)]!);
    isOverlooked = false;
    await world.run(Promise.all(sends));
    const kinds = world.told("tx.signed").flatMap(({ attempt, reason }) =>
      reason === "cancel" ? [`${attempt.nonce} ${attempt.blobHashes.length}`] : []
    );
    deepEqual(kinds, ["0 0", "0 1"]);
    deepEqual(world.record.landed(), [1n, 0n]);
    await world.run(manager.close());
  });
});

test("TxManager falls back to calldata under the nonce of blobs that no node takes", async () => {
  const isBlob = (raw: Uint8Array) => raw[0] === 3;
  const chain = (inner: Chain) =>
    withMembers(inner, {
      send: (raw) => isBlob(raw) ? Promise.reject(answered("missing sidecar")) : inner.send(raw),
    });
  await inWorld({ chain }, async (world) => {
    const manager = await world.open();
    await rejects(world.run(manager.send(request(0))), {
      code: "TxFailed",
      message: /nonce 0: missing sidecar/,
    });
    await world.run(manager.send(request(0, { blobs: 0 })));
    deepEqual(world.told("tx.signed").map(({ attempt }) => attempt.nonce), [0n, 0n]);
    equal(world.told("tx.signed").at(-1)!.reason, "fallback");
    deepEqual(world.record.landed(), [0n]);
    await world.run(manager.close());
  });
});

test("TxManager waits above the ceiling, and lands below it again", async () => {
  await inWorld({ config: { maxFeePerBlobGas: 5n * GWEI } }, async (world) => {
    world.ethereum.setFees({ blobBaseFee: 50n * GWEI });
    world.ethereum.slot();
    const manager = await world.open();
    const receipt = await world.run(manager.send(request(0)));
    const [wait] = world.told("tx.waits");
    equal(wait!.reason, "blob fee");
    equal(String((wait!.error as { code?: unknown }).code), "BlobGasTooExpensive");
    ok(receipt.cost!.blobGasPrice <= 5n * GWEI);
    world.record.verify(1);
    await world.run(manager.close());
  });
});

test("TxManager lands a batch whose fees rose fifty times after it was sent, by the rules", async () => {
  await inWorld({}, async (world) => {
    const manager = await world.open();
    const send = manager.send(request(0));
    await world.until(() => world.told("tx.sent").length === 1);
    for (let block = 0; block < 12; block++) {
      world.ethereum.setFees({ baseFee: 50n * GWEI, blobBaseFee: 50n * GWEI });
      await world.pass(12_000);
    }
    await world.run(send);
    const attempts = world.told("tx.signed").map(({ attempt }) => attempt);
    equal(new Set(attempts.map(({ nonce }) => nonce)).size, 1);
    ok(attempts.length >= 2 && attempts.length <= 4);
    ok(attempts[1]!.fees.maxFeePerBlobGas >= 90n * GWEI);
    world.record.verify(1);
    await world.run(manager.close());
  });
});

test("TxManager refuses a batch whose window is over before anything is signed", async () => {
  await inWorld({}, async (world) => {
    world.ethereum.slots(10);
    const manager = await world.open();
    await rejects(world.run(manager.send(request(0, { deadline: 10n }))), {
      code: "WindowExpired",
    });
    deepEqual(world.journal.attempts, []);
    const receipt = await world.run(manager.send(request(0, { deadline: 12n })));
    equal(receipt.l1Block <= 12n, true);
    await world.run(manager.close());
  });
});

test("TxManager takes the nonce from a batch whose window ends while it is pending", async () => {
  await inWorld({
    ethereum: { isOverlooked: ({ blobHashes, to }) => blobHashes.length > 0 && to[0] === 0x42 },
  }, async (world) => {
    const manager = await world.open();
    await rejects(world.run(manager.send(request(0, { deadline: 7n }))), { code: "WindowExpired" });
    await world.until(() => world.journal.landed.length === 1);
    equal(world.journal.landed[0]!.batchNumber, undefined);
    deepEqual(world.record.landed(), []);
    equal(world.told("tx.signed").at(-1)!.reason, "cancel");
    await world.run(manager.close());
  });
});

test("TxManager spends no more than its limits, over a restart, and goes on when there is room", async () => {
  // A transaction with a blob can cost 21320 gas at 2 gwei and a bit, and 131072 gas of blobs at 1 gwei.
  const most = 400_000n * GWEI;
  await inWorld({ config: { maxSpendPerHourWei: most } }, async (world) => {
    const numbers = Array.from({ length: 12 }, (_, number) => number);
    let manager = await world.open();
    const first = numbers.slice(0, 6).map((number) => manager.send(request(number)));
    await world.run(Promise.all(first));
    await world.run(manager.close());
    manager = await world.open();
    await world.run(Promise.all(numbers.map((number) => manager.send(request(number)))));
    world.record.verify(12);
    ok(world.told("tx.waits").some(({ reason }) => reason === "spend"));
    const spent = (await world.run(manager.runway())).spentWei;
    ok(spent > 0n && spent < most);
    await world.run(manager.close());
  });
});

test("TxManager refuses what one batch may not cost, and limits that are none", async () => {
  await inWorld({ config: { maxSpendPerBatchWei: 1n, sendTimeoutMs: 60_000 } }, async (world) => {
    const manager = await world.open();
    await rejects(world.run(manager.send(request(0))), { code: "SpendLimit" });
    deepEqual(world.journal.attempts, []);
    await world.run(manager.close());
  });
  throws(() => new SpendGuard({ maxSpendPerHourWei: 0n }), { code: "Invalid" });
});

test("TxManager refuses another chain, and says of an account that it has nothing", async () => {
  await inWorld({ config: { chainId: 1n } }, async (world) => {
    await rejects(world.open(), { code: "Invalid", message: /its chain id is 31337, need 1/ });
  });
  await inWorld({ balance: 0n }, async (world) => {
    const manager = await world.open();
    await rejects(world.run(manager.healthCheck()), { code: "InsufficientFunds" });
    await rejects(world.run(manager.send(request(0))), { code: "InsufficientFunds" });
    world.ethereum.fund(ADDRESS, ETHER);
    await world.run(manager.send(request(0)));
    await world.run(manager.close());
  });
});

test("TxManager joins calls for one batch, and refuses another batch of its number", async () => {
  await inWorld({ config: { sendTimeoutMs: 30_000 } }, async (world) => {
    let manager = await world.open();
    const send = manager.send(request(0));
    equal(manager.send(request(0)), send);
    await rejects(world.run(send), { code: "Timeout" });
    const other = { ...request(0), blobs: request(7).blobs };
    await rejects(world.run(manager.send(other)), { code: "Changed" });
    await world.run(manager.close());
    await rejects(manager.send(request(0)), { code: "Connection", kind: "critical" });
    await world.pass(300_000);
    manager = await world.open();
    await world.run(manager.send(request(0)));
    await world.until(() => world.journal.landed.length === 1);
    // What is final is not sent again either.
    const { txHash } = await world.run(manager.send(request(0)));
    equal(toHex(txHash), toHex(world.journal.landed[0]!.txHash));
    world.record.verify(1);
    await world.run(manager.close());
  });
});

test("TxManager does not lose a transaction that a node swallowed", async () => {
  let swallowed = 0;
  const plan = (method: keyof Chain) =>
    method === "send" && ++swallowed <= 2 ? "swallowed" as const : undefined;
  await inWorld({ node: { plan } }, async (world) => {
    const manager = await world.open();
    await world.run(manager.send(request(0)));
    equal(world.told("tx.sent").length >= 3, true);
    world.record.verify(1);
    await world.run(manager.close());
  });
});

test("TxManager goes on with what was signed where a batch comes back the way it went first", async () => {
  const isStuck = { ethereum: { isOverlooked: () => world.ethereum.head.header.number < 12n } };
  const world = new TxWorld({ ...isStuck, config: { sendTimeoutMs: 100_000 } });
  try {
    const manager = await world.open();
    await rejects(world.run(manager.send(request(0, { blobs: 0 }))), { code: "Timeout" });
    await rejects(world.run(manager.send(request(0, { blobs: 1 }))), { code: "Timeout" });
    const signed = world.told("tx.signed").length;
    const again = manager.send(request(0, { blobs: 0 }));
    again.catch(() => {});
    await world.pass(10_000);
    equal(world.told("tx.signed").length, signed);
    await world.until(() => world.journal.landed.length > 0);
    deepEqual(world.record.landed(), [0n]);
    deepEqual(world.violations, []);
    await world.run(manager.close());
  } finally {
    world.close();
  }
});

test("TxManager says which blob the archive lost, and goes on when it is given the batch again", async () => {
  await inWorld({}, async (world) => {
    let manager = await world.open();
    manager.send(request(0)).catch(() => {});
    await world.until(() => world.told("tx.sent").length === 1);
    await world.run(manager.close());
    world.blobs.clear();
    world.ethereum.pool.clear();
    manager = await world.open();
    await world.until(() => world.told("tx.waits").some(({ reason }) => reason === "archive"));
    const { error } = world.told("tx.waits").at(-1)!;
    ok(String(error).includes(toHex(world.journal.attempts[0]!.blobHashes[0]!)));
    await world.run(manager.send(request(0)));
    world.record.verify(1);
    await world.run(manager.close());
  });
});

test("TxManager refuses settings that cannot be", async () => {
  for (const config of [{ confirmations: 0 }, { maxPendingTx: 1.5 }, { blockTimeMs: 0 }]) {
    await rejects(TxManager.open({} as never, config), { code: "Invalid" });
  }
});
