/**
 * Completions for zsh, with what each word means.
 *
 * @module
 */
import { type FlagWord, type Place, quoted, type Value, wayTo } from "./words.ts";

/** The script. */
export function zshCompletions(places: readonly Place[]): string {
  const below = places.slice(1).map(({ path }) => quoted(wayTo(path)));
  return `#compdef montana
# Completions of montana for zsh. Load them behind compinit with
#   source <(montana completions zsh)
# or write them to a file _montana in a directory of $fpath.

_montana() {
  local curcontext=$curcontext way= at=2
  while ((at < CURRENT)); do
    case "$way $words[at]" in
      ${below.join(" | \\\n        ")})
        way+=" $words[at]"
        ;;
      *) break ;;
    esac
    ((at++))
  done
  # What is left begins with the command's own name.
  local isNext=$((at == CURRENT))
  words=("\${(@)words[at - 1,-1]}")
  ((CURRENT -= at - 2))

  local -a commands
  case $way in
${places.map(caseOf).join("")}  esac
}

if [[ $funcstack[1] == _montana ]]; then
  _montana "$@"
else
  compdef _montana montana
fi
`;
}

function caseOf({ path, commands, flags, argument }: Place): string {
  const body = commands.length > 0 ? groupLines(commands, flags) : leafLines(flags, argument);
  return `    ${quoted(wayTo(path))})\n${body.map((line) => `      ${line}\n`).join("")}      ;;\n`;
}

/** Behind a word that is no command, there is none below it either. */
function groupLines(commands: readonly Place[], flags: readonly FlagWord[]): string[] {
  const described = commands.map(({ path, summary }) =>
    quoted(`${path.at(-1)}:${summary.replaceAll(":", "\\:")}`)
  );
  return [
    `((isNext)) || return 1`,
    `commands=(`,
    ...described.map((each) => `  ${each}`),
    `)`,
    ...(flags.length > 0
      ? [`if [[ $PREFIX == -* ]]; then`, `  ${argumentsOf(flags)}`, `  return`, `fi`]
      : []),
    `_describe -t commands command commands`,
  ];
}

function leafLines(flags: readonly FlagWord[], argument: Value | undefined): string[] {
  const rest = argument ? [quoted(`*:${argument.kind}:${actionOf(argument)}`)] : [];
  return [argumentsOf(flags, rest)];
}

function argumentsOf(flags: readonly FlagWord[], rest: readonly string[] = []): string {
  const specs = [...flags.map(specOf), ...rest];
  return specs.length === 0 ? "return 1" : ["_arguments", ...specs].join(" \\\n        ");
}

/** As `_arguments` takes it. */
function specOf({ name, letter, help, value, valueName, isOptional, isRepeated }: FlagWord) {
  const explained = `[${help.replace(/[[\]\\]/g, "\\$&")}]`;
  if (letter !== undefined) {
    return `'(- *)'{${letter},${name}}${quoted(explained)}`;
  }
  const before = isRepeated ? "*" : "";
  if (!value) return quoted(`${before}${name}${explained}`);
  const colons = isOptional ? "::" : ":";
  return quoted(
    `${before}${name}=${explained}${colons}${valueName}:${actionOf(value)}`,
  );
}

function actionOf(value: Value): string {
  switch (value.kind) {
    case "words":
      return `(${value.words.join(" ")})`;
    case "file":
      return "_files";
    case "directory":
      return "_files -/";
    case "text":
      return "";
  }
}
