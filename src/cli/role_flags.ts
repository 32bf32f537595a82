/**
 * The flags of several roles as those of one command: what means the same is given once, what does not is
 * given by role, and what no role has is refused.
 *
 * @module
 */
import { attributeName, type Flag, type FlagValues } from "./command.ts";
import type { Configurable } from "./config_settings.ts";
import { usage } from "./options.ts";
import type { RoleSpec } from "./role.ts";

/** They mean the same, though each role says it in its own words. */
const SAME: readonly string[] = ["--data-dir", "--batcher"];

/** Roles that run together keep what they know in one place, each below a name of its own. */
const SHARED_DIR = { help: "what the roles keep; made if missing", isRequired: true };

/** A flag, and whose. */
interface Owned {
  readonly role: string;
  readonly flag: Flag;
}

/** A flag of the command, and as what each role knows it. */
interface Joined {
  readonly flag: Flag;
  readonly owned: readonly Owned[];
}

/** Flags of roles that run together. */
export class RoleFlags {
  readonly #roles: readonly RoleSpec[];
  readonly #joined: readonly Joined[];

  constructor(roles: readonly RoleSpec[]) {
    this.#roles = roles;
    const byName = new Map<string, Owned[]>();
    for (const { name: role, flags, without } of roles) {
      const taken = roles.flatMap(({ name }) => without?.[name] ?? []);
      for (const flag of flags) {
        if (taken.includes(flag)) continue;
        const name = nameOf(flag);
        byName.set(name, [...byName.get(name) ?? [], { role, flag }]);
      }
    }
    this.#joined = [...byName.values()].flatMap(join);
  }

  /** As the command takes them. */
  get all(): readonly Flag[] {
    return this.#joined.map(({ flag }) => flag);
  }

  /** A role, with those of its flags that it takes here. */
  configurable(role: string): Configurable {
    const flags = this.#joined.flatMap(({ flag, owned }) => {
      const own = owned.find((each) => each.role === role)?.flag;
      if (!own) return [];
      if (!flag.isRequired || own.isRequired) return [own];
      // One that stands for several has no default of one of them.
      const { value: _, ...rest } = own;
      return [{ ...rest, isRequired: true }];
    });
    return { name: role, flags };
  }

  /** What was given to a role, by the names that it knows. */
  valuesOf(role: string, values: FlagValues): FlagValues {
    const own: Record<string, FlagValues[string]> = {};
    for (const { flag, owned } of this.#joined) {
      const ownFlag = owned.find((each) => each.role === role)?.flag;
      if (!ownFlag) continue;
      const value = values[keyOf(flag)];
      const ownValue = Array.isArray(value) && !ownFlag.isRepeated ? value[0] : value;
      if (ownValue !== undefined) own[keyOf(ownFlag)] = ownValue;
    }
    return own;
  }

  /**
   * Refuses what none of the roles has, where it is known whose it is.
   *
   * @param args the command line
   * @param others roles that are not among them
   * @throws {ConfigError} `Usage`
   */
  check(args: readonly string[], others: readonly RoleSpec[]): void {
    const names = this.#roles.map(({ name }) => name).join();
    const known = this.all.map(nameOf);
    for (const arg of args) {
      const name = /^--[a-z][\w-]*/.exec(arg)?.[0];
      if (name === undefined || known.includes(name)) continue;
      const byRole = this.#joined.filter(({ owned }) => nameOf(owned[0]!.flag) === name);
      if (byRole.length > 0) {
        throw usage(
          `Cannot use ${name} with --role ${names}: it is not the same for each; give ` +
            byRole.map(({ flag }) => nameOf(flag)).join(", or "),
        );
      }
      const plain = this.#roles.find((role) => name.startsWith(`--${role.name}-`));
      const short = plain && name.replace(`${plain.name}-`, "");
      if (short !== undefined && known.includes(short)) {
        throw usage(
          `Cannot use ${name} with --role ${names}: there is one such flag only; give ${short}`,
        );
      }
      const owners = others.filter(({ flags }) => flags.some((flag) => nameOf(flag) === name));
      if (owners.length === 0) continue;
      throw usage(
        `Cannot use ${name} with --role ${names}: it is a flag of ` +
          `${owners.map((owner) => owner.name).join(" and ")}; did you mean --role ` +
          `${names},${owners[0]!.name}?`,
      );
    }
  }
}

/** One flag where all mean the same, one for each otherwise. */
function join(owned: readonly Owned[]): readonly Joined[] {
  const [{ flag }] = owned as [Owned];
  if (owned.length === 1) return [{ flag, owned }];
  const isSame = SAME.includes(nameOf(flag)) || owned.every((each) => each.flag === flag);
  if (!isSame) {
    return owned.map((each) => ({
      flag: { ...each.flag, flags: each.flag.flags.replace("--", `--${each.role}-`) },
      owned: [each],
    }));
  }
  const { value: _, ...rest } = flag;
  const isEqual = owned.every(({ flag: { value } }) => value === flag.value);
  const isRepeated = owned.some((each) => each.flag.isRepeated);
  const isRequired = owned.some((each) => each.flag.isRequired);
  return [{
    flag: {
      ...rest,
      ...(isEqual && flag.value !== undefined && { value: flag.value }),
      ...(isRepeated && { isRepeated }),
      ...(isRequired && { isRequired }),
      ...(nameOf(flag) === "--data-dir" && SHARED_DIR),
    },
    owned,
  }];
}

/** `--data-dir` of `--data-dir <dir>`. */
function nameOf({ flags }: Flag): string {
  return flags.split(" ")[0]!;
}

/** As the command line hands it on: `dataDir`. */
function keyOf(flag: Flag): string {
  return attributeName(nameOf(flag));
}
