/**
 * `montana explain batch N`: what a batcher did with a batch, and why.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { ConfigError, SourceError } from "../errors.ts";
import { readError } from "../local/disk.ts";
import { writeStdout } from "../runtime.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { type HistoryLine, readHistory } from "./history.ts";
import { toJson } from "./text.ts";

/** The explanation. */
export const explain: CommandSpec = {
  name: "explain",
  summary:
    "Tell what became of a batch: why it was cut, every attempt, fees, answers, where it landed",
  argument: { name: "<what...>", help: "batch N" },
  flags: [
    { flags: "--data-dir <dir>", help: "that of the batcher", isRequired: true },
    JSON_FLAG,
  ],
  examples: [
    "explain batch 12 --data-dir ./batcher",
    "explain batch 0 --data-dir ./batcher --json",
  ],
  run: runExplain,
};

async function runExplain(flags: FlagValues, values: readonly string[] = []): Promise<number> {
  const [what, number] = values;
  if (what !== "batch" || values.length !== 2 || !/^\d{1,20}$/.test(number!)) {
    throw new ConfigError("Usage", `Cannot explain "${values.join(" ")}": need batch N`);
  }
  const dataDir = textOf(flags, "dataDir")!;
  await stat(dataDir).catch((cause) => {
    throw readError("history in", dataDir, cause);
  });
  const batch = BigInt(number!);
  const lines = await readHistory(dataDir, batch);
  if (lines.length === 0) {
    throw new SourceError(
      "NotFound",
      `Cannot explain batch ${batch}: ${dataDir} holds nothing about it. It is not sealed yet, or was ` +
        `posted with another --data-dir`,
      { details: { batch } },
    );
  }
  await writeStdout(flags.json ? toJson({ batch, events: lines }) : textOfLines(lines));
  return EXIT.done;
}

function textOfLines(lines: readonly HistoryLine[]): string {
  return lines.map(({ ts, text, ...fields }) => {
    const rest = Object.entries(fields)
      .filter(([name]) => !["level", "event", "batch"].includes(name))
      .map(([name, value]) => `    ${name}: ${value}\n`);
    return `${ts}  ${text}\n${rest.join("")}`;
  }).join("");
}
