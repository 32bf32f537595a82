/**
 * `montana man`: the manual page.
 *
 * @module
 */
import { systemClock, writeStdout } from "../runtime.ts";
import { VERSION } from "../version.ts";
import { type CommandGroup, type CommandSpec, EXIT } from "./command.ts";
import { manualPage } from "./manual.ts";

/**
 * Prints the page of all commands.
 *
 * @param allCommands gives them
 */
export function manOf(
  allCommands: () => Promise<readonly (CommandSpec | CommandGroup)[]>,
): CommandSpec {
  return {
    name: "man",
    summary: "Print the manual page, for man to show or to keep",
    flags: [],
    examples: [
      "man > /usr/local/share/man/man1/montana.1",
      "man | man -l -",
    ],
    async run() {
      const page = manualPage(await allCommands(), { version: VERSION, nowMs: systemClock.now() });
      await writeStdout(page);
      return EXIT.done;
    },
  };
}
