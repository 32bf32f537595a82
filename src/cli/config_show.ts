/**
 * `montana config show`: what roles are told, and by whom. What may be a secret is not shown.
 *
 * @module
 */
import process from "node:process";
import { ConfigError } from "../errors.ts";
import { writeStdout } from "../runtime.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { FILE_ARGUMENT, ROLES_FLAG, type ToldRole, toldRoles } from "./config_roles.ts";
import { settingsOf } from "./config_settings.ts";
import type { Origin } from "./configuration.ts";
import { superblockSettingsGiven } from "./superblock_config.ts";
import { toJson, withoutKeys } from "./text.ts";

/** A value, and where it came from. */
interface Shown {
  /** `batcher.max_blobs`. */
  readonly key: string;
  readonly value: string;
  readonly origin: Pick<Origin, "kind" | "at">;
}

/** All that is set, by flag, environment, file and default. */
export const show: CommandSpec = {
  name: "show",
  summary: "Show what a configuration comes to, without what may be a secret",
  argument: FILE_ARGUMENT,
  flags: [
    ROLES_FLAG,
    { flags: "--origin", help: "say of each value where it stands" },
    JSON_FLAG,
  ],
  examples: ["config show montana.yaml --origin", "config show montana.yaml --role batcher --json"],
  async run(flags, values) {
    const { roles } = await toldRoles(flags, values ?? [], ({ at, text }) => {
      throw new ConfigError("Invalid", `${at}: ${text}`);
    });
    const shown: Shown[] = [];
    for (const each of roles) shown.push(...ofRole(each), ...await ofBatches(each));
    await writeStdout(flags.json ? toJson(shown) : linesOf(shown, flags["origin"] === true));
    return EXIT.done;
  },
};

function ofRole({ role, configured: { values, origins } }: ToldRole): readonly Shown[] {
  return settingsOf(role).flatMap(({ key, name, unit }) => {
    const origin = origins.get(name);
    if (!origin) return [];
    const value = shownText(values[name], unit);
    return [{ key: `${role.name}.${key}`, value, origin: { kind: origin.kind, at: origin.at } }];
  });
}

async function ofBatches({ role, configured: { values } }: ToldRole): Promise<readonly Shown[]> {
  if (role.name !== "superblock") return [];
  const path = textOf(values, "config");
  const given = await superblockSettingsGiven({
    environment: process.env,
    ...(path !== undefined && { path }),
    ...(textOf(values, "preset") === "test" && { preset: "test" }),
  });
  return given.map(({ key, value, origin, kind }) => ({
    key: `batch.${key}`,
    value: shownText(`${value}`, ""),
    origin: { kind, at: origin },
  }));
}

/** A URL by its host only: the rest may hold a key. A hash is none, though it is as long. */
function shownText(value: FlagValues[string], unit: string): string {
  if (typeof value === "boolean") return `${value}`;
  const text = typeof value === "string" ? value : (value ?? []).join(" ");
  if (value === undefined) return "false";
  const withoutUrls = text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^\s'"]+)/gi, (_, scheme, rest) => {
    const [, host = "", tail = ""] = /^(?:[^/?#]*@)?([^/?#]*)(.*)$/s.exec(rest) ?? [];
    const isPlain = `${host}${tail}` === rest && /^\/?$/.test(tail);
    return isPlain ? `${scheme}${rest}` : `${scheme}${host}/<redacted>`;
  });
  return unit === "hash" ? withoutUrls : withoutKeys(withoutUrls);
}

function linesOf(shown: readonly Shown[], hasOrigin: boolean): string {
  const width = (text: (each: Shown) => string) =>
    Math.max(0, ...shown.map((each) => text(each).length));
  const keys = width(({ key }) => key);
  const values = Math.min(60, width(({ value }) => value));
  return shown.map(({ key, value, origin }) => {
    const line = `${key.padEnd(keys)}  ${value}`;
    return hasOrigin ? `${line.padEnd(keys + 2 + values)}  ${origin.at}\n` : `${line}\n`;
  }).join("");
}
