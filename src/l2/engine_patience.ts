/**
 * Calls of the Engine API that are answered by a status: made again while the client is not ready, and
 * refused by name where it takes a block for invalid.
 *
 * @module
 */
import { CodecError, SinkError } from "../errors.ts";
import type { Clock, Log } from "../ports.ts";
import { toHex } from "../wire/hex.ts";
import type { EngineBlock } from "./engine_block.ts";
import type { EngineAnswer, EngineClient, EngineStatus } from "./engine_client.ts";

/** In `details.status` of the error where the client lost blocks. */
export const LOST = "lost";

const PATIENCE_MS = 12_000;
const ASK_AGAIN_MS = 250;
const INVALID: readonly EngineStatus[] = ["INVALID", "INVALID_BLOCK_HASH"];

/** How long a client is asked again. */
export interface Patience {
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
}

/** What calls are made with. */
export interface PatientCallsParts {
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Makes calls. Each is told the last block that the client was handed, and the block that it is about.
 *
 * @throws {SinkError} `InvalidBlock`; `Syncing` when patience is over; `Changed` where the client lost the
 * last block, as after a crash: it never catches up by itself
 */
export class PatientCalls {
  readonly #client: EngineClient;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #patience: Patience;

  constructor({ client, clock, log }: PatientCallsParts, patience: Patience) {
    this.#client = client;
    this.#clock = clock;
    this.#log = log;
    this.#patience = patience;
  }

  /** A block is handed over. One that is accepted only is settled when it becomes the head. */
  taken(
    last: EngineBlock,
    number: bigint,
    ask: () => Promise<EngineAnswer>,
  ): Promise<EngineAnswer> {
    return this.#settled("engine_newPayload", ["VALID", "ACCEPTED"], { last, number, ask });
  }

  /** A block is made the head. */
  chosen(
    last: EngineBlock,
    number: bigint,
    ask: () => Promise<EngineAnswer>,
  ): Promise<EngineAnswer> {
    return this.#settled("engine_forkchoiceUpdated", ["VALID"], { last, number, ask });
  }

  async #settled(
    method: string,
    good: readonly EngineStatus[],
    { last, number, ask }: Call,
  ): Promise<EngineAnswer> {
    const { patienceMs = PATIENCE_MS, signal } = this.#patience;
    const untilMs = this.#clock.now() + patienceMs;
    let isTold = false;
    for (;;) {
      const answer = await ask().catch((error) => {
        if (!(error instanceof CodecError)) throw error;
        throw this.#invalid(number, error.message);
      });
      const { status, validationError } = answer;
      if (good.includes(status)) return answer;
      if (INVALID.includes(status)) {
        const why = validationError === "" ? "it does not say why" : validationError;
        throw this.#invalid(number, `it answers ${status} to ${method}: ${why}`);
      }
      if (!isTold) this.#log({ event: "engine.waits", method, status });
      isTold = true;
      if (this.#clock.now() >= untilMs || signal?.aborted) {
        await this.#mustHave(last);
        throw new SinkError(
          "Syncing",
          `Cannot hand block ${number} to ${this.#client.name}: it answers ${status} to ${method}; it ` +
            "has to catch up with its own chain first",
          { details: { block: number, status } },
        );
      }
      await this.#clock.sleep(ASK_AGAIN_MS, signal);
    }
  }

  async #mustHave({ number, hash }: EngineBlock): Promise<void> {
    if (await this.#client.blockByHash(hash)) return;
    const head = await this.#client.block("latest");
    throw new SinkError(
      "Changed",
      `Cannot go on behind block ${number} (${toHex(hash)}): the client lost it, its head is ` +
        `${head?.number}; start again, to go on from there (${this.#client.name})`,
      { details: { block: number, status: LOST } },
    );
  }

  #invalid(number: bigint, why: string): SinkError {
    const message = `Cannot hand block ${number} to ${this.#client.name}: ${why}`;
    return new SinkError("InvalidBlock", message, { details: { block: number } });
  }
}

interface Call {
  readonly last: EngineBlock;
  readonly number: bigint;
  readonly ask: () => Promise<EngineAnswer>;
}
