/**
 * The words that a command line can be made of, as shells complete them.
 *
 * @module
 */
import type { CommandGroup, CommandSpec, Flag } from "../command.ts";

/** What can stand in a place: one of a few words, a path, or text that nobody can guess. */
export type Value =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "file" | "directory" | "text" };

/** A flag and what stands behind it. */
export interface FlagWord {
  /** `--data-dir`. */
  readonly name: string;
  /** `-h`. */
  readonly letter?: string;
  readonly help: string;
  /** None for a bare one. */
  readonly value?: Value;
  /** `dir` of `--data-dir <dir>`. */
  readonly valueName?: string;
  /** It may stand without its value, as in `--anvil [path]`. */
  readonly isOptional?: boolean;
  readonly isRepeated?: boolean;
}

/** A place on the command line, behind the words that lead to it. */
export interface Place {
  /** `[]`, `["wal"]`, `["wal", "ls"]`. */
  readonly path: readonly string[];
  /** Of the last word of the path. */
  readonly summary: string;
  /** The commands below it. */
  readonly commands: readonly Place[];
  readonly flags: readonly FlagWord[];
  /** What stands there beside flags. */
  readonly argument?: Value;
}

const HELP: FlagWord = { name: "--help", letter: "-h", help: "print help" };
const VERSION: FlagWord = { name: "--version", letter: "-V", help: "print the version" };

/** All places, in the order of the help; the first is the program itself. */
export function placesOf(specs: readonly (CommandSpec | CommandGroup)[]): readonly Place[] {
  const commands = specs.map((spec) => placeOf([spec.name], spec));
  const help: Place = {
    path: ["help"],
    summary: "print help of a command",
    commands: commands.map((each) => asTopic(["help"], each)),
    flags: [],
  };
  return withThoseBelow({
    path: [],
    summary: "",
    commands: [...commands, help],
    flags: [VERSION, HELP],
  });
}

function placeOf(path: readonly string[], spec: CommandSpec | CommandGroup): Place {
  const { summary } = spec;
  if ("commands" in spec) {
    const commands = spec.commands.map((each) => placeOf([...path, each.name], each));
    return { path, summary, commands, flags: [HELP] };
  }
  const { argument } = spec;
  return {
    path,
    summary,
    commands: [],
    flags: [...spec.flags.map(flagWord), HELP],
    ...(argument && { argument: valueOf(argument.name, argument.choices) }),
  };
}

/** As `montana help` takes it: its name, and those below it. */
function asTopic(before: readonly string[], { path, summary, commands }: Place): Place {
  const own = [...before, path.at(-1)!];
  return { path: own, summary, commands: commands.map((each) => asTopic(own, each)), flags: [] };
}

function withThoseBelow(place: Place): readonly Place[] {
  return [place, ...place.commands.flatMap(withThoseBelow)];
}

function flagWord({ flags, help, choices, isRepeated = false }: Flag): FlagWord {
  const [name = "", placeholder] = flags.split(" ");
  if (placeholder === undefined) return { name, help };
  return {
    name,
    help,
    value: valueOf(placeholder, choices),
    valueName: placeholder.replace(/[<>[\].]/g, ""),
    isOptional: placeholder.startsWith("["),
    isRepeated,
  };
}

/** The placeholders of our flags say what they mean. */
function valueOf(placeholder: string, words: readonly string[] | undefined): Value {
  if (words) return { kind: "words", words };
  if (/\b(file|path|where|what)\b/.test(placeholder)) return { kind: "file" };
  return { kind: /\bdir\b/.test(placeholder) ? "directory" : "text" };
}

/** As the scripts walk it: each word with a space before it. */
export function wayTo(path: readonly string[]): string {
  return path.map((word) => ` ${word}`).join("");
}

/** One word for a shell that quotes as POSIX says. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
