/**
 * `montana version`.
 *
 * @module
 */
import process from "node:process";
import { runtimeName, writeStdout } from "../runtime.ts";
import { VERSION } from "../version.ts";
import { type CommandSpec, EXIT, JSON_FLAG } from "./command.ts";

/** Version, runtime, platform and wire formats. */
export const version: CommandSpec = {
  name: "version",
  summary: "Print version, runtime and wire formats",
  flags: [JSON_FLAG],
  examples: ["version", "version --json"],
  async run(flags) {
    const answer = {
      version: VERSION,
      runtime: runtimeName(),
      platform: `${process.platform}-${process.arch}`,
      wire: { batch: 0, blob: 0 },
    };
    const text = `montana ${answer.version} (${answer.runtime}, ${answer.platform}); ` +
      `batch version ${answer.wire.batch}, blob encoding ${answer.wire.blob}`;
    await writeStdout((flags.json ? JSON.stringify(answer) : text) + "\n");
    return EXIT.done;
  },
};
