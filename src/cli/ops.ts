/**
 * `montana ops dump`: files for those who run it.
 *
 * @module
 */
import { writeStdout } from "../runtime.ts";
import { type CommandGroup, EXIT, type Flag, type FlagValues, listOf } from "./command.ts";
import { yaml } from "./deps.ts";
import { parseChoice, parseListen } from "./options.ts";

const TARGET_FLAG: Flag = {
  flags: "--target <where>",
  help: "of prometheus: where --metrics-listen is, as HOST:PORT; several times for several",
  isRepeated: true,
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
};

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
      "Print a configuration of Prometheus, its alerts, a dashboard, or a page of all metrics",
    argument: { name: "<kind>", help: Object.keys(KINDS).join(", ") },
    flags: [TARGET_FLAG],
    examples: [
      "ops dump prometheus --target 127.0.0.1:7300 > prometheus.yml",
      "ops dump alerts > montana-alerts.yml",
      "ops dump grafana > montana-dashboard.json",
      "ops dump metrics",
    ],
    async run(flags, [kind = ""] = []) {
      const known = parseChoice("<kind>", kind, Object.keys(KINDS));
      await writeStdout(await KINDS[known]!(flags));
      return EXIT.done;
    },
  }],
};
