/**
 * Epochs by a beacon node and an execution client over real HTTP, both of which do as a script tells them.
 * The time is turned by hand.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { RpcChain } from "../../src/l1/chain.ts";
import { BeaconEpochs, ClockEpochs, ExecutionEpochs } from "../../src/l1/epoch_sources.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { systemClock } from "../../src/runtime.ts";
import type { EpochSource } from "../../src/superblock.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { Events, withDirectory } from "../helpers.ts";
import { FakeBeacon } from "../l1/fake_beacon.ts";
import { type Answer, withServer } from "../l1/rpc_server.ts";
import { headerJson, openManager, range, SlotChain, slotMs, SMALL_CLOCK } from "./world.ts";

/** L1 as both of its nodes tell it. */
interface ScriptedL1 {
  readonly beacon: FakeBeacon;
  readonly chain: SlotChain;
  readonly clock: ManualClock;
  /** The execution client answers 503 while it is set. */
  isChainDown: boolean;
  /** Slots pass, with blocks in those named only. */
  pass(until: number, mined: readonly number[], branch?: number): void;
  /** One start of a program: what an earlier one kept is on the disk. */
  start(sources?: "beacon" | "all"): Promise<Started>;
}

interface Started {
  readonly events: Events;
  look(signal?: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

async function withL1(check: (l1: ScriptedL1) => Promise<void>): Promise<void> {
  await using beacon = await FakeBeacon.start();
  const chain = new SlotChain([]);
  const clock = new ManualClock(slotMs(0));
  const answer: Answer = ({ id, params }, response) => {
    const [tag] = params;
    const at = tag === "latest" ? chain.headers.length - 1 : Number(tag);
    const header = chain.headers[at];
    const result = header ? headerJson(header) : null;
    response.writeHead(l1.isChainDown ? 503 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  };
  let l1: ScriptedL1;
  await withDirectory(async (directory) =>
    await withServer(answer, async (url) => {
      l1 = {
        beacon,
        chain,
        clock,
        isChainDown: false,
        pass(until, mined, branch = 0) {
          for (const slot of mined) chain.mine(slot, branch);
          beacon.head = mined.at(-1) ?? beacon.head;
          clock.advance(slotMs(until) - clock.now());
        },
        async start(which = "all") {
          const events = new Events();
          const { manager, journal } = await openManager(new DiskStorage(), clock, {
            log: events.log,
            directory,
          });
          const rpc = new RpcChain(new HttpJsonRpc({ url, clock: systemClock }));
          const sources: EpochSource[] = [
            new BeaconEpochs({
              url: beacon.url,
              clock: systemClock,
              timeoutMs: 2000,
              l1Clock: SMALL_CLOCK,
              chain: rpc,
            }),
          ];
          if (which === "all") {
            sources.push(
              new ExecutionEpochs(rpc, SMALL_CLOCK),
              new ClockEpochs(SMALL_CLOCK, clock),
            );
          }
          const listener = new EpochListener({
            sources,
            taker: manager,
            clock,
            random: new SeededRandom(1),
            log: events.log,
          }, { l1Clock: SMALL_CLOCK, pollIntervalMs: 12_000 });
          return { events, look: (signal) => listener.look(signal), stop: () => journal.close() };
        },
      };
      await check(l1);
    })
  );
}

const epochsOf = (...starts: readonly Started[]) =>
  starts.flatMap(({ events }) =>
    events.of("epoch").map((
      { epoch: { epoch, block } },
    ) => [Number(epoch), block && Number(block.slot)])
  );
const batchesOf = (...starts: readonly Started[]) =>
  starts.flatMap(({ events }) =>
    events.of("batch_trigger").map(({ trigger }) => Number(trigger.batchNumber))
  );

test("Over HTTP: missed slots, the first of an epoch too, a whole epoch as well", () =>
  withL1(async (l1) => {
    const run = await l1.start();
    l1.pass(3, [0, 1, 3]);
    await run.look();
    // Slot 4 is missed, which begins epoch 1; the beacon's head stays in epoch 0 meanwhile.
    l1.pass(4, []);
    await run.look();
    l1.pass(7, [6, 7]);
    await run.look();
    // Slot 8, which begins batch 1, and all of epoch 3: 12 to 15.
    l1.pass(10, [9, 10]);
    await run.look();
    l1.pass(17, [16, 17]);
    await run.look();
    await run.look();
    deepEqual(epochsOf(run), [[0, 0], [1, 6], [2, 9], [3, undefined], [4, 16]]);
    deepEqual(batchesOf(run), [0, 1, 2]);
    deepEqual(run.events.of("epoch_source_failed"), []);
    ok(l1.beacon.asked.every((path) => path === "/eth/v1/beacon/headers/head"));
    await run.stop();
  }));

test("Over HTTP: a reorganisation over the boundary of an epoch, and one during a stop", () =>
  withL1(async (l1) => {
    const first = await l1.start();
    l1.pass(9, range(0, 10));
    await first.look();
    // Back over the boundary: the head is in epoch 1 again.
    l1.chain.headers.splice(7);
    l1.beacon.head = 6;
    await first.look();
    equal(first.events.of("epoch_reorganised").length, 0);
    l1.pass(11, [9, 10, 11], 1);
    await first.look();
    await first.look();
    const [told, ...more] = first.events.of("epoch_reorganised");
    deepEqual([told?.before.slot, told?.epoch.block?.slot, more.length], [8n, 9n, 0]);
    await first.stop();
    // Another way again while nobody looks: epoch 2 begins with slot 10 now.
    l1.chain.headers.splice(7);
    l1.pass(13, [10, 12, 13], 2);
    const second = await l1.start();
    await second.look();
    const [again, ...others] = second.events.of("epoch_reorganised");
    deepEqual([again?.before.slot, again?.epoch.block?.slot, others.length], [9n, 10n, 0]);
    deepEqual(epochsOf(first, second), [[0, 0], [1, 4], [2, 8], [3, 12]].slice(2));
    deepEqual(batchesOf(first, second), [1]);
    await second.stop();
  }));

test("Over HTTP: a beacon node that is down, silent or talks nonsense, while others tell", () =>
  withL1(async (l1) => {
    const run = await l1.start();
    const faults = [{ status: 503 }, "hang", { body: "<html>" }, { body: { data: {} } }] as const;
    l1.pass(1, [0, 1]);
    await run.look();
    for (const [at, fault] of faults.entries()) {
      l1.beacon.interfere = () => fault;
      const slot = 4 * (at + 1);
      l1.pass(slot, [slot]);
      await run.look();
    }
    // Then the execution client too, and the clock alone is left.
    l1.isChainDown = true;
    l1.pass(20, [20]);
    await run.look();
    l1.isChainDown = false;
    l1.beacon.interfere = () => undefined;
    // As long as it takes until both are asked again.
    l1.clock.advance(120_000);
    l1.pass(32, [32]);
    await run.look();
    const sources = run.events.of("epoch").map(({ epoch: { source } }) => source);
    deepEqual(sources.slice(0, 6), ["beacon", ...Array(4).fill("execution"), "clock"]);
    equal(sources.at(-1), "beacon");
    deepEqual(epochsOf(run).map(([epoch]) => epoch), range(0, 9));
    deepEqual(batchesOf(run), [0, 1, 2, 3, 4]);
    const failed = run.events.of("epoch_source_failed");
    deepEqual(new Set(failed.map(({ source }) => source)), new Set(["beacon", "execution"]));
    match(String(failed[0]?.error), /503/);
    await run.stop();
  }));

test("Over HTTP: with the beacon node alone, nothing is told while it is down, and nothing is lost", () =>
  withL1(async (l1) => {
    const run = await l1.start("beacon");
    l1.beacon.interfere = () => ({ status: 503 });
    for (const slot of range(0, 30)) {
      l1.pass(slot, [slot]);
      await run.look();
    }
    deepEqual(epochsOf(run), []);
    // It is asked less and less often: 30 looks, 12 s apart, the waits are 1 s to 60 s.
    ok(l1.beacon.asked.length < 14, `${l1.beacon.asked.length}`);
    l1.beacon.interfere = () => undefined;
    l1.clock.advance(60_000);
    l1.pass(36, [36]);
    await run.look();
    deepEqual(epochsOf(run).map(([epoch]) => epoch), range(0, 10));
    deepEqual(batchesOf(run), [0, 1, 2, 3, 4]);
    equal(run.events.of("epoch_source_recovered").length, 1);
    await run.stop();
  }));

test("Over HTTP and a disk: 100 epochs missed in a long stop, and a second stop among them", () =>
  withL1(async (l1) => {
    const first = await l1.start();
    l1.pass(30, range(0, 31));
    await first.look();
    await first.stop();
    // One in nine slots is missed, first ones of epochs among them.
    l1.pass(431, range(31, 432).filter((slot) => slot % 9 !== 4));
    const second = await l1.start();
    const end = new AbortController();
    const looking = second.look(end.signal);
    while (second.events.of("epoch").length < 40) await systemClock.sleep(1);
    end.abort();
    await looking;
    await second.stop();
    const missed = epochsOf(second).length;
    ok(missed >= 40 && missed < 100, `${missed}`);
    const third = await l1.start();
    await third.look();
    deepEqual(epochsOf(first, second, third).map(([epoch]) => epoch), range(6, 108));
    deepEqual(batchesOf(first, second, third), range(3, 54));
    await third.stop();
  }));
