/**
 * What all commands share: help, wrong usage, errors and exit codes.
 *
 * @module
 */
import process from "node:process";
import {
  ConfigError,
  describeError,
  isRetryable,
  MontanaError,
  PipelineError,
  SignerError,
  type SignerErrorCode,
  SinkError,
} from "../errors.ts";
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
import { withFlagNames, withoutKeys } from "./text.ts";
import { tellHeldFailures } from "./passing_failures.ts";

/**
 * Runs a command line.
 *
 * @param args without the program's name
 * @returns the exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  const { Command, CommanderError } = await commander();
  let exitCode: number = EXIT.done;
  let help = "";
  const program = new Command("montana")
    .description(DESCRIPTION)
    .version(`montana ${VERSION} (${runtimeName()})`, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help of a command")
    .addHelpText("after", `\nExit codes:\n${exitCodes()}`)
    .configureHelp({ helpWidth: 100 });
  for (const spec of await commandsFor(args)) {
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
    if (!(error instanceof CommanderError)) return tell(error);
    // Commander has said what was wrong; what it was asked for is still to be written.
    if (error.exitCode !== 0) return EXIT.usage;
  }
  return await writeStdout(help).then(() => EXIT.done, tell);
}

/** The one that is called, or all where none is. */
async function commandsFor(
  [name = ""]: readonly string[],
): Promise<(CommandSpec | CommandGroup)[]> {
  return Object.hasOwn(COMMANDS, name) ? [await COMMANDS[name]!()] : await allCommands();
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
    const add = (flag.isRequired ? command.requiredOption : command.option).bind(command);
    if (flag.isRepeated) add(flag.flags, flag.help, appended);
    else add(flag.flags, flag.help, flag.value);
  }
  command.configureHelp({ helpWidth: 100 });
  const examples = spec.examples.map((line) => `  montana ${line}`).join("\n");
  command.addHelpText("after", `\nExamples:\n${examples}`);
  command.action(async (...given: unknown[]) => {
    const [first, second] = spec.argument ? given : [undefined, given[0]];
    const values = typeof first === "string" ? [first] : first as string[] | undefined;
    await run(spec, second as FlagValues, values);
  });
}

/** To start again helps as little as with any other setting; what a remote signer refuses is not among them. */
const UNUSABLE_KEY: readonly SignerErrorCode[] = ["Unreadable", "TooOpen", "Invalid", "Password"];

/** It is for people to say which L1, or which L2, is meant. */
function needsDecision(error: MontanaError): boolean {
  if (error instanceof PipelineError) return ["Reorganised", "WrongL1"].includes(error.code);
  return error.details["reason"] === "WrongChain" && error.kind === "critical";
}

/** Says in one line what could not be done, and gives the exit code for it. */
function tell(error: unknown): number {
  if (isBrokenPipe(error)) return EXIT.done;
  tellHeldFailures();
  const text = withFlagNames(`error: ${describeError(error)}`);
  writeStderr(error instanceof ConfigError ? withoutKeys(text) : text);
  if (!(error instanceof MontanaError)) {
    // Nobody foresaw this one: whoever mends it needs to know where it came from.
    if (process.env.MONTANA_TRACE && error instanceof Error) writeStderr(error.stack ?? "");
    return EXIT.failed;
  }
  if (error instanceof ConfigError) return error.code === "Usage" ? EXIT.usage : EXIT.badConfig;
  if (needsDecision(error)) return EXIT.undecided;
  if (error instanceof SignerError && UNUSABLE_KEY.includes(error.code)) return EXIT.badConfig;
  // Who starts again looks at L1 first: it finds what others posted, and seals anew what came too late.
  const helpsToStart = error instanceof SinkError &&
    ["NonceTaken", "WindowExpired"].includes(error.code);
  return helpsToStart || isRetryable(error) ? EXIT.tryLater : EXIT.failed;
}

/** The reader of our output has seen enough, as in `montana decode … | head`. */
function isBrokenPipe(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if ((each as { code?: unknown }).code === "EPIPE") return true;
  }
  return false;
}
