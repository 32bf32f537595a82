/**
 * `montana config check`: whether roles could start with what a file and the environment say. Nothing else
 * is looked at: no node, no key, no directory.
 *
 * @module
 */
import process from "node:process";
import { ConfigError, MontanaError } from "../errors.ts";
import { writeStderr, writeStdout } from "../runtime.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG } from "./command.ts";
import {
  FILE_ARGUMENT,
  ROLES_FLAG,
  type ToldRole,
  type ToldRoles,
  toldRoles,
} from "./config_roles.ts";
import { type Problem, problemIn, unknownVariables } from "./configuration.ts";
import { metricsAddress } from "./monitor.ts";
import { mustFitTogether } from "./run.ts";
import { wrongSettingsIn } from "./superblock_config.ts";
import { countOf, toJson, withoutKeys } from "./text.ts";

/** Says of each wrong key and value where it stands. */
export const check: CommandSpec = {
  name: "check",
  summary: "Say what is wrong with a configuration; nothing but the file is looked at",
  argument: FILE_ARGUMENT,
  flags: [ROLES_FLAG, JSON_FLAG],
  examples: [
    "config check montana.yaml",
    "config check montana.yaml --role batcher,superblock --json",
  ],
  async run(flags, values) {
    const problems: Problem[] = [];
    const refuse = (problem: Problem) => {
      problems.push(problem);
    };
    const told = await toldRoles(flags, values ?? [], refuse);
    for (const each of told.roles) await checkRole(each, told, refuse);
    if (told.isTogether) checkTogether(told, refuse);
    const warnings = told.roles.flatMap(({ role }) => unknownVariables(role, process.env));
    return await tell(told, { problems, warnings }, flags.json === true);
  },
};

async function checkRole(
  { spec, role, configured }: ToldRole,
  { path = "the environment", roles, isTogether }: ToldRoles,
  refuse: (problem: Problem) => void,
): Promise<void> {
  for (const { key, variable } of configured.missing) {
    const text = `Cannot start ${role.name}: ${role.name}.${key} is not set; nor is ${variable}`;
    refuse({ at: path, text });
  }
  const wrong = spec.name === "superblock" ? await wrongSettingsIn(configured.values) : [];
  for (const error of wrong) refuse(problemOf(error, path));
  if (configured.missing.length > 0 || wrong.length > 0) return;

  const others = isTogether ? roles.filter((each) => each.spec !== spec) : [];
  const beside = Object.fromEntries(
    others.map((each) => [each.spec.name, each.configured.values]),
  );
  const values: Record<string, FlagValues[string]> = { ...configured.values };
  const found = new Set<string>();
  // One is found at a time: what is wrong gives way to its default, and the rest is looked at again.
  while (true) {
    try {
      metricsAddress(values);
      await spec.read(values, beside);
      return;
    } catch (error) {
      if (!(error instanceof MontanaError)) throw error;
      const problem = problemIn(error, role, configured);
      if (!problem || found.has(problem.setting.name)) {
        // What comes of a default in the place of what was refused is no fault of the file.
        if (found.size === 0) refuse(problemOf(error, path));
        return;
      }
      refuse(problem);
      const { name, flag } = problem.setting;
      if (flag.isRequired) return;
      found.add(name);
      values[name] = flag.value;
    }
  }
}

/** As `montana run` refuses them. */
function checkTogether(
  { path = "the environment", roles }: ToldRoles,
  refuse: (problem: Problem) => void,
): void {
  try {
    mustFitTogether(roles.map(({ spec, configured }) => ({ spec, flags: configured.values })));
  } catch (error) {
    if (!(error instanceof MontanaError)) throw error;
    refuse(problemOf(error, path));
  }
}

function problemOf(error: MontanaError, path: string): Problem {
  const { origin } = error.details;
  if (typeof origin !== "string") return { at: path, text: error.message };
  return { at: origin, text: error.message.replace(` (${origin})`, "") };
}

async function tell(
  { path = "the environment", roles }: ToldRoles,
  { problems, warnings }: {
    readonly problems: readonly Problem[];
    readonly warnings: readonly string[];
  },
  isJson: boolean,
): Promise<number> {
  const names = roles.map(({ role }) => role.name);
  if (isJson) {
    await writeStdout(withoutKeys(toJson({ file: path, roles: names, problems, warnings })));
  } else {
    const lines = problems.map(({ at, text }) => `${at}: ${text}\n`);
    await writeStdout(withoutKeys(lines.join("")));
    for (const text of warnings) writeStderr(`warning: ${text}`);
    if (problems.length === 0) await writeStdout(`${path}: ${names.join(", ")} can start\n`);
  }
  if (problems.length === 0) return EXIT.done;
  throw new ConfigError("Invalid", `Cannot use ${path}: ${countOf(problems.length, "problem")}`);
}
