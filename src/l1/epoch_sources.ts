/**
 * Who tells how far L1 is: a beacon node by its head, the execution chain by the times of its blocks, or
 * the clock alone.
 *
 * @module
 */
import { SourceError } from "../errors.ts";
import type { Chain, L1Header } from "../ethereum.ts";
import type { Clock } from "../ports.ts";
import type { EpochBlock, EpochSource, L1ClockConfig } from "../superblock.ts";
import { equalBytes } from "../wire/bytes.ts";
import { BeaconHttp, type BeaconHttpOptions } from "./beacon_http.ts";
import { fieldsOf, slotOf, type SlotRule } from "./slots.ts";

/** Slots of a block are counted from its time. */
export type SlotClock = Pick<L1ClockConfig, "genesisTime" | "slotSeconds">;

/** What is asked of the execution chain. */
type HeaderChain = Pick<Chain, "name" | "header">;

/** Blocks of the execution chain by their times. */
class ExecutionBlocks {
  readonly #chain: HeaderChain;
  readonly #clock: SlotClock;
  readonly #rule: SlotRule;

  constructor(chain: HeaderChain, clock: SlotClock) {
    this.#chain = chain;
    this.#clock = clock;
    this.#rule = { genesisTime: clock.genesisTime, slotMs: clock.slotSeconds * 1000n };
  }

  async head(): Promise<EpochBlock> {
    const header = await this.#chain.header("latest");
    if (!header) throw this.#missing("the latest block");
    return this.#withSlot(header);
  }

  /** Gallops back from the head, then halves: as many questions as the distance has digits. */
  async firstIn(firstSlot: bigint, lastSlot: bigint): Promise<EpochBlock | undefined> {
    const { genesisTime, slotSeconds } = this.#clock;
    const from = genesisTime + firstSlot * slotSeconds;
    let found = await this.head();
    if (found.timestamp < from) throw this.#missing(`slot ${firstSlot}: its head is before`);
    let below = found.number;
    for (let step = 1n; below > 0n; step *= 2n) {
      below = below > step ? below - step : 0n;
      const block = await this.#block(below);
      if (block.timestamp < from) break;
      found = block;
    }
    while (found.number > below + 1n) {
      const middle = await this.#block((below + found.number) / 2n);
      if (middle.timestamp < from) below = middle.number;
      else found = middle;
    }
    return found.slot <= lastSlot ? found : undefined;
  }

  async has({ number, hash }: EpochBlock): Promise<boolean> {
    const header = await this.#chain.header(number);
    return header !== undefined && equalBytes(header.hash, hash);
  }

  async #block(number: bigint): Promise<EpochBlock> {
    const header = await this.#chain.header(number);
    if (!header) throw this.#missing(`block ${number}`);
    return this.#withSlot(header);
  }

  #withSlot({ number, hash, timestamp }: L1Header): EpochBlock {
    const slot = slotOf(this.#rule, { number, timestamp });
    return { number, hash, timestamp, slot: slot < 0n ? 0n : slot };
  }

  #missing(what: string): SourceError {
    return new SourceError("Connection", `Cannot read ${what} from ${this.#chain.name}`);
  }
}

/**
 * Epochs by the times of L1's blocks.
 *
 * @example
 * ```ts
 * import { ExecutionEpochs, RpcChain } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { HttpJsonRpc, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const chain = new RpcChain(new HttpJsonRpc({ url: "http://127.0.0.1:1", clock: systemClock }));
 * const source = new ExecutionEpochs(chain, { genesisTime: 1_606_824_023n, slotSeconds: 12n });
 * const error = await source.headSlot().catch((error) => error);
 * if (error.code !== "Unreachable") throw new Error("nobody answers there");
 * ```
 */
export class ExecutionEpochs implements EpochSource {
  readonly name = "execution";
  readonly #blocks: ExecutionBlocks;

  constructor(chain: Pick<Chain, "name" | "header">, clock: SlotClock) {
    this.#blocks = new ExecutionBlocks(chain, clock);
  }

  async headSlot(): Promise<bigint> {
    return (await this.#blocks.head()).slot;
  }

  firstBlock(firstSlot: bigint, lastSlot: bigint): Promise<EpochBlock | undefined> {
    return this.#blocks.firstIn(firstSlot, lastSlot);
  }

  hasBlock(block: EpochBlock): Promise<boolean> {
    return this.#blocks.has(block);
  }
}

/** What {@link BeaconEpochs} asks. */
export interface BeaconEpochsOptions extends BeaconHttpOptions {
  /** Where blocks come from; without it, epochs come without blocks. */
  readonly chain?: Pick<Chain, "name" | "header">;
  readonly l1Clock: SlotClock;
}

/**
 * Epochs by the head of a beacon node, `/eth/v1/beacon/headers/head`. Slots that were missed are none of
 * its concern: the epoch's block is the first that the execution chain has in it.
 *
 * @example
 * ```ts
 * import { BeaconEpochs, ETHEREUM_CLOCK, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const url = "http://127.0.0.1:1/secret";
 * const source = new BeaconEpochs({ url, clock: systemClock, l1Clock: ETHEREUM_CLOCK });
 * const error = await source.headSlot().catch((error) => error);
 * if (error.code !== "Connection") throw new Error("nobody answers there");
 * ```
 */
export class BeaconEpochs implements EpochSource {
  readonly name = "beacon";
  readonly firstBlock?: NonNullable<EpochSource["firstBlock"]>;
  readonly hasBlock?: NonNullable<EpochSource["hasBlock"]>;
  readonly #http: BeaconHttp;

  /** @throws {ConfigError} `Invalid` where the URL is none */
  constructor(options: BeaconEpochsOptions) {
    this.#http = new BeaconHttp(options);
    if (!options.chain) return;
    const blocks = new ExecutionBlocks(options.chain, options.l1Clock);
    this.firstBlock = (first, last) => blocks.firstIn(first, last);
    this.hasBlock = (block) => blocks.has(block);
  }

  async headSlot(): Promise<bigint> {
    const path = "/eth/v1/beacon/headers/head";
    const { status, json } = await this.#http.get(path);
    const header = fieldsOf(fieldsOf(fieldsOf(json)["data"])["header"]);
    const { slot } = fieldsOf(header["message"]);
    if (status === 200 && typeof slot === "string" && /^\d{1,18}$/.test(slot)) return BigInt(slot);
    const why = status === 200
      ? `data.header.message.slot is ${JSON.stringify(slot) ?? "missing"}`
      : `it answered ${status}`;
    throw new SourceError("Connection", `Cannot read ${path} of ${this.#http.name}: ${why}`, {
      details: { endpoint: this.#http.name, status },
    });
  }
}

/**
 * Epochs by arithmetic alone, without any node.
 *
 * @example
 * ```ts
 * import { ClockEpochs, ETHEREUM_CLOCK, ManualClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const source = new ClockEpochs(ETHEREUM_CLOCK, new ManualClock(1_763_769_600_000));
 * if (await source.headSlot() !== 13_078_798n) throw new Error("wrong slot");
 * ```
 */
export class ClockEpochs implements EpochSource {
  readonly name = "clock";
  readonly #rule: SlotRule;
  readonly #clock: Clock;

  constructor({ genesisTime, slotSeconds }: SlotClock, clock: Clock) {
    this.#rule = { genesisTime, slotMs: slotSeconds * 1000n };
    this.#clock = clock;
  }

  headSlot(): Promise<bigint> {
    const timestamp = BigInt(Math.floor(this.#clock.now() / 1000));
    const slot = slotOf(this.#rule, { number: 0n, timestamp });
    return Promise.resolve(slot < 0n ? 0n : slot);
  }
}
