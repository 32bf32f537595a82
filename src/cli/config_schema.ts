/**
 * `montana config schema` and `montana config reference`: what a file may say, for editors and for people.
 *
 * @module
 */
import { writeStdout } from "../runtime.ts";
import { environmentName, presetValues } from "../superblock/config.ts";
import { type Setting as BatchSetting, SETTINGS } from "../superblock/settings.ts";
import { type CommandSpec, EXIT } from "./command.ts";
import { loadRoles } from "./config_roles.ts";
import { type Configurable, seedNamesOf, type Setting, settingsOf } from "./config_settings.ts";

/** A JSON Schema, or a part of one. */
type Schema = Readonly<Record<string, unknown>>;

/** How a text with that unit looks: the finer points are for `montana config check`. */
const PATTERNS: Readonly<Record<string, string>> = {
  time: String.raw`^\d+(\.\d+)?(ms|s|m|h)$`,
  size: String.raw`^\d+(\.\d+)?(B|KB|MB|KiB|MiB)?$`,
  wei: String.raw`^\d+(\.\d+)?(wei|gwei|ether|eth)$`,
};

/** For editors. */
export const schema: CommandSpec = {
  name: "schema",
  summary: "Print the JSON Schema of a configuration, for editors",
  flags: [],
  examples: ["config schema > montana.schema.json"],
  async run() {
    const roles = await loadRoles();
    const blocks = roles.map((role) => [role.name, blockSchema(role)]);
    const whole = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: "montana",
      type: "object",
      additionalProperties: false,
      properties: { ...Object.fromEntries(blocks), batch: batchSchema() },
    };
    await writeStdout(JSON.stringify(whole, null, 2) + "\n");
    return EXIT.done;
  },
};

function blockSchema(role: Configurable & { readonly summary: string }): Schema {
  const settings = settingsOf(role);
  const seeds = seedNamesOf(role).map(([seed, ours]) => [
    seed,
    { type: ["integer", "string"], description: `A seed's name of ${ours}.`, deprecated: true },
  ]);
  return {
    description: role.summary,
    type: ["object", "null"],
    additionalProperties: false,
    properties: {
      ...Object.fromEntries(seeds),
      ...Object.fromEntries(settings.map((setting) => [setting.key, settingSchema(setting)])),
    },
  };
}

function settingSchema({ flag: { help, value, choices }, kind, unit }: Setting): Schema {
  const about = { description: help, ...(value !== undefined && { default: value }) };
  if (kind === "switch") return { ...about, type: "boolean" };
  if (kind === "optional") return { ...about, type: ["boolean", "string"] };
  // What looks like a number is none to a schema, `11` among the words of a level.
  if (choices && kind === "text") return { ...about, enum: choices.flatMap(asWritten) };
  const pattern = PATTERNS[unit];
  const hasUnit = unit === "time" || unit === "wei";
  const type = hasUnit ? "string" : ["string", "integer"];
  const text = { type, ...(pattern !== undefined && { pattern }) };
  if (kind === "text") return { ...about, ...text };
  return { ...about, anyOf: [text, { type: "array", items: text, minItems: 1 }] };
}

/** A word as it stands in a file without quotes. */
function asWritten(word: string): readonly unknown[] {
  if (/^\d+$/.test(word)) return [word, Number(word)];
  return [word];
}

/** The keys of the seed are one or two deep. */
function batchSchema(): Schema {
  const sections = new Map<string, [key: string, Schema][]>();
  const top: [string, Schema][] = [];
  for (const [key, setting] of Object.entries(SETTINGS)) {
    const [section = "", name] = key.split(".");
    const entry = batchSettingSchema(setting);
    if (name === undefined) top.push([section, entry]);
    else sections.set(section, [...sections.get(section) ?? [], [name, entry]]);
  }
  const below = [...sections].map(([name, entries]) => [name, objectOf(entries)] as const);
  return { description: "Batches by the clock of Ethereum.", ...objectOf([...top, ...below]) };
}

function objectOf(entries: readonly (readonly [string, Schema])[]): Schema {
  return { type: "object", additionalProperties: false, properties: Object.fromEntries(entries) };
}

function batchSettingSchema(setting: BatchSetting): Schema {
  switch (setting.kind) {
    case "flag":
      return { type: "boolean" };
    case "url":
      return { type: "string", format: "uri" };
    case "choice":
      return { enum: setting.choices };
    case "count":
      return { type: "integer", minimum: Number(setting.least), maximum: Number(setting.most) };
    case "duration":
      return { type: "string", description: "a time such as 12s, 90m or 1h30m" };
  }
}

/** For people. */
export const reference: CommandSpec = {
  name: "reference",
  summary: "Print all keys and variables of a configuration, as Markdown",
  flags: [],
  examples: ["config reference > configuration.md"],
  async run() {
    const pages = (await loadRoles()).map(roleReference);
    await writeStdout([HEAD, ...pages, batchReference()].join("\n"));
    return EXIT.done;
  },
};

const HEAD = `# Configuration

A YAML file with a block for each role, named by \`--config\` or \`MONTANA_CONFIG\`. A flag counts for
more than a variable, that for more than the file, that for more than the default.
`;

function roleReference(role: Configurable & { readonly summary: string }): string {
  const rows = settingsOf(role).map(({ key, variable, kind, unit, flag }) => {
    const value = kind === "switch"
      ? "true or false"
      : kind === "list"
      ? `${unit}, or a list`
      : unit;
    const about = flag.isRequired ? `${flag.help}; required` : flag.help;
    return [`\`${key}\``, `\`${variable}\``, value, code(flag.value), about];
  });
  const seeds = seedNamesOf(role).map(([seed, ours]) => `\`${seed}\` (\`${ours}\`)`);
  const others = seeds.length === 0 ? "" : `\nNames of the seeds: ${seeds.join(", ")}.\n`;
  const head = ["Key", "Variable", "Value", "Default", "Meaning"];
  return `## \`${role.name}:\`\n\n${role.summary}.\n\n${tableOf(head, rows)}${others}`;
}

function batchReference(): string {
  const defaults: Readonly<Record<string, unknown>> = presetValues("production");
  const rows = Object.entries(SETTINGS).map(([key, { kind }]) => {
    const value = defaults[key];
    const text = value === undefined ? undefined : kind === "duration" ? `${value}ms` : `${value}`;
    return [`\`${key}\``, `\`${environmentName(key)}\``, kind, code(text)];
  });
  return `## \`batch:\`\n\nBatches by the clock of Ethereum, for \`montana superblock\`.\n\n${
    tableOf(["Key", "Variable", "Value", "Default"], rows)
  }`;
}

function code(text: string | undefined): string {
  return text === undefined ? "" : `\`${text}\``;
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return [head, head.map(() => "---"), ...rows].map(line).join("");
}
