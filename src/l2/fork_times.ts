/**
 * Which fork a time belongs to, as far as valid payloads have shown it: there is no list of forks here, but
 * forks only ever follow each other.
 *
 * @module
 */
import type { EngineVersion } from "../engine.ts";

/** Times at which payloads of a version were seen. */
interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

/** Times of forks. */
export class ForkTimes {
  readonly #spans = new Map<EngineVersion, Span>();

  /** Takes note of a payload that is valid. */
  saw(version: EngineVersion, timestamp: bigint): void {
    const { first, last } = this.#spans.get(version) ?? { first: timestamp, last: timestamp };
    this.#spans.set(version, {
      first: timestamp < first ? timestamp : first,
      last: timestamp > last ? timestamp : last,
    });
  }

  /** Why a payload of this version cannot have this time; `undefined` where it can. */
  refusal(version: EngineVersion, timestamp: bigint): string | undefined {
    for (const [other, { first, last }] of this.#spans) {
      if (other > version && timestamp >= first) {
        return `time ${timestamp} is after a payload of version ${other} at ${first}`;
      }
      if (other < version && timestamp <= last) {
        return `time ${timestamp} is before a payload of version ${other} at ${last}`;
      }
    }
    return undefined;
  }
}
