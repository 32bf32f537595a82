/**
 * Which seeds a runtime runs. A seed is the same run wherever it is run, so Bun has a quarter as many as
 * Deno, and others.
 *
 * @module
 */
import process from "node:process";

/** Seeds one after the other. */
export interface Seeds {
  readonly first: number;
  readonly count: number;
  /** What part this is of all that were asked for. */
  readonly share: number;
}

/** The first `count` seeds under Deno, and with `MONTANA_TESTS=all`; a quarter of the next under Bun. */
export function seedsHere(count: number): Seeds {
  const isAll = !process.versions["bun"] || process.env["MONTANA_TESTS"] === "all";
  if (isAll) return { first: 0, count, share: 1 };
  const share = 1 / 4;
  return { first: count, count: Math.ceil(count * share), share };
}
