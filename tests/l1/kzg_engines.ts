/**
 * The KZG engines that are there, made once, and the reasons why others are not.
 *
 * @module
 */
import process from "node:process";
import type { Kzg } from "../../src/ethereum.ts";
import { chooseKzg, KZG_ENGINES, type KzgEngine } from "../../src/l1/kzg.ts";

const made = new Map<KzgEngine, Kzg>();
const reasons = new Map<KzgEngine, string>();

for (const engine of KZG_ENGINES) {
  try {
    made.set(engine, await chooseKzg(engine));
  } catch (error) {
    // It is part of this program, so that its absence is a fault.
    if (engine === "portable") throw error;
    const why = error instanceof Error ? error.message : String(error);
    reasons.set(engine, engine === "c-kzg" ? `${why}; here \`deno task c-kzg\` brings it` : why);
  }
}

/** Those that are there, the fastest first. */
export const engines: readonly KzgEngine[] = [...made.keys()];

/** An engine that is there. */
export function kzgOf(engine: KzgEngine): Kzg {
  return made.get(engine)!;
}

/** Prints and gives the reason why `test` cannot run here; `false` where it can. */
export function whyNoEngine(test: string, ...needed: readonly KzgEngine[]): string | false {
  const reason = needed.map((engine) => reasons.get(engine)).find((each) => each !== undefined);
  if (reason === undefined) return false;
  process.stdout.write(`skipped: ${test}: ${reason}\n`);
  return reason;
}
