import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { L1ClockConfig } from "../../src/superblock.ts";
import {
  batchAt,
  batchWindow,
  checkedClock,
  epochAt,
  epochStart,
  ETHEREUM_CLOCK,
  slotAt,
  slotsPerBatch,
  slotStart,
  triggerAt,
} from "../../src/superblock/clock.ts";

const { genesisTime: G } = ETHEREUM_CLOCK;

const clocks: fc.Arbitrary<L1ClockConfig> = fc.record({
  genesisTime: fc.bigInt({ min: 0n, max: 2n ** 40n }),
  slotSeconds: fc.bigInt({ min: 1n, max: 100n }),
  slotsPerEpoch: fc.bigInt({ min: 1n, max: 64n }),
  batchFactor: fc.bigInt({ min: 1n, max: 20n }),
});
const times = fc.bigInt({ min: 0n, max: 2n ** 50n });

/** Time, slot, epoch, batch; whether the epoch triggers. */
const VECTORS: readonly (readonly [bigint, bigint, bigint, bigint, boolean])[] = [
  [G, 0n, 0n, 0n, true],
  [G + 11n, 0n, 0n, 0n, true],
  [G + 12n, 1n, 0n, 0n, true],
  [G + 383n, 31n, 0n, 0n, true],
  [G + 384n, 32n, 1n, 0n, false],
  [G + 3839n, 319n, 9n, 0n, false],
  [G + 3840n, 320n, 10n, 1n, true],
  [1_763_769_600n, 13_078_798n, 408_712n, 40_871n, false],
  [G - 3600n, 0n, 0n, 0n, true],
];

test("slot, epoch, batch and trigger are those of the vectors", () => {
  for (const [at, slot, epoch, batch, isTrigger] of VECTORS) {
    equal(slotAt(ETHEREUM_CLOCK, at), slot, `slot at ${at}`);
    equal(epochAt(ETHEREUM_CLOCK, at), epoch, `epoch at ${at}`);
    equal(batchAt(ETHEREUM_CLOCK, at), batch, `batch at ${at}`);
    const trigger = triggerAt(ETHEREUM_CLOCK, epoch);
    equal(trigger !== undefined, isTrigger, `trigger at ${at}`);
    if (trigger) equal(trigger.batchNumber, batch);
  }
  deepEqual(triggerAt(ETHEREUM_CLOCK, 10n), {
    batchNumber: 1n,
    triggerEpoch: 10n,
    triggerSlot: 320n,
    triggerTime: G + 3840n,
  });
  deepEqual(batchWindow(ETHEREUM_CLOCK, 40_871n), {
    batchNumber: 40_871n,
    firstEpoch: 408_710n,
    lastEpoch: 408_719n,
    firstSlot: 13_078_720n,
    lastSlot: 13_079_039n,
    startsAt: G + 13_078_720n * 12n,
    endsAt: G + 13_079_040n * 12n,
  });
});

test("each time after the genesis is in the window of its batch, and in no other", () => {
  fc.assert(fc.property(clocks, times, (clock, sinceGenesis) => {
    const at = clock.genesisTime + sinceGenesis;
    const { batchNumber, startsAt, endsAt, firstSlot, lastSlot } = batchWindow(
      clock,
      batchAt(clock, at),
    );
    equal(startsAt <= at && at < endsAt, true);
    const slot = slotAt(clock, at);
    equal(firstSlot <= slot && slot <= lastSlot, true);
    equal(lastSlot - firstSlot + 1n, slotsPerBatch(clock));
    equal(batchWindow(clock, batchNumber + 1n).startsAt, endsAt);
    equal(batchAt(clock, endsAt), batchNumber + 1n);
    equal(batchAt(clock, endsAt - 1n), batchNumber);
  }));
});

test("A slot and an epoch begin where they are counted from, and epochs trigger once a batch", () => {
  fc.assert(fc.property(clocks, fc.bigInt({ min: 0n, max: 2n ** 40n }), (clock, number) => {
    equal(slotAt(clock, slotStart(clock, number)), number);
    equal(epochAt(clock, epochStart(clock, number)), number);
    equal(epochAt(clock, epochStart(clock, number + 1n) - 1n), number);
    const { firstEpoch, lastEpoch } = batchWindow(clock, number);
    let triggers = 0;
    for (let epoch = firstEpoch; epoch <= lastEpoch; epoch++) {
      if (triggerAt(clock, epoch)?.batchNumber === number) triggers += 1;
    }
    equal(triggers, 1);
    equal(triggerAt(clock, firstEpoch)?.triggerTime, batchWindow(clock, number).startsAt);
  }));
});

test("A clock that cannot be is refused by name", () => {
  for (const name of ["slotSeconds", "slotsPerEpoch", "batchFactor"] as const) {
    throws(() => checkedClock({ ...ETHEREUM_CLOCK, [name]: 0n }), {
      code: "Invalid",
      message: new RegExp(`${name} 0: need at least 1`),
    });
  }
  throws(() => checkedClock({ ...ETHEREUM_CLOCK, genesisTime: -1n }), /genesisTime -1/);
});
