/**
 * What a command is: a name, flags, examples, and what it does. `program.ts` makes the command line of it.
 *
 * @module
 */

/** A flag, as commander writes it: `--l2 <where>`. */
export interface Flag {
  readonly flags: string;
  readonly help: string;
  /** Shown in the help, and used where the flag is not given. */
  readonly value?: string;
  readonly isRequired?: boolean;
  /** May be given several times: all its texts count. */
  readonly isRepeated?: boolean;
  /** The only words that it takes, several with commas between them where it says so. */
  readonly choices?: readonly string[];
}

/** Texts of the flags that were given, by their names in camel case; `true` for a bare one. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** A command. */
export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** Positional arguments, such as `<file...>` or `<dir>`. */
  readonly argument?: {
    readonly name: string;
    readonly help: string;
    /** The only words that it takes. */
    readonly choices?: readonly string[];
  };
  readonly flags: readonly Flag[];
  /** Lines that work as they stand, without the program's name. */
  readonly examples: readonly string[];
  /** What is not given comes from elsewhere: no default is filled in, and nothing is missed here. */
  readonly isConfigured?: boolean;
  /** @returns the exit code */
  readonly run: (flags: FlagValues, values?: readonly string[]) => Promise<number>;
}

/** Commands under one name: `montana wal ls`. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly CommandSpec[];
}

/** Exit codes (design `operator.md`). */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  workLeft: 3,
  different: 4,
  /** To start again does not help, and nothing is broken: somebody has to decide. */
  undecided: 5,
  tryLater: 75,
  badConfig: 78,
  aborted: 130,
} as const;

/** What they mean, in lines of the help. */
export const EXIT_MEANINGS: readonly (readonly (readonly [code: number, meaning: string])[])[] = [
  [
    [EXIT.done, "done or drained"],
    [EXIT.failed, "failed"],
    [EXIT.usage, "wrong usage"],
    [EXIT.workLeft, "stopped with work left"],
    [EXIT.different, "a check found a difference"],
  ],
  [[EXIT.undecided, "L1 or L2 is another one, or lost what was posted: somebody has to decide"]],
  [
    [EXIT.tryLater, "try again later"],
    [EXIT.badConfig, "bad configuration"],
    [EXIT.aborted, "stopped at once by a second signal"],
  ],
];

/** The program in one line. */
export const DESCRIPTION = "L2 blocks in, blobs out, blocks back.";

/** The flag of every command that answers. */
export const JSON_FLAG: Flag = { flags: "--json", help: "answer in JSON" };

/** As a command is handed it: `dataDir`, of `--data-dir`. */
export function attributeName(flag: string): string {
  return flag.slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The text of a flag, where it was given or has a value. */
export function textOf(flags: FlagValues, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/** The texts of a flag that may be given several times. */
export function listOf(flags: FlagValues, name: string): readonly string[] {
  const value = flags[name];
  return Array.isArray(value) ? value : [];
}
