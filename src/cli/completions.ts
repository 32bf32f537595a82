/**
 * `montana completions`: what a shell needs to complete our command lines.
 *
 * @module
 */
import { writeStdout } from "../runtime.ts";
import { type CommandGroup, type CommandSpec, EXIT } from "./command.ts";
import { usage } from "./options.ts";
import { bashCompletions } from "./shells/bash.ts";
import { fishCompletions } from "./shells/fish.ts";
import { placesOf } from "./shells/words.ts";
import { zshCompletions } from "./shells/zsh.ts";

const SHELLS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions } as const;
const NAMES = Object.keys(SHELLS);

/**
 * Prints a script for a shell, made of the commands and flags that there are.
 *
 * @param allCommands gives them
 */
export function completionsOf(
  allCommands: () => Promise<readonly (CommandSpec | CommandGroup)[]>,
): CommandSpec {
  return {
    name: "completions",
    summary: "Print a script that completes commands, flags and their values in a shell",
    argument: { name: "<shell>", help: NAMES.join(", "), choices: NAMES },
    flags: [],
    examples: [
      "completions bash > /etc/bash_completion.d/montana",
      'completions zsh > "${fpath[1]}/_montana"',
      "completions fish > ~/.config/fish/completions/montana.fish",
    ],
    async run(_flags, [shell = ""] = []) {
      if (!Object.hasOwn(SHELLS, shell)) {
        throw usage(`Cannot complete in "${shell}": need one of ${NAMES.join(", ")}`);
      }
      await writeStdout(SHELLS[shell as keyof typeof SHELLS](placesOf(await allCommands())));
      return EXIT.done;
    },
  };
}
