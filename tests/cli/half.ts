/**
 * Tables of cases that differ in words and bytes, and not by the runtime: in the gate the program from source
 * is shown one half of a table, the executable the other.
 *
 * @module
 */
import process from "node:process";

/** Which half: `scripts/test.ts` says so where both suites run. */
const half = process.env["MONTANA_HALF"];

/** Every second case, or all where nobody runs the others. */
export function halfOf<T>(cases: readonly T[]): readonly T[] {
  if (half === undefined) return cases;
  return cases.filter((_, index) => index % 2 === Number(half));
}
