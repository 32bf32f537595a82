/**
 * The roles that a file and an environment are about, each with what it is told.
 *
 * @module
 */
import process from "node:process";
import { type CommandSpec, type Flag, type FlagValues, textOf } from "./command.ts";
import { type Entry, readConfigFile } from "./config_file.ts";
import {
  CONFIG_VARIABLE,
  type Configurable,
  prefixOf,
  ROLE_NAMES,
  type RoleName,
} from "./config_settings.ts";
import {
  configure,
  type Configured,
  type Problem,
  refuseUnknownSections,
} from "./configuration.ts";
import { usage } from "./options.ts";
import type { RoleSpec } from "./role.ts";
import { RoleFlags } from "./role_flags.ts";
import { ROLES, rolesNamed } from "./run.ts";

/** Which file. */
export const FILE_ARGUMENT: NonNullable<CommandSpec["argument"]> = {
  name: "[file]",
  help: `YAML with a block for each role (${CONFIG_VARIABLE} where none is named)`,
};

/** Which roles of it. */
export const ROLES_FLAG: Flag = {
  flags: "--role <roles>",
  help: "as `montana run` has them together; without it all of the file, each alone",
  choices: ROLE_NAMES,
};

/** A role, and what it is told. */
export interface ToldRole {
  readonly spec: RoleSpec;
  readonly role: Configurable;
  readonly configured: Configured;
}

/** A file, and its roles. */
export interface ToldRoles {
  /** None where all comes from the environment. */
  readonly path: string | undefined;
  readonly roles: readonly ToldRole[];
  /** They are to run in one process. */
  readonly isTogether: boolean;
}

/** Each role, by its name. */
export async function loadRoles(names: readonly RoleName[] = ROLE_NAMES): Promise<RoleSpec[]> {
  return await Promise.all(names.map((name) => ROLES[name]()));
}

/**
 * Reads the file that is named, and the environment.
 *
 * @throws {ConfigError} `Usage` where neither says anything, `Invalid` for what is no YAML
 */
export async function toldRoles(
  flags: FlagValues,
  [file]: readonly string[],
  refuse: (problem: Problem) => void,
): Promise<ToldRoles> {
  const { env: environment } = process;
  const path = file ?? environment[CONFIG_VARIABLE];
  if (path === "") throw usage(`Cannot use ${CONFIG_VARIABLE} "": it names nothing`);
  const entries = path === undefined ? [] : await readConfigFile(path);
  refuseUnknownSections(entries, refuse);
  const named = textOf(flags, "role");
  const names = named === undefined ? namesIn(entries) : rolesNamed(named);
  if (names.length === 0) {
    throw usage(
      path === undefined
        ? `Cannot tell a configuration: name a file, or set ${CONFIG_VARIABLE}`
        : `Cannot use ${path}: it has no block of a role: ${ROLE_NAMES.join(", ")}`,
    );
  }
  const isTogether = named !== undefined && names.length > 1;
  const specs = await loadRoles(names);
  const joined = isTogether ? new RoleFlags(specs) : undefined;
  const roles = specs.map((spec) => {
    const role = joined?.configurable(spec.name) ?? spec;
    const configured = configure(role, { environment, entries }, refuse);
    const config = path === undefined ? {} : { config: path };
    return {
      spec,
      role,
      configured: { ...configured, values: { ...configured.values, ...config } },
    };
  });
  return { path, roles, isTogether };
}

/** The roles that have a block, or a variable. */
function namesIn(entries: readonly Entry[]): readonly RoleName[] {
  const variables = Object.keys(process.env);
  return ROLE_NAMES.filter((name) =>
    entries.some(({ key }) => key === name || key === "batch" && name === "superblock") ||
    variables.some((variable) => variable.startsWith(prefixOf(name)))
  );
}
