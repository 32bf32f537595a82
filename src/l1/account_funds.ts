/**
 * How long an account lasts at the rate at which it pays, told while there is time to fund it (design
 * `ethereum.md`, "Sending" 12).
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { Chain } from "../ethereum.ts";
import type { Log } from "../ports.ts";
import { type Runway, runway, type Spending } from "./spend_guard.ts";

/** Between two looks: a warning comes again as long as nobody funds the account. */
const LOOK_MS = 60 * 60 * 1000;

/** What it needs. */
export interface AccountFundsParts {
  readonly chain: Pick<Chain, "balance">;
  /** 20 bytes. */
  readonly address: Uint8Array;
  /** An account that lasts for less is told of as one to fund. */
  readonly lowRunwayMs: number;
  readonly log: Log;
}

/** Watches the funds of one account. */
export class AccountFunds {
  readonly #parts: AccountFundsParts;
  #lookedMs: number | undefined;

  constructor(parts: AccountFundsParts) {
    this.#parts = parts;
  }

  /** How long the account lasts. */
  async runway(spending: Spending): Promise<Runway> {
    return runway(await this.#parts.chain.balance(this.#parts.address), spending);
  }

  /** Tells it, once something was paid, and then each hour. */
  async look(spending: Spending): Promise<void> {
    const { landed, slots, nowMs } = spending;
    const hasPaid = landed.length > 0 || slots.some(({ inclusion }) => inclusion !== undefined);
    const isTold = this.#lookedMs !== undefined && nowMs - this.#lookedMs < LOOK_MS;
    if (!hasPaid || isTold) return;
    try {
      const told = await this.runway(spending);
      this.#lookedMs = nowMs;
      const { address, lowRunwayMs, log } = this.#parts;
      const isLow = told.lastsMs !== undefined && told.lastsMs < lowRunwayMs;
      log({ event: "account.runway", address, isLow, ...told });
    } catch (error) {
      // It is only news: the next look asks again.
      if (!(error instanceof RpcError)) throw error;
    }
  }
}
