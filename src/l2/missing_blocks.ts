/**
 * What keeps a chosen head from being followed, told once and then at times: a consensus client chooses
 * every few seconds, and each choice lacks the same block.
 *
 * @module
 */
import type { ConsensusEvent } from "../engine.ts";

/** Choices after which it is told again: some minutes. */
const TELL_EVERY = 150;

/** Why a choice cannot be followed. */
export interface MissingBlock {
  /** What is the same for all choices that lack the same. */
  readonly key: string;
  readonly reason: string;
}

/** What is missing now. */
export class MissingBlocks {
  #key: string | undefined;
  #choices = 0;

  /** An event where it is to be told. */
  note({ key, reason }: MissingBlock): ConsensusEvent | undefined {
    const isNew = key !== this.#key;
    this.#key = key;
    this.#choices = isNew ? 1 : this.#choices + 1;
    if (this.#choices % TELL_EVERY !== 1) return undefined;
    return { event: "consensus.not_followed", choices: this.#choices, reason };
  }

  /** A choice was followed. */
  clear(): void {
    this.#key = undefined;
  }
}
