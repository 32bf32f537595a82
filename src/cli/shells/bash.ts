/**
 * Completions for bash, 3.2 as macOS has it and later; the package bash-completion is not needed.
 *
 * @module
 */
import { type FlagWord, type Place, quoted, type Value, wayTo } from "./words.ts";

/** The script. */
export function bashCompletions(places: readonly Place[]): string {
  const below = places.slice(1).map(({ path }) => quoted(wayTo(path)));
  return `# Completions of montana for bash. Load them with
#   source <(montana completions bash)
# or write them to /etc/bash_completion.d/montana.

_montana() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev= way= at=1 words= flags= takes=
  ((COMP_CWORD > 0)) && prev=\${COMP_WORDS[COMP_CWORD - 1]}
  # bash takes --flag=value for three words.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]] && ((COMP_CWORD > 1)); then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()

  while ((at < COMP_CWORD)); do
    case "$way \${COMP_WORDS[at]}" in
      ${below.join(" | \\\n        ")})
        way+=" \${COMP_WORDS[at]}"
        ;;
      *) break ;;
    esac
    at=$((at + 1))
  done

  case $way in
${places.map(caseOf).join("")}  esac

  case $takes in
    # Without an answer of ours, readline completes paths.
    file) return ;;
    dir)
      compopt +o default -o dirnames 2>/dev/null
      return
      ;;
    text) words= flags= ;;
  esac
  compopt +o default 2>/dev/null
  [[ $cur == -* ]] && words=$flags
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

complete -o default -F _montana montana
`;
}

function caseOf({ path, commands, flags, argument }: Place): string {
  const lines: string[] = [];
  const names = flags.flatMap(({ name, letter }) => letter === undefined ? [name] : [name, letter]);
  if (names.length > 0) lines.push(`flags=${quoted(names.join(" "))}`);
  if (commands.length > 0) {
    // Behind a word that is no command, there is none below it either.
    lines.push(`((at == COMP_CWORD)) && words=${quoted(lastWords(commands))}`);
  } else {
    lines.push(...argumentLines(argument));
  }
  const values = flagValues(flags);
  if (values.length > 0) {
    lines.push("case $prev in", ...values.map((each) => `  ${each}`), "esac");
  }
  const body = lines.map((line) => `      ${line}\n`).join("");
  return `    ${quoted(wayTo(path))})\n${body}      ;;\n`;
}

/** Where nothing else can stand, flags are offered before a dash is typed. */
function argumentLines(argument: Value | undefined): string[] {
  if (!argument) return ["words=$flags"];
  if (argument.kind === "words") return [`words=${quoted(argument.words.join(" "))}`];
  return [`[[ $cur == -* ]] || ${takes(argument)}`];
}

/** A case for each kind of value, of the flags that take it. */
function flagValues(flags: readonly FlagWord[]): string[] {
  const byValue = new Map<string, string[]>();
  for (const { name, value, isOptional } of flags) {
    if (!value) continue;
    const action = isOptional ? `[[ $cur == -* ]] || ${takes(value)}` : takes(value);
    byValue.set(action, [...byValue.get(action) ?? [], name]);
  }
  return [...byValue].map(([action, names]) => `${names.join(" | ")}) ${action} ;;`);
}

function takes(value: Value): string {
  if (value.kind !== "words") return `takes=${value.kind === "directory" ? "dir" : value.kind}`;
  const words = quoted(value.words.join(" "));
  return `takes= words=${words} flags=${words}`;
}

function lastWords(places: readonly Place[]): string {
  return places.map(({ path }) => path.at(-1)).join(" ");
}
