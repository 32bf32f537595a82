/**
 * `montana run --role batcher,superblock` between an L2 and an L1 that are anvils, with provers and a publisher
 * beside it, over all lives of the program.
 *
 * @module
 */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { controlPath } from "../../src/cli/processor_flags.ts";
import { askControl } from "../../src/service/control_client.ts";
import type { L1ClockConfig } from "../../src/superblock.ts";
import { type Anvil, startAnvil } from "../l1/anvil.ts";
import { INBOX, type Programs, programsOn } from "./ethereum.ts";
import { type Outcome, type Running, start } from "./montana.ts";
import { BATCH_S, type Chance, EPOCH_S, flagsOf } from "./sequencers.ts";
import { Settlement } from "./settlement.ts";

const CHAIN_ID = 1001;
/** Batches there might have been before. */
const BATCHES_BEFORE = 100;
const LIFE_LIMIT_MS = 10 * 60_000;
/** A line of one of the roles. */
const SPOKEN = /^(?:batcher|superblock): ./;

/** What it runs on. */
interface Place extends Programs {
  readonly cwd: string;
  readonly l1: Anvil;
  readonly l2: Anvil;
  readonly settlement: Settlement;
  readonly clock: L1ClockConfig;
  /** Of the batcher. */
  readonly flags: readonly string[];
  /** Of the superblock. */
  readonly proving: readonly string[];
}

/** As the program tells it. */
export interface CollectingBatch {
  readonly id: number;
  readonly blocks: readonly { readonly block_number: number }[];
}

/** What runs. */
export type RoleNames = "batcher" | "batcher,superblock";

/** Lives of the program over one data directory. */
export class JoinedRoles implements AsyncDisposable {
  readonly place: Place;
  readonly #all: AsyncDisposableStack;
  #life: Running;
  #said = "";
  #isOver = false;

  private constructor(place: Place, all: AsyncDisposableStack, roles: RoleNames) {
    this.place = place;
    this.#all = all;
    this.#life = this.#start(roles);
  }

  /** @param flags of the batcher, besides where it reads and posts */
  static async begin(
    cwd: string,
    chance: Chance,
    flags: string,
    roles: RoleNames = "batcher,superblock",
  ): Promise<JoinedRoles> {
    await using all = new AsyncDisposableStack();
    const nowSeconds = Math.floor(Date.now() / 1000);
    const clock: L1ClockConfig = {
      // A batch is under way.
      genesisTime: BigInt(nowSeconds - BATCHES_BEFORE * BATCH_S - chance(1, 4)),
      slotSeconds: 1n,
      slotsPerEpoch: BigInt(EPOCH_S),
      batchFactor: BigInt(BATCH_S / EPOCH_S),
    };
    const short = { blockTimeS: 1, slotsInAnEpoch: 1 };
    const l1 = all.use(await startAnvil(short));
    const l2 = all.use(await startAnvil({ ...short, chainId: CHAIN_ID }));
    const { settlement, urls } = await Settlement.begin(1);
    all.use(settlement);
    await writeFile(join(cwd, "..", "aggregation.json"), `{"vkey":"0x01"}`);
    const programs = await programsOn(l1.url, cwd);
    const place = {
      ...programs,
      ...{ cwd, l1, l2, settlement, clock },
      flags: [
        ...["--l2", l2.url, "--l2-chain-id", `${CHAIN_ID}`, "--l2-trust-hashes"],
        ...["--l1", l1.url, "--inbox", INBOX, "--key-file", "batcher.key"],
        ...["--block-time", "1s", "--confirmations", "2", "--level", "5", "--data-dir", "data"],
        ...flags.split(" "),
      ],
      proving: [
        ...settingsOf(clock).flatMap((each) => ["--set", each]),
        ...flagsOf(CHAIN_ID, urls),
      ],
    };
    return new JoinedRoles(place, all.move(), roles);
  }

  /** As whoever looks at its batches needs it. */
  get member() {
    const dataDirectory = join(this.place.cwd, "data");
    return {
      chainId: CHAIN_ID,
      isOwn: () => true,
      process: { name: "batcher,superblock", dataDirectory },
    };
  }

  /** The batch whose window is open. */
  get batchNow(): number {
    const seconds = Math.floor(Date.now() / 1000) - Number(this.place.clock.genesisTime);
    return Math.floor(seconds / BATCH_S);
  }

  /** What all lives have said. */
  get said(): string {
    return this.#said + (this.#isOver ? "" : this.#life.stderr);
  }

  /** Ends it in any moment; fails where it has ended by itself. */
  async kill(): Promise<void> {
    equal((await this.#end("SIGKILL")).code, null, this.#said);
  }

  /** As an operator does. */
  async stop(): Promise<Outcome> {
    return await this.#end("SIGTERM");
  }

  /** Waits until it ends by itself. */
  async ended(): Promise<Outcome> {
    return await this.#over();
  }

  startAgain(roles: RoleNames = "batcher,superblock"): void {
    this.#life = this.#start(roles);
    this.#isOver = false;
  }

  /** The batch that collects; `undefined` where there is none, or nobody answers yet. */
  async collecting(): Promise<CollectingBatch | undefined> {
    const place = { at: controlPath(join(this.place.cwd, "data")), who: "montana run" };
    const answer = await askControl(place, "GET", "/v1/batch/current").catch(() => undefined);
    return (answer?.body["batch"] ?? undefined) as CollectingBatch | undefined;
  }

  async untilAccepted(batch: number): Promise<void> {
    const { settlement } = this.place;
    await this.until(`batch ${batch} is accepted`, () => settlement.hasAccepted(CHAIN_ID, batch));
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    await this.#life.until(what, isSo);
  }

  /** Makes sure that each line says which role speaks. */
  speaksByRole(): void {
    const lines = this.said.split("\n").filter((line) => line !== "");
    ok(lines.length > 0);
    for (const line of lines) match(line, SPOKEN);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#life[Symbol.asyncDispose]();
    await this.#all.disposeAsync();
  }

  #start(roles: RoleNames): Running {
    const { cwd, flags, proving } = this.place;
    const args = ["run", "--role", roles, ...flags, ...(roles === "batcher" ? [] : proving)];
    return start(args, { cwd, timeoutMs: LIFE_LIMIT_MS });
  }

  async #end(signal: "SIGKILL" | "SIGTERM"): Promise<Outcome> {
    this.#life.send(signal);
    return await this.#over();
  }

  async #over(): Promise<Outcome> {
    const outcome = await this.#life.ended;
    this.#said += outcome.stderr;
    this.#isOver = true;
    return outcome;
  }
}

/** Without L1 and chain: they are those of the batcher. */
function settingsOf({ genesisTime, slotSeconds, slotsPerEpoch, batchFactor }: L1ClockConfig) {
  return [
    `l1_listener.genesis_time=${genesisTime}`,
    `l1_listener.slot_duration=${slotSeconds}s`,
    `l1_listener.slots_per_epoch=${slotsPerEpoch}`,
    `l1_listener.batch_factor=${batchFactor}`,
    "l1_listener.poll_interval=500ms",
    `batch_manager.max_batch_size=${BATCH_S}`,
    "batch_manager.batch_timeout=1m",
    "batch_manager.late_block_grace=3s",
    "pipeline.job_timeout=30s",
    "pipeline.max_retries=20",
    "pipeline.retry_delay=500ms",
  ];
}
