/**
 * Three sequencers on one L1, each with a clock of its own: two are told of their blocks over HTTP, one reads
 * them from a node of its L2. What happens to them while they run is up to the test.
 *
 * @module
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { L1ClockConfig } from "../../src/superblock.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import { type Anvil, startAnvil } from "../l1/anvil.ts";
import { type FaultProxy, startFaultProxy } from "../l1/fault_proxy.ts";
import { type MadeBlock, ReportedChain, sleep } from "./reported_chain.ts";
import { SequencerProcess } from "./sequencer_process.ts";
import { Settlement, type SettlementUrls } from "./settlement.ts";

/** Of each batch: 2 epochs of 5 slots of 1 s. */
export const BATCH_S = 10;
export const EPOCH_S = 5;
/** Batches there might have been before. */
const BATCHES_BEFORE = 100;
/** So late a block may be at most, that its batch takes it whatever the clocks. */
const LATE_MS = 1500;
/** And so late it is refused: its window is over, and so is the grace, whoever was killed meanwhile. */
const TOO_LATE_MS = 30_000;
/** That of the node's blocks. */
const FIRST_CHAIN = 1001;
/** Block numbers tell chains apart. */
const NUMBERS_A_CHAIN = 10_000;

/** From `least` to `most`. */
export type Chance = (least: number, most: number) => number;

/** One of them. */
export class Member implements AsyncDisposable {
  readonly chainId: number;
  readonly process: SequencerProcess;
  readonly chain: ReportedChain | undefined;
  /** As it told which window is open, by batch number: each answer that there was. */
  readonly windows: Map<number, Set<string>> = new Map();

  constructor(chainId: number, process: SequencerProcess, chain: ReportedChain | undefined) {
    this.chainId = chainId;
    this.process = process;
    this.chain = chain;
  }

  /** Whether a number is one of its blocks. */
  isOwn(block: bigint): boolean {
    return Math.floor(Number(block) / NUMBERS_A_CHAIN) === this.chainId - FIRST_CHAIN;
  }

  /** Asks which window is open. */
  async look(): Promise<void> {
    const { url } = this.process;
    if (url === undefined) return;
    try {
      const { window } = await (await fetch(`${url}/v1/batch/current`)).json();
      const told = this.windows.get(window.batch_number) ?? new Set();
      this.windows.set(window.batch_number, told.add(JSON.stringify(window)));
    } catch {
      // It is killed just now.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

function firstBlockOf(chainId: number): number {
  return (chainId - FIRST_CHAIN) * NUMBERS_A_CHAIN;
}

/** What runs beside the sequencers. */
interface Place {
  readonly l1: Anvil;
  readonly l2: Anvil;
  /** Before the node of L2. */
  readonly l2Proxy: FaultProxy;
  readonly settlement: Settlement;
  readonly clock: L1ClockConfig;
  readonly members: readonly Member[];
}

/** All that runs. */
export class Sequencers implements AsyncDisposable {
  readonly place: Place;
  readonly #chance: Chance;
  readonly #all: AsyncDisposableStack;
  readonly #making: Promise<unknown>;
  #isMaking = true;

  private constructor(place: Place, chance: Chance, all: AsyncDisposableStack) {
    this.place = place;
    this.#chance = chance;
    this.#all = all;
    const { members } = place;
    const loops = [...members.map((each) => this.#make(each)), this.#stumble(), this.#watch()];
    this.#making = Promise.all(loops);
    // Whoever ends it is told.
    this.#making.catch(() => {});
  }

  /** Starts all of it. Of the clocks one is 2 s behind, one 2 s ahead. */
  static async begin(cwd: string, seed: number, chance: Chance): Promise<Sequencers> {
    await using all = new AsyncDisposableStack();
    const nowSeconds = Math.floor(Date.now() / 1000);
    const clock: L1ClockConfig = {
      // A batch is under way.
      genesisTime: BigInt(nowSeconds - BATCHES_BEFORE * BATCH_S - chance(1, 5)),
      slotSeconds: 1n,
      slotsPerEpoch: BigInt(EPOCH_S),
      batchFactor: BigInt(BATCH_S / EPOCH_S),
    };
    const skewsS = [chance(-2, 2), -2, 2];
    const args = ["--timestamp", `${nowSeconds + skewsS[0]!}`];
    const short = { blockTimeS: 1, slotsInAnEpoch: 1 };
    const l1 = all.use(await startAnvil(short));
    const l2 = all.use(await startAnvil({ ...short, chainId: FIRST_CHAIN, args }));
    const l2Proxy = all.use(await startFaultProxy(l2.url));
    const { settlement, urls } = await Settlement.begin(seed);
    all.use(settlement);
    await writeFile(join(cwd, "aggregation.json"), `{"vkey":"0x01"}`);
    const members = skewsS.map((skewS, at) => {
      const chainId = FIRST_CHAIN + at;
      const process = new SequencerProcess({
        name: `sequencer ${chainId}`,
        cwd: join(cwd, `${chainId}`),
        skewMs: 1000 * skewS,
        yaml: yamlOf(chainId, l1.url, clock),
        flags: [...flagsOf(chainId, urls), ...(at === 0 ? ["--l2", l2Proxy.url] : [])],
      });
      const chain = at === 0 ? undefined : new ReportedChain(process, firstBlockOf(chainId));
      return all.use(new Member(chainId, process, chain));
    });
    for (const { process } of members) await process.start();
    return new Sequencers(
      { l1, l2, l2Proxy, settlement, clock, members },
      chance,
      all.move(),
    );
  }

  /** The batch whose window is open. */
  get batchNow(): number {
    const seconds = Math.floor(Date.now() / 1000) - Number(this.place.clock.genesisTime);
    return Math.floor(seconds / BATCH_S);
  }

  /** Kills one of them, and starts it again after a while. */
  async killOne(when: "now" | "range" | "submission"): Promise<void> {
    const member = this.place.members[this.#chance(0, 2)]!;
    const { process, chainId } = member;
    if (when !== "now") {
      const isOwn = (number: number) =>
        when === "range" ? member.isOwn(BigInt(number)) : number === chainId;
      let isHere = false;
      void this.place.settlement.next(when, isOwn).then(() => isHere = true);
      await process.until(`its next ${when}`, () => isHere);
    }
    await process.kill();
    // Sometimes for longer than a window.
    await sleep(this.#chance(0, this.#chance(0, 3) === 0 ? 1500 * BATCH_S : 3000));
    await process.start();
  }

  /** L1 goes another way from before the epoch that has just begun. */
  async reorganiseL1(): Promise<void> {
    const { l1, clock } = this.place;
    const inEpoch = () => (Math.floor(Date.now() / 1000) - Number(clock.genesisTime)) % EPOCH_S;
    while (inEpoch() !== 2) await sleep(50);
    await l1.rpc("anvil_reorg", [4, []]);
    // Its time goes on where the old blocks ended.
    await l1.rpc("evm_setTime", [Math.floor(Date.now() / 1000)]);
  }

  /** For so long L1 makes no blocks, or answers nobody. */
  async stopL1(what: "mining" | "answering", milliseconds: number): Promise<void> {
    const { l1 } = this.place;
    if (what === "mining") await l1.rpc("evm_setIntervalMining", [0]);
    else process.kill(l1.pid, "SIGSTOP");
    await sleep(milliseconds);
    if (what === "mining") await l1.rpc("evm_setIntervalMining", [1]);
    else process.kill(l1.pid, "SIGCONT");
  }

  /**
   * Waits until all three have had a batch accepted, and ends them.
   *
   * @returns of each its blocks that batches must hold; and how many were refused, as they came too late
   */
  async end(last: number): Promise<{ taken: Map<Member, readonly MadeBlock[]>; refused: number }> {
    const { members, settlement, l2 } = this.place;
    for (const { chainId, process } of members) {
      await process.until(`batch ${last} is accepted`, () => settlement.hasAccepted(chainId, last));
    }
    this.#isMaking = false;
    await this.#making;
    const taken = new Map<Member, readonly MadeBlock[]>();
    let refused = 0;
    for (const member of members) {
      const settled = await member.chain?.settled();
      taken.set(member, settled?.taken ?? await blocksOf(l2));
      refused += settled?.refused ?? 0;
    }
    for (const { process } of members) await process.stop();
    return { taken, refused };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isMaking = false;
    await this.#all.disposeAsync();
    await this.#making.catch(() => {});
  }

  /** Blocks that are reported: most at once, some late, and the last one of a window too late. */
  async #make({ chain, process: { skewMs } }: Member): Promise<void> {
    const slotInBatch = () =>
      (Math.floor((Date.now() + skewMs) / 1000) - Number(this.place.clock.genesisTime)) % BATCH_S;
    let hasOneTooLate = false;
    for (let round = 0; chain && this.#isMaking; round++) {
      const isTooLate: boolean = !hasOneTooLate && round > 2 && slotInBatch() === BATCH_S - 1;
      hasOneTooLate ||= isTooLate;
      const isLate = this.#chance(0, 3) === 0;
      chain.make(isTooLate ? TOO_LATE_MS : isLate ? this.#chance(0, LATE_MS) : 0);
      // A block in each slot until then.
      await sleep(hasOneTooLate ? this.#chance(900, 2000) : 700);
    }
  }

  /** The node of L2 answers late or not at all; and for some seconds it makes no blocks. */
  async #stumble(): Promise<void> {
    const { l2, l2Proxy } = this.place;
    l2Proxy.byPlan(() => {
      const kind = this.#chance(0, 29);
      if (kind === 0) return { fault: "delay", ms: this.#chance(0, LATE_MS) };
      if (kind === 1) return { fault: "status", status: 503 };
      return kind === 2 ? { fault: "hang up" } : undefined;
    });
    while (this.#isMaking) {
      await sleep(this.#chance(2000, 6000));
      if (this.#chance(0, 2) > 0) continue;
      await l2.rpc("evm_setIntervalMining", [0]);
      await sleep(this.#chance(1000, 4000));
      await l2.rpc("evm_setIntervalMining", [1]);
    }
  }

  async #watch(): Promise<void> {
    while (this.#isMaking) {
      for (const member of this.place.members) await member.look();
      await sleep(1000);
    }
  }
}

/** All of a chain. */
export async function blocksOf(l2: Anvil): Promise<MadeBlock[]> {
  const blocks: MadeBlock[] = [];
  const head = Number(await l2.head());
  for (let number = 0; number <= head; number++) {
    const block = await l2.rpc("eth_getBlockByNumber", [`0x${number.toString(16)}`, false]);
    blocks.push({ number, timestamp: Number(block.timestamp) });
  }
  return blocks;
}

function yamlOf(chainId: number, l1Url: string, clock: L1ClockConfig): string {
  return `batch:
  enabled: true

  l1_listener:
    l1_rpc: "${l1Url}"
    genesis_time: ${clock.genesisTime}
    slot_duration: ${clock.slotSeconds}s
    slots_per_epoch: ${clock.slotsPerEpoch}
    batch_factor: ${clock.batchFactor}
    poll_interval: 500ms

  batch_manager:
    chain_id: ${chainId}
    max_batch_size: ${BATCH_S}
    batch_timeout: 1m
    late_block_grace: 5s

  pipeline:
    max_concurrent_jobs: 5
    job_timeout: 30s
    max_retries: 20
    retry_delay: 500ms

  integration:
    chain_id: ${chainId}
    enable_batch_sync: true
    block_reporting: true
`;
}

/** Who proves, and who takes the proofs. */
export function flagsOf(chainId: number, urls: SettlementUrls): string[] {
  return [
    ...["--prover", urls.prover, "--superblock-prover", urls.networkProver],
    ...["--publisher", urls.publisher, "--rollup-node", urls.rollup],
    ...["--rollup-config-hash", toHex(noise(32, chainId))],
    ...["--multi-block-vkey", toHex(noise(32, 6)), "--prover-address", toHex(noise(20, 7))],
    ...["--aggregation-vkey", "../aggregation.json", "--proof-poll", "200ms"],
  ];
}
