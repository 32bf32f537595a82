/**
 * A chain whose sequencer reports its blocks over HTTP: late at times, and again until it is answered.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import type { SequencerProcess } from "./sequencer_process.ts";

/** A block of a chain. */
export interface MadeBlock {
  readonly number: number;
  /** Unix seconds, by the clock of its sequencer. */
  readonly timestamp: number;
}

const REPORT_AGAIN_MS = 200;

/** Makes blocks, and reports them over all lives of its sequencer. */
export class ReportedChain {
  readonly #sequencer: SequencerProcess;
  readonly #firstBlock: number;
  readonly #blocks: MadeBlock[] = [];
  readonly #reports: Promise<void>[] = [];
  readonly #refused = new Set<number>();

  constructor(sequencer: SequencerProcess, firstBlock: number) {
    this.#sequencer = sequencer;
    this.#firstBlock = firstBlock;
  }

  /** Makes a block now, unless this second has one, and reports it after a while. */
  make(delayMs: number): void {
    const timestamp = Math.floor((Date.now() + this.#sequencer.skewMs) / 1000);
    if ((this.#blocks.at(-1)?.timestamp ?? 0) >= timestamp) return;
    const block = { number: this.#firstBlock + this.#blocks.length, timestamp };
    this.#blocks.push(block);
    const report = this.#report(block, delayMs);
    // Whoever waits for all of them is told.
    report.catch(() => {});
    this.#reports.push(report);
  }

  /** Those that are taken, once each is taken or refused; and how many are refused, as they came too late. */
  async settled(): Promise<{ readonly taken: readonly MadeBlock[]; readonly refused: number }> {
    await Promise.all(this.#reports);
    const taken = this.#blocks.filter(({ number }) => !this.#refused.has(number));
    return { taken, refused: this.#refused.size };
  }

  async #report(block: MadeBlock, delayMs: number): Promise<void> {
    await sleep(delayMs);
    while (!await this.#post(block)) await sleep(REPORT_AGAIN_MS);
  }

  /** False where there was no answer: what became of the report, the sequencer does not know. */
  async #post({ number, timestamp }: MadeBlock): Promise<boolean> {
    const { url } = this.#sequencer;
    if (url === undefined) return false;
    const body = JSON.stringify({
      block_number: number,
      block_hash: madeHash(number),
      parent_hash: madeHash(number - 1),
      timestamp,
      tx_count: 1,
    });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${url}/v1/batch/blocks`, { method: "POST", headers, body })
      .then(async (response) => ({ status: response.status, text: await response.text() }))
      .catch(() => undefined);
    if (!answer || answer.status === 503) return false;
    const [told] = JSON.parse(answer.text).blocks;
    if (answer.status === 410) this.#refused.add(number);
    else ok(["added", "known"].includes(told.outcome), `${answer.status} ${answer.text}`);
    return true;
  }
}

function madeHash(number: number): string {
  return toHex(noise(32, number));
}

/** Of real time. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
