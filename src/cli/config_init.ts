/**
 * `montana config init`: a configuration to begin with. Each setting stands there with what it means, those
 * that a profile leaves as they are as comments.
 *
 * @module
 */
import { writeStdout } from "../runtime.ts";
import { type CommandSpec, EXIT, textOf } from "./command.ts";
import { PROFILES } from "./config_profiles.ts";
import { loadRoles } from "./config_roles.ts";
import { ROLE_NAMES, type Setting, settingsOf } from "./config_settings.ts";
import { parseChoice } from "./options.ts";

const NAMES = Object.keys(PROFILES);

/** What belongs to one run, and not to a file. */
const OF_A_RUN: readonly string[] = ["json", "once"];

/** Prints a file. */
export const init: CommandSpec = {
  name: "init",
  summary: "Print a commented configuration to begin with",
  flags: [
    { flags: "--profile <name>", help: NAMES.join(", "), value: "devnet", choices: NAMES },
  ],
  examples: [
    "config init > montana.yaml",
    "config init --profile low-throughput > montana.yaml",
  ],
  async run(flags) {
    const name = parseChoice("--profile", textOf(flags, "profile") ?? "", NAMES);
    await writeStdout(await fileOf(name));
    return EXIT.done;
  },
};

async function fileOf(name: string): Promise<string> {
  const { summary, roles } = PROFILES[name]!;
  const specs = await loadRoles(ROLE_NAMES.filter((role) => roles[role]));
  const blocks = specs.map((spec) => {
    const values = roles[spec.name as keyof typeof roles]!;
    const lines = settingsOf(spec).filter(({ key }) => !OF_A_RUN.includes(key))
      .map((setting) => linesOf(setting, values[setting.key]));
    return `# ${spec.summary}.\n${spec.name}:\n${lines.join("\n")}`;
  });
  return `# montana, profile ${name}: ${summary}.
# Flags and the environment count for more: MONTANA_BATCHER_L1 is l1 below batcher.
# \`montana config check FILE\` says what is wrong, \`montana config show FILE --origin\` what counts.

${blocks.join("\n")}`;
}

function linesOf({ key, flag }: Setting, value: string | readonly string[] | undefined): string {
  const text = typeof value === "string" ? value : value && `[${value.join(", ")}]`;
  const line = text === undefined
    ? `  #${key}: ${flag.value ?? ""}`.trimEnd()
    : `  ${key}: ${text}`;
  return `  # ${flag.help}\n${line}\n`;
}
