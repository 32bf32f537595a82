/**
 * What makes a command a role: it runs until it is told to end, alone or beside others in one process.
 *
 * @module
 */
import { onShutdownSignal, speakerName, writeStderr } from "../runtime.ts";
import type { SuperblockConfig } from "../superblock/config.ts";
import type { CommandSpec, Flag, FlagValues } from "./command.ts";
import { CONFIG_FLAG } from "./config_settings.ts";
import { configuredRole, withOrigins } from "./configuration.ts";
import { Monitor, type RoleMonitor } from "./monitor.ts";
import type { OpenedSuperblock } from "./open_superblock.ts";
import { type RoleWatch, ServiceWatch } from "./service_watch.ts";

/** What a role is told by whoever runs it. */
export interface RoleContext {
  /**
   * When it is to end.
   *
   * @param tell the line that is then written; `why` is a signal's name, or what became of another role
   */
  onStop(tell: (why: string) => string): AbortSignal;
  /** That others may begin which build on it. */
  onOpened(): void;
  /** The other roles of the process by name, and what each was given. */
  readonly beside: Readonly<Record<string, FlagValues>>;
  readonly ties: RoleTies;
  /** Takes what metrics and health are made of. */
  readonly monitor: RoleMonitor;
  /** What systemd is to know of it. */
  readonly watch: RoleWatch;
}

/** What roles of one process have from each other. */
export interface RoleTies {
  /** Collects the blocks that a batcher takes. */
  superblock?: { readonly opened: OpenedSuperblock; readonly config: SuperblockConfig };
}

/** A command that runs as a role. */
export interface RoleSpec extends CommandSpec {
  /** By the name of another role: flags that are not its own where that one runs too. */
  readonly without?: Readonly<Record<string, readonly Flag[]>>;
  /** It never ends by itself: once all others have ended, it is told to. */
  readonly isServer?: boolean;
  /** Others begin once it says that it has opened. */
  readonly isAwaited?: boolean;
  /**
   * Refuses flags that cannot be, by what they alone say: no file is looked at, and nobody is asked.
   *
   * @param beside what the other roles of the process were given, by name
   * @throws {ConfigError}
   */
  readonly read: (flags: FlagValues, beside: RoleContext["beside"]) => unknown;
  /**
   * Refuses what a look at files tells beyond that, before any role makes anything.
   *
   * @param beside what the other roles of the process were given, by name
   * @throws {ConfigError} | {SourceError}
   */
  readonly check?: (flags: FlagValues, beside: RoleContext["beside"]) => Promise<unknown>;
  /** @returns the exit code */
  readonly runRole: (flags: FlagValues, context: RoleContext) => Promise<number>;
}

/** The command that runs a role alone, as flags, environment and file say. */
export function asRole(spec: Omit<RoleSpec, "run" | "isConfigured">): RoleSpec {
  const role = { ...spec, flags: [...spec.flags, CONFIG_FLAG] };
  return {
    ...role,
    isConfigured: true,
    run: async (given) => {
      const configured = await configuredRole(role, given);
      return await withOrigins(role, configured, () => runAlone(spec, configured.values));
    },
  };
}

/** A role has its process for itself. */
async function runAlone(
  { name, runRole }: Pick<RoleSpec, "name" | "runRole">,
  flags: FlagValues,
): Promise<number> {
  const monitor = await Monitor.open([name], flags);
  const service = await ServiceWatch.open([name]);
  const role = monitor.of(name);
  try {
    return await runRole(flags, {
      onStop: (tell) =>
        role.endsBy(onShutdownSignal((signal) => {
          writeStderr(tell(signal));
          service.stopping(tell(signal));
        })),
      onOpened() {},
      beside: {},
      ties: {},
      monitor: role,
      watch: service.of(name),
    });
  } finally {
    service.close();
    await monitor.close();
  }
}

/** Who answers, for an answer in JSON beside those of other roles. */
export function answeringRole(): { readonly role?: string } {
  const role = speakerName();
  return role === undefined ? {} : { role };
}
