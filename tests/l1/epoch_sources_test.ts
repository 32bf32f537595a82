import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { BeaconEpochs, ExecutionEpochs } from "../../src/l1/epoch_sources.ts";
import { systemClock } from "../../src/runtime.ts";
import { range, SlotChain, SMALL_CLOCK } from "../superblock/world.ts";
import { FakeBeacon } from "./fake_beacon.ts";

function beaconEpochs({ url }: FakeBeacon, chain?: SlotChain): BeaconEpochs {
  return new BeaconEpochs({
    url,
    clock: systemClock,
    l1Clock: SMALL_CLOCK,
    ...(chain && { chain }),
  });
}

test("Defect 1: the head of a beacon node is data.header.message.slot", async () => {
  await using beacon = await FakeBeacon.start();
  beacon.head = 13_078_798;
  equal(await beaconEpochs(beacon).headSlot(), 13_078_798n);
  deepEqual(beacon.asked, ["/eth/v1/beacon/headers/head"]);
});

test("Defect 1: a head without a slot, or with junk in its place, is an error, and never epoch 0", async () => {
  await using beacon = await FakeBeacon.start();
  const source = beaconEpochs(beacon);
  const message = (slot: unknown) => ({ data: { header: { message: { slot } } } });
  const bodies = [{ data: { slot: "7" } }, {}, "no json", message("12x"), message(7), message("")];
  for (const body of bodies) {
    beacon.interfere = () => ({ body });
    await rejects(source.headSlot(), {
      code: "Connection",
      isRetryable: true,
      message: new RegExp(`headers/head of ${beacon.host}: data.header.message.slot is `),
    });
  }
  beacon.interfere = () => ({ status: 503 });
  await rejects(source.headSlot(), { code: "Connection", message: /503/ });
});

test("The first block of an epoch is found by time, over missed slots, with few questions", async () => {
  const slots = range(0, 5000).filter((slot) => slot % 7 !== 0 && (slot < 4800 || slot >= 4810));
  const chain = new SlotChain(slots);
  for (const source of [new ExecutionEpochs(chain, SMALL_CLOCK)]) {
    equal(await source.headSlot(), 4999n);
    for (const epoch of [0, 1, 5, 600, 1199, 1200, 1201, 1202, 1203, 1249]) {
      const [first, last] = [4 * epoch, 4 * epoch + 3];
      chain.asked = 0;
      const block = await source.firstBlock(BigInt(first), BigInt(last));
      const expected = slots.find((slot) => slot >= first && slot <= last);
      equal(block?.slot, expected === undefined ? undefined : BigInt(expected), `epoch ${epoch}`);
      equal(chain.asked < 30, true, `${chain.asked} questions`);
      if (!block) continue;
      equal(await source.hasBlock(block), true);
      equal(await source.hasBlock({ ...block, hash: new Uint8Array(32) }), false);
      equal(await source.hasBlock({ ...block, number: 9999n }), false);
    }
    await rejects(source.firstBlock(5000n, 5003n), { code: "Connection", message: /slot 5000/ });
  }
});

test("A beacon node tells the head, and the execution chain the block", async () => {
  await using beacon = await FakeBeacon.start();
  beacon.head = 9;
  const source = beaconEpochs(beacon, new SlotChain([...range(0, 8), 9]));
  equal(await source.headSlot(), 9n);
  equal((await source.firstBlock!(8n, 11n))?.slot, 9n);
  equal(beaconEpochs(beacon).firstBlock, undefined);
});
