/**
 * What an account may spend and how long it lasts: told in time, by name, and again.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { SinkError } from "../../src/errors.ts";
import { inEther } from "../../src/l1/gas.ts";
import { ETHER, GWEI, request, TxWorld, type WorldOptions } from "./tx_world.ts";

const MINUTE_MS = 60_000;

async function inWorld(
  options: WorldOptions,
  action: (world: TxWorld) => Promise<void>,
): Promise<void> {
  const world = new TxWorld(options);
  try {
    await action(world);
  } finally {
    world.close();
  }
}

test("inEther() tells six digits that count, and never an exponent", () => {
  deepEqual(
    [0n, 1n, 10n ** 10n, 16_500_000n * GWEI, ETHER, 10_000n * ETHER, 123_456_789_012n * GWEI]
      .map(inEther),
    [
      "0 ETH",
      "0.000000000000000001 ETH",
      "0.00000001 ETH",
      "0.0165 ETH",
      "1 ETH",
      "10000 ETH",
      "123.456789 ETH",
    ],
  );
});

test("TxManager says again every ten minutes which limit a batch waits for, and what to do", async () => {
  await inWorld({ config: { maxSpendPerBatchWei: 10_000n * GWEI } }, async (world) => {
    const manager = await world.open();
    manager.send(request(0)).catch(() => {});
    await world.pass(35 * MINUTE_MS);
    const waits = world.told("tx.waits");
    equal(waits.length, 4, "at once, and after 10, 20 and 30 minutes");
    for (const { reason, error } of waits) {
      equal(reason, "spend");
      ok(error instanceof SinkError);
      match(
        error.message,
        /one batch could cost 0\.\d+ ETH, at most 0\.00001 ETH may be spent \(maxSpendPerBatchWei\).*allow more/,
      );
      deepEqual(error.details["max"], 10_000n * GWEI);
      equal(error.details["limit"], "maxSpendPerBatchWei");
    }
    await world.run(manager.close());
  });
});

test("TxManager says in ether what an account lacks", async () => {
  await inWorld({ balance: 1_000n * GWEI }, async (world) => {
    const manager = await world.open();
    const error = await world.run(manager.send(request(0)).then(() => undefined, (error) => error));
    match(error.message, /has 0\.000001 ETH, and what is under way can cost 0\.\d+ ETH. Fund it/);
    equal(error.details.balance, 1_000n * GWEI);
    await world.run(manager.close());
  });
});

const LITTLE = ETHER / 2000n;
const RUNWAYS = [
  ["a day or less", LITTLE, {}, true],
  ["longer than that", 100n * ETHER, {}, false],
  ["longer than it is told", LITTLE, { lowRunwayMs: MINUTE_MS }, false],
] as const;
for (const [what, balance, config, isLow] of RUNWAYS) {
  const name = `TxManager tells once an hour of an account that lasts ${what}`;
  test(`${name}, and ${isLow ? "warns" : "does not warn"}`, async () => {
    await inWorld({ balance, config }, async (world) => {
      const manager = await world.open();
      for (let number = 0; number < 3; number++) {
        await world.run(manager.send(request(number)));
        await world.pass(29 * MINUTE_MS);
      }
      const told = world.told("account.runway");
      equal(told.length, 2, "of three batches in an hour and a half");
      const { spentWei, overMs, balanceWei, lastsMs } = told[1]!;
      equal(told[1]!.isLow, isLow);
      ok(spentWei > 0n && balanceWei < balance);
      equal(lastsMs, Number(balanceWei * BigInt(overMs) / spentWei));
      await world.run(manager.close());
    });
  });
}

test("TxManager waits while gas is above its ceiling, and says that it is gas", async () => {
  await inWorld({ config: { maxFeePerGas: 5n * GWEI } }, async (world) => {
    world.ethereum.setFees({ baseFee: 50n * GWEI });
    world.ethereum.slot();
    const manager = await world.open();
    const send = manager.send(request(0));
    await world.until(() => world.told("tx.waits").length === 1);
    world.ethereum.setFees({ baseFee: GWEI });
    const receipt = await world.run(send);
    const [wait] = world.told("tx.waits");
    equal(wait!.reason, "base fee");
    equal(String((wait!.error as { code?: unknown }).code), "GasTooExpensive");
    ok(receipt.cost!.gasPrice <= 5n * GWEI);
    world.record.verify(1);
    await world.run(manager.close());
  });
});
