/**
 * What `montana doctor` checks. A check looks at one thing and says what it found, one line each.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { Flag, FlagValues } from "./command.ts";

/** One line of the doctor. */
export interface Finding {
  /** What was looked at: `kzg engine`. */
  readonly check: string;
  readonly status: "ok" | "warn" | "fail";
  /** What was found. */
  readonly found: string;
  /** What to do about it; not where it is ok. */
  readonly fix?: string;
  /** Numbers, for machines. */
  readonly details?: Readonly<Record<string, string | number | bigint>>;
}

/** Looks at one thing. */
export interface Check {
  /** What its line is called where it throws. */
  readonly name: string;
  /** What to do where it throws. */
  readonly fix: string;
  /** The flags it reads, beside those that others have named. */
  readonly flags: readonly Flag[];
  /** @returns nothing where there is nothing to look at, as without a flag that says where */
  readonly run: (flags: FlagValues) => Promise<readonly Finding[]>;
}

/** A finding, or that it could not be made: the others are told nevertheless. */
export async function finding(
  check: string,
  fix: string,
  make: () => Promise<Finding>,
): Promise<Finding> {
  try {
    return await make();
  } catch (error) {
    return { check, status: "fail", found: describeError(error), fix };
  }
}
