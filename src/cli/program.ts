/**
 * What all commands share: help, wrong usage, errors and exit codes.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import { runtimeName, writeStderr, writeStdout } from "../runtime.ts";
import { VERSION } from "../version.ts";
import {
  type CommandGroup,
  type CommandSpec,
  DESCRIPTION,
  EXIT,
  EXIT_MEANINGS,
  type FlagValues,
} from "./command.ts";
import { allCommands, COMMANDS } from "./commands.ts";
import { type Command, commander } from "./deps.ts";
import { tellFailure } from "./failure.ts";
import { withoutKeys } from "./text.ts";

/**
 * Runs a command line.
 *
 * @param args without the program's name
 * @returns the exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  const { Command, CommanderError } = await commander();
  let specs: readonly (CommandSpec | CommandGroup)[];
  try {
    specs = await commandsFor(args);
  } catch (error) {
    return tellFailure(error);
  }
  let exitCode: number = EXIT.done;
  let help = "";
  const program = new Command("montana")
    .description(DESCRIPTION)
    .version(`montana ${VERSION} (${runtimeName()})`, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help of a command")
    .addHelpText("after", `\nExit codes:\n${exitCodes()}`)
    .configureHelp({ helpWidth: 100 });
  for (const spec of specs) {
    addTo(program, spec, async (command, flags, values) => {
      exitCode = await command.run(flags, values);
    });
  }
  for (const command of withCommands(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => help += text,
      writeErr: (text) => writeStderr(withoutKeys(text.trimEnd())),
    }).showHelpAfterError("(--help tells what there is)");
  }
  try {
    await program.parseAsync(commandLine(args), { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return tellFailure(error);
    // Commander has said what was wrong; what it was asked for is still to be written.
    if (error.exitCode !== 0) return EXIT.usage;
  }
  return await writeStdout(help).then(() => EXIT.done, tellFailure);
}

/** The one that is called, or all where none is. */
async function commandsFor(
  [name = "", ...args]: readonly string[],
): Promise<(CommandSpec | CommandGroup)[]> {
  return Object.hasOwn(COMMANDS, name) ? [await COMMANDS[name]!(args)] : await allCommands();
}

function exitCodes(): string {
  return EXIT_MEANINGS.map((line) =>
    `  ${line.map(([code, meaning]) => `${code} ${meaning}`).join(" · ")}`
  ).join("\n");
}

/** Commander would answer a command that is not there with the help of all, when asked for its help. */
function commandLine([first, ...others]: readonly string[]): string[] {
  if (first === undefined) return ["--help"];
  // Commander's own knows no commands below others.
  if (first === "help" && others.length > 0) return commandLine([...others, "--help"]);
  const isKnown = ["help", ...Object.keys(COMMANDS)].includes(first);
  return isKnown || first.startsWith("-") ? [first, ...others] : [first];
}

type Run = (spec: CommandSpec, flags: FlagValues, values?: readonly string[]) => Promise<void>;

function addTo(parent: Command, spec: CommandSpec | CommandGroup, run: Run): void {
  if (!("commands" in spec)) return addCommand(parent, spec, run);
  const group = parent.command(spec.name).description(spec.summary);
  group.configureHelp({ helpWidth: 100 }).helpCommand(false);
  for (const each of spec.commands) addCommand(group, each, run);
}

/** A command, and all below it. */
function withCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap((each) => withCommands(each as Command))];
}

function appended(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

function addCommand(program: Command, spec: CommandSpec, run: Run): void {
  const command = program.command(spec.name).description(spec.summary);
  if (spec.argument) command.argument(spec.argument.name, spec.argument.help);
  for (const flag of spec.flags) {
    const isMissed = flag.isRequired && !spec.isConfigured;
    const add = (isMissed ? command.requiredOption : command.option).bind(command);
    if (flag.isRepeated) add(flag.flags, flag.help, appended);
    else add(flag.flags, flag.help, flag.value);
  }
  command.configureHelp({ helpWidth: 100 });
  const examples = spec.examples.map((line) => `  montana ${line}`).join("\n");
  command.addHelpText("after", `\nExamples:\n${examples}`);
  command.action(async (...given: unknown[]) => {
    const [first, second] = spec.argument ? given : [undefined, given[0]];
    const values = typeof first === "string" ? [first] : first as string[] | undefined;
    const all = second as FlagValues;
    const isGiven = (name: string) => command.getOptionValueSource(name) !== "default";
    const flags = spec.isConfigured
      ? Object.fromEntries(Object.entries(all).filter(([name]) => isGiven(name)))
      : all;
    const nameless = command.options.find((each) =>
      [flags[each.attributeName()]].flat().includes("")
    );
    if (nameless) throw empty(`${nameless.long} ""`);
    if (values?.includes("")) throw empty(`"" as ${spec.argument!.name}`);
    await run(spec, flags, values);
  });
}

/** What a variable of a shell is that was never set; a directory of no name would be the one one is in. */
function empty(what: string): ConfigError {
  return new ConfigError("Usage", `Cannot use ${what}: it names nothing`);
}
