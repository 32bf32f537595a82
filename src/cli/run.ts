/**
 * `montana run`: several roles in one process.
 *
 * @module
 */
import { type CommandSpec, type Flag, type FlagValues, textOf } from "./command.ts";
import { type Configurable, ROLE_NAMES, type RoleName } from "./config_settings.ts";
import { type Configured, configuredRole, withOrigins } from "./configuration.ts";
import { parseChoice, usage } from "./options.ts";
import type { RoleSpec } from "./role.ts";
import { RoleFlags } from "./role_flags.ts";
import { type RoleTask, runTogether } from "./roles.ts";

/** In the order in which they begin; they end the other way round. */
export const ROLES: Readonly<Record<RoleName, () => Promise<RoleSpec>>> = {
  prover: async () => (await import("./prover.ts")).prover,
  superblock: async () => (await import("./superblock.ts")).superblock,
  batcher: async () => (await import("./batcher.ts")).batcher,
  deriver: async () => (await import("./deriver.ts")).deriver,
  processor: async () => (await import("./processor.ts")).processor,
};
const NAMES = ROLE_NAMES;

const ROLE_FLAG: Flag = {
  flags: "--role <roles>",
  help: `with commas between them: ${NAMES.join(", ")}; all flags of these roles may be given`,
  isRequired: true,
  choices: NAMES,
};

/**
 * The command, with the flags of the roles that are named.
 *
 * @param args behind `run`; none where it is only told of
 * @throws {ConfigError} `Usage` for roles that are not there, or cannot run together
 */
export async function runCommand(args: readonly string[]): Promise<CommandSpec> {
  const names = rolesIn(args);
  const roles = await Promise.all(names.map((name) => ROLES[name]!()));
  const flags = new RoleFlags(roles);
  if (roles.length > 0) {
    const others = NAMES.filter((name) => !names.includes(name));
    flags.check(args, await Promise.all(others.map((name) => ROLES[name]!())));
  }
  return {
    name: "run",
    summary: "Run several roles in one process",
    flags: [ROLE_FLAG, ...flags.all],
    isConfigured: true,
    examples: [
      "run --role batcher,superblock --help",
      ...examplesFor(names),
    ],
    run: (values) => runRoles(roles, flags, values),
  };
}

/** Their flags are there with their roles only. */
function examplesFor(names: readonly string[]): readonly string[] {
  if (names.includes("superblock") && names.includes("batcher")) {
    return [
      "run --role batcher,superblock --l2 http://127.0.0.1:9545 --l2-chain-id 901 --l1 http://127.0.0.1:8545 --beacon http://127.0.0.1:5052 --inbox 0xff00000000000000000000000000000000008453 --key-file batcher.key --data-dir ./data --config montana.yaml",
    ];
  }
  if (!names.includes("batcher") || !names.includes("deriver")) return [];
  return [
    "run --role batcher,deriver --l2 blocks.jsonl --l1 ./l1 --out derived.jsonl --data-dir ./data",
  ];
}

/** The roles that a command line names. */
function rolesIn(args: readonly string[]): readonly RoleName[] {
  const [text, another] = args.flatMap((arg, at) => {
    const [, value] = /^--role(?:=(.*))?$/s.exec(arg) ?? [arg, null];
    return value === null ? [] : [value ?? args[at + 1] ?? ""];
  });
  if (text === undefined) return [];
  if (another === undefined) return rolesNamed(text);
  throw usage(
    `Cannot use --role ${text} and --role ${another}: give one, --role ${text},${another}`,
  );
}

/**
 * The roles of `--role`, in the order in which they begin.
 *
 * @throws {ConfigError} `Usage` for one that is not there, or cannot run beside others
 */
export function rolesNamed(text: string): readonly RoleName[] {
  const given = text.split(",").map((name) => parseChoice("--role", name, NAMES));
  const twice = given.find((name, index) => given.indexOf(name) < index);
  if (twice !== undefined) throw usage(`Cannot use --role ${text}: it names ${twice} twice`);
  if (given.length > 1 && given.includes("processor")) {
    throw usage(
      `Cannot use --role ${text}: a processor needs standard input, standard output and the control ` +
        `socket in --data-dir for itself; give it a process of its own`,
    );
  }
  return NAMES.filter((name) => given.includes(name));
}

async function runRoles(
  roles: readonly RoleSpec[],
  flags: RoleFlags,
  values: FlagValues,
): Promise<number> {
  const [first] = roles;
  if (!first) throw usage(`required option '${ROLE_FLAG.flags}' not specified`);
  if (roles.length === 1) return await first.run(flags.valuesOf(first.name, values));
  const tasks = await Promise.all(roles.map(async (spec) => {
    const role = flags.configurable(spec.name);
    const configured = await configuredRole(role, flags.valuesOf(spec.name, values));
    return { spec: withItsOrigins(spec, role, configured), flags: configured.values };
  }));
  mustFitTogether(tasks);
  return await runTogether(tasks);
}

/**
 * Refuses what each role alone may be told, and those of one process may not.
 *
 * @throws {ConfigError} `Usage`
 */
export function mustFitTogether(tasks: readonly RoleTask[]): void {
  const names = tasks.map(({ spec }) => spec.name);
  if (tasks.some(({ flags }) => textOf(flags, "out") === "-")) {
    throw usage(
      `Cannot use --out - with --role ${names}: other roles answer on standard output too; name a file`,
    );
  }
  const isBoth = ["batcher", "deriver"].every((name) => names.includes(name));
  if (tasks.some(({ flags }) => flags["once"] === true) && isBoth) {
    throw usage(
      "Cannot use --once with batcher and deriver in one process: one is done before the other has " +
        "posted; run them one after the other",
    );
  }
  const ports = new Set(tasks.flatMap(({ flags }) => textOf(flags, "metricsListen") ?? []));
  if (ports.size > 1) {
    throw usage(
      `Cannot serve metrics of one process at ${
        [...ports].join(" and ")
      }: give one --metrics-listen`,
    );
  }
}

/** The same role, whose errors say where a value that cannot be stands. */
function withItsOrigins(spec: RoleSpec, role: Configurable, configured: Configured): RoleSpec {
  const { read, check, runRole } = spec;
  return {
    ...spec,
    read: (flags, beside) => withOrigins(role, configured, () => read(flags, beside)),
    ...(check && {
      check: (flags, beside) => withOrigins(role, configured, () => check(flags, beside)),
    }),
    runRole: (flags, context) => withOrigins(role, configured, () => runRole(flags, context)),
  };
}
