/**
 * Completions for fish, with what each word means.
 *
 * @module
 */
import { type FlagWord, type Place, type Value, wayTo } from "./words.ts";

/** The script. */
export function fishCompletions(places: readonly Place[]): string {
  const below = places.slice(1).map(({ path }) => quoted(wayTo(path)));
  const groups = places.filter(({ commands }) => commands.length > 0);
  return `# Completions of montana for fish. Load them with
#   montana completions fish | source
# or write them to ~/.config/fish/completions/montana.fish.

function __montana_at -d 'Whether the words before the cursor lead to this command'
  set -l words (commandline -opc)
  set -e words[1]
  set -l way ''
  for word in $words
    switch "$way $word"
      case ${below.join(" ")}
        set way "$way $word"
      case '*'
        # Behind a word that is no command, there is none below it either.
        switch "$way"
          case ${groups.map(({ path }) => quoted(wayTo(path))).join(" ")}
            return 1
        end
        break
    end
  end
  test "$way" = "$argv[1]"
end

complete -c montana -e
complete -c montana -f
${places.map(linesOf).join("")}`;
}

function linesOf({ path, commands, flags, argument }: Place): string {
  const here = `complete -c montana -n ${quoted(`__montana_at '${wayTo(path)}'`)}`;
  const lines = [
    ...commands.map((each) => `-x -a ${quoted(each.path.at(-1)!)} -d ${quoted(each.summary)}`),
    ...(argument ? [argumentOf(argument)] : []),
    ...flags.map(flagOf),
  ];
  return lines.filter((line) => line !== "").map((line) => `${here} ${line}\n`).join("");
}

function argumentOf(value: Value): string {
  switch (value.kind) {
    case "words":
      return `-a ${quoted(value.words.join(" "))}`;
    case "file":
      return "-F";
    case "directory":
      return `-a ${quoted("(__fish_complete_directories)")}`;
    case "text":
      return "";
  }
}

function flagOf({ name, letter, help, value, isOptional }: FlagWord): string {
  const short = letter === undefined ? "" : `-s ${letter.slice(1)} `;
  return `${short}-l ${name.slice(2)}${valueOf(value, isOptional)} -d ${quoted(help)}`;
}

/** Files are offered where they are meant only. */
function valueOf(value: Value | undefined, isOptional: boolean | undefined): string {
  if (!value) return "";
  // Where it may be left out, fish offers it behind = only.
  if (isOptional) return ` ${argumentOf(value)}`.trimEnd();
  return value.kind === "file" ? " -r -F" : ` -x ${argumentOf(value)}`.trimEnd();
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}
