/**
 * `montana ctl`: flush, pause, resume, drain a processor that runs, or see how it stands.
 *
 * @module
 */
import { access } from "node:fs/promises";
import { ConfigError } from "../errors.ts";
import { systemReason } from "../local/disk.ts";
import { writeStderr, writeStdout } from "../runtime.ts";
import { askControl } from "../service/control_client.ts";
import {
  type CommandGroup,
  type CommandSpec,
  EXIT,
  type Flag,
  type FlagValues,
  JSON_FLAG,
  textOf,
} from "./command.ts";
import { parseDuration } from "./options.ts";
import { controlPath, PROCESSOR_DIR_FLAG } from "./processor_flags.ts";
import { countOf, formatBytes, toJson } from "./text.ts";

const DEADLINE_FLAG: Flag = {
  flags: "--deadline <time>",
  help: "how long to wait for it (default: as long as it takes)",
};

/** The control of a processor. */
export const ctl: CommandGroup = {
  name: "ctl",
  summary: "Flush, pause, resume or drain a running processor, or tell its status",
  commands: [
    control("flush", "Hand over at once what waits; answers when it is handled", true),
    control("pause", "Hand nothing over until resumed; answers when the handler is idle", true),
    control("resume", "Go on after pause, drain, or a line that stands still", false),
    control("drain", "Take nothing more until resumed; answers when nothing is left", true),
    control("status", "Tell how it stands", false),
  ],
};

type Action = "flush" | "pause" | "resume" | "drain" | "status";

function control(name: Action, summary: string, hasDeadline: boolean): CommandSpec {
  return {
    name,
    summary,
    flags: [
      { ...PROCESSOR_DIR_FLAG, help: "of the processor" },
      ...(hasDeadline ? [DEADLINE_FLAG] : []),
      JSON_FLAG,
    ],
    examples: [`ctl ${name} --data-dir ./data${hasDeadline ? " --deadline 5s" : ""}`],
    run: (flags) => runControl(name, flags),
  };
}

async function runControl(name: Action, flags: FlagValues): Promise<number> {
  const deadline = textOf(flags, "deadline");
  const query = deadline === undefined
    ? ""
    : `?deadline_ms=${parseDuration("--deadline", deadline)}`;
  const dataDir = textOf(flags, "dataDir") ?? "";
  // Where a processor may still come up, asking again helps; in a directory that is not there, it does not.
  await access(dataDir).catch((cause) => {
    throw new ConfigError("Usage", `Cannot use --data-dir ${dataDir}: ${systemReason(cause)}`);
  });
  const { status, body } = await askControl(
    { at: controlPath(dataDir), who: "processor" },
    name === "status" ? "GET" : "POST",
    `/v1/${name}${query}`,
  );
  if (status !== 200) {
    const { code, kind, message } = body["error"] as Record<string, string>;
    writeStderr(`error: ${code}: ${message}`);
    return kind === "temporary" ? EXIT.tryLater : EXIT.failed;
  }
  await writeStdout(flags.json ? toJson(body) : inWords(body));
  return EXIT.done;
}

/** Numbers that matter at three in the morning, one a line. */
function inWords(stats: Readonly<Record<string, unknown>>): string {
  const number = (name: string) => Number(stats[name]);
  const current = stats["current"] as Record<string, unknown> | undefined;
  const lines = [
    ["state", stats["state"]],
    [
      "pending",
      `${countOf(number("pendingOperations"), "operation")}, ${
        formatBytes(number("pendingBytes"))
      }`,
    ],
    ["under way", current && `batch ${current["first"]}-${current["last"]}`],
    [
      "handled",
      `${countOf(number("handledOperations"), "operation")} in ${
        countOf(number("handledBatches"), "batch")
      }`,
    ],
    ["dead", number("deadBatches") > 0 && countOf(number("deadBatches"), "batch")],
    ["failed tries", number("failedAttempts")],
    ["refused", number("rejectedOperations")],
    ["waiting", number("waitingAdds")],
    ["batch size", countOf(number("batchOperations"), "operation")],
    ["checkpoint", stats["checkpoint"]],
    ["stopped by", stats["stoppedBy"]],
    ["last error", stats["lastError"]],
  ];
  const told = lines.filter(([, value]) => value !== undefined && value !== false);
  return told.map(([name, value]) => `${`${name}`.padEnd(14)}${value}\n`).join("");
}
