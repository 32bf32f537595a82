/**
 * `montana version`.
 *
 * @module
 */
import process from "node:process";
import { FORMATS } from "../compress/formats.ts";
import { BATCH_VERSION } from "../config.ts";
import { findKzg } from "../l1/kzg.ts";
import { runtimeName, writeStdout } from "../runtime.ts";
import { COMMIT, LIBRARIES, VERSION } from "../version.ts";
import { ENCODING_VERSION } from "../wire/blob.ts";
import { type CommandSpec, EXIT, JSON_FLAG } from "./command.ts";

/** Version, commit, runtime, platform, libraries, wire formats, and the KZG engine that is found. */
export const version: CommandSpec = {
  name: "version",
  summary: "Print version, runtime and wire formats",
  flags: [JSON_FLAG],
  examples: ["version", "version --json"],
  async run(flags) {
    const answer = {
      version: VERSION,
      commit: COMMIT,
      runtime: runtimeName(),
      platform: `${process.platform}-${process.arch}`,
      libraries: LIBRARIES,
      wire: { batch: BATCH_VERSION, blob: ENCODING_VERSION },
      kzg: await findKzg(),
      formats: Object.fromEntries(FORMATS.map((name, byte) => [name, byte])),
    };
    const text = `montana ${answer.version} (${answer.runtime}, ${answer.platform}); ` +
      `batch version ${answer.wire.batch}, blob encoding ${answer.wire.blob}; ` +
      `KZG ${answer.kzg}`;
    await writeStdout((flags.json ? JSON.stringify(answer) : text) + "\n");
    return EXIT.done;
  },
};
