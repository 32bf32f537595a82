/**
 * `montana ops dump`: files for those who run it.
 *
 * @module
 */
import { writeStdout } from "../runtime.ts";
import { VERSION } from "../version.ts";
import { type CommandGroup, EXIT, type Flag, type FlagValues, listOf, textOf } from "./command.ts";
import { yaml } from "./deps.ts";
import { UNIT_ROLES } from "./ops/roles.ts";
import { parseChoice, parseListen, usage } from "./options.ts";

const TARGET_FLAG: Flag = {
  flags: "--target <where>",
  help: "of prometheus: where --metrics-listen is, as HOST:PORT; several times for several",
  isRepeated: true,
};

const ROLE_FLAG: Flag = {
  flags: "--role <role>",
  help: `of systemd: what the unit runs: ${Object.keys(UNIT_ROLES).join(", ")} (batcher)`,
  choices: Object.keys(UNIT_ROLES),
};

const BINARY_FLAG: Flag = {
  flags: "--binary <path>",
  help: "of systemd: where the executable is (/usr/local/bin/montana)",
};

const DEFAULT_TARGET = "127.0.0.1:7300";

/** Each file by its name. */
const KINDS: Readonly<Record<string, (flags: FlagValues) => Promise<string>>> = {
  async prometheus(flags) {
    const { scrapeConfig } = await import("./ops/scrape.ts");
    const given = listOf(flags, "target");
    const targets = given.map((text) => {
      const { host, port } = parseListen("--target", text);
      return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    });
    return await inYaml(scrapeConfig(targets.length > 0 ? targets : [DEFAULT_TARGET]));
  },
  async alerts() {
    return await inYaml((await import("./ops/alerts.ts")).alertRules());
  },
  async grafana() {
    const { dashboard } = await import("./ops/dashboard.ts");
    return JSON.stringify(dashboard(), undefined, 2) + "\n";
  },
  async metrics() {
    return (await import("./ops/catalogue.ts")).metricsPage();
  },
  async systemd(flags) {
    const roles = Object.keys(UNIT_ROLES);
    const role = parseChoice("--role", textOf(flags, "role") ?? "batcher", roles);
    const binary = textOf(flags, "binary") ?? "/usr/local/bin/montana";
    if (!/^\/[^"'\\\p{Cc}]*$/u.test(binary)) {
      throw usage(
        `Cannot use --binary ${binary}: need a whole path, without quotes, as systemd does`,
      );
    }
    return (await import("./ops/systemd.ts")).systemdUnit(role, binary);
  },
  async container() {
    return (await import("./ops/container.ts")).containerfile(VERSION);
  },
};

/** Those that take any. */
const FLAGS: Readonly<Record<string, readonly Flag[]>> = {
  prometheus: [TARGET_FLAG],
  systemd: [ROLE_FLAG, BINARY_FLAG],
};

/** One that is given in vain would be taken for one that counts. */
function refuseOthers(kind: string, flags: FlagValues): void {
  for (const [other, own] of Object.entries(FLAGS)) {
    for (const { flags: text } of other === kind ? [] : own) {
      const [name = ""] = text.split(" ");
      if (flags[name.slice(2)] === undefined) continue;
      throw usage(`Cannot use ${name} with ${kind}: it is a flag of ops dump ${other}`);
    }
  }
}

async function inYaml(value: object): Promise<string> {
  return (await yaml()).stringify(value, { lineWidth: 100 });
}

/** For those who run it. */
export const ops: CommandGroup = {
  name: "ops",
  summary: "Print files for those who run it",
  commands: [{
    name: "dump",
    summary:
      "Print a unit of systemd, what an image is made by, a configuration of Prometheus, its alerts, a dashboard, or a page of all metrics",
    argument: { name: "<kind>", help: Object.keys(KINDS).join(", "), choices: Object.keys(KINDS) },
    flags: Object.values(FLAGS).flat(),
    examples: [
      "ops dump prometheus --target 127.0.0.1:7300 > prometheus.yml",
      "ops dump alerts > montana-alerts.yml",
      "ops dump grafana > montana-dashboard.json",
      "ops dump metrics",
      "ops dump systemd --role batcher > /etc/systemd/system/montana-batcher.service",
      "ops dump container > Containerfile",
    ],
    async run(flags, [kind = ""] = []) {
      const known = parseChoice("<kind>", kind, Object.keys(KINDS));
      refuseOthers(known, flags);
      await writeStdout(await KINDS[known]!(flags));
      return EXIT.done;
    },
  }],
};
