/**
 * Tables of cases that differ in words and bytes, and not by the runtime: in the gate the program from source
 * is shown one half of a table, the executable the other. Of the tests that take a minute, too.
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

/** For a test that takes long: in the gate one of the two programs is enough. */
export function skipUnlessShown(program: "source" | "executable", test: string): string | false {
  if (half === undefined || (Number(half) === 0) === (program === "source")) return false;
  const why = `the suite \`${program === "source" ? "chains" : "binary-chains"}\` runs it`;
  process.stdout.write(`skipped: ${test}: ${why}\n`);
  return why;
}
