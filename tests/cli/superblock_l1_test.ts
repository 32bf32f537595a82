/**
 * `montana superblock` on an L1 whose beacon node and execution client are scripted: they miss slots, are
 * down, are reorganised while nobody looks; the process is killed, and started again 100 epochs later.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { noise, withDirectory } from "../helpers.ts";
import { FakeBeacon } from "../l1/fake_beacon.ts";
import { type Answer, withServer } from "../l1/rpc_server.ts";
import { clearSkew, skewedBy, skipWithoutSkew } from "../skewed_clock.ts";
import { headerJson } from "../superblock/world.ts";
import { skipUnlessShown } from "./half.ts";
import { type Running, start } from "./montana.ts";

const SLOTS_PER_EPOCH = 3;
const BATCH_FACTOR = 2;
const STOPPED_EPOCHS = 100;

/** What L1 is, by the clock of whoever asks. */
class SlotsOfL1 {
  readonly genesis = Math.floor(Date.now() / 1000) - 10;
  /** The clock of the process is so far ahead. */
  skewMs = 0;
  /** From this slot on blocks are others, and other slots are missed. */
  branch: number | undefined;
  isDown = false;

  get headSlot(): number {
    return this.slots.at(-1)!;
  }

  /** Those with a block, up to now: one in seven is missed. */
  get slots(): number[] {
    const now = Math.floor((Date.now() + this.skewMs) / 1000) - this.genesis;
    return Array.from({ length: now + 1 }, (_, slot) => slot)
      .filter((slot) => slot === 0 || slot % 7 !== (this.#isOther(slot) ? 3 : 6));
  }

  readonly answer: Answer = ({ id, params }, response) => {
    const { slots } = this;
    const [tag] = params;
    // Nothing is final here, but block 0.
    const at = tag === "latest" ? slots.length - 1 : tag === "finalized" ? 0 : Number(tag);
    const slot = slots[at];
    const result = slot === undefined ? null : headerJson({
      number: BigInt(at),
      hash: this.#hash(slot),
      parentHash: this.#hash(slots[at - 1] ?? 0),
      timestamp: BigInt(this.genesis + slot),
    });
    response.writeHead(this.isDown ? 503 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  };

  #isOther(slot: number): boolean {
    return this.branch !== undefined && slot >= this.branch;
  }

  #hash(slot: number): Uint8Array {
    return noise(32, slot + (this.#isOther(slot) ? 1_000_000 : 0));
  }
}

interface Told {
  readonly event: string;
  readonly [field: string]: unknown;
}

function toldBy({ stderr }: Running): Told[] {
  return stderr.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

const numbersOf = (told: readonly Told[], event: string, field: string) =>
  told.filter((each) => each.event === event).map((each) => Number(each[field]));

const RUN =
  "montana superblock has each trigger once, in order, whatever becomes of L1 and of itself";
test(RUN, { skip: skipUnlessShown("executable", RUN) || skipWithoutSkew(RUN) }, async () => {
  await using beacon = await FakeBeacon.start();
  const l1 = new SlotsOfL1();
  beacon.interfere = () => ({
    body: { data: { header: { message: { slot: `${l1.headSlot}` } } } },
  });
  const isHealthy = beacon.interfere;
  await withDirectory((cwd) =>
    withServer(l1.answer, async (rpc) => {
      const settings = {
        "batch_manager.chain_id": 1001,
        "batch_manager.batch_timeout": "10s",
        "batch_manager.late_block_grace": "500ms",
        "l1_listener.genesis_time": l1.genesis,
        "l1_listener.slot_duration": "1s",
        "l1_listener.slots_per_epoch": SLOTS_PER_EPOCH,
        "l1_listener.batch_factor": BATCH_FACTOR,
        "l1_listener.poll_interval": "250ms",
        "l1_listener.l1_rpc": rpc,
        "l1_listener.beacon_rpc": beacon.url,
      };
      const args = [
        ...["superblock", "--data-dir", "d", "--log-format", "json", "--log-level", "debug"],
        ...Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]),
      ];
      const live = async (skewMs: number, play: (life: Running) => Promise<void>) => {
        l1.skewMs = skewMs;
        const life = start(args, { cwd, env: skewMs === 0 ? {} : skewedBy(skewMs) });
        try {
          await play(life);
        } finally {
          life.send("SIGKILL");
          const { code } = await life.ended;
          equal(code, null, life.stderr);
          if (life.pid !== undefined) clearSkew(life.pid);
        }
        return toldBy(life);
      };
      const epochs = (life: Running) => numbersOf(toldBy(life), "epoch", "epoch");
      const more = async (life: Running, what: string, count: number) => {
        const before = epochs(life).length;
        await life.until(what, () => epochs(life).length >= before + count);
      };

      const first = await live(0, async (life) => {
        await more(life, "epochs by the beacon node", 2);
        beacon.interfere = () => ({ status: 503 });
        await more(life, "epochs without the beacon node", 2);
        l1.isDown = true;
        await more(life, "epochs by the clock alone", 2);
        beacon.interfere = isHealthy;
        l1.isDown = false;
        await life.untilSaid('"event":"epoch_source_recovered"');
        const count = () => toldBy(life).filter(({ source }) => source === "beacon").length;
        const before = count();
        await life.until("the beacon node is asked again", () => count() > before + 2);
      });
      // L1 goes another way from before the last epoch on, while nobody looks.
      const lastEpoch = Math.max(...numbersOf(first, "epoch", "epoch"));
      l1.branch = SLOTS_PER_EPOCH * (lastEpoch - 1);
      const second = await live(STOPPED_EPOCHS * SLOTS_PER_EPOCH * 1000, async (life) => {
        await more(life, "all that were missed", STOPPED_EPOCHS);
        // As many again as its start took. One that is written down and not told yet would be told by nobody.
        const headEpoch = () => Math.floor(l1.headSlot / SLOTS_PER_EPOCH);
        await life.until("all that came since", () => epochs(life).at(-1)! >= headEpoch());
        await more(life, "one more", 1);
      });
      const third = await live(STOPPED_EPOCHS * SLOTS_PER_EPOCH * 1000, (life) =>
        more(life, "the next", 1));

      const told = [...first, ...second, ...third];
      const all = numbersOf(told, "epoch", "epoch");
      deepEqual(
        all,
        all.map((_, at) =>
          all[0]! + at
        ),
      );
      equal(all[0]! % BATCH_FACTOR, 0);
      const triggers = numbersOf(told, "batch_trigger", "batch");
      deepEqual(triggers, triggers.map((_, at) => all[0]! / BATCH_FACTOR + at));
      equal(triggers.length, Math.ceil(all.length / BATCH_FACTOR));
      const sources = new Set(
        first.filter(({ event }) => event === "epoch").map(({ source }) => source),
      );
      deepEqual([...sources].sort(), ["beacon", "clock", "execution"]);
      const failed = new Set(
        first.filter(({ event }) => event === "epoch_source_failed").map(({ source }) => source),
      );
      deepEqual([...failed].sort(), ["beacon", "execution"]);
      const reorganised = numbersOf(second, "epoch_reorganised", "epoch");
      ok(reorganised.includes(lastEpoch), `${reorganised}`);
      deepEqual([...new Set(reorganised)], reorganised);
      deepEqual(numbersOf(third, "epoch_reorganised", "epoch"), []);
    })
  );
});
