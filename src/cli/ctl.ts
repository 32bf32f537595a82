/**
 * `montana ctl`: flush, pause, resume, drain a processor that runs, or see how it stands.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import { writeStderr, writeStdout } from "../runtime.ts";
import { askSocket } from "../service/control_client.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { parseChoice, parseDuration } from "./options.ts";
import { controlPath, PROCESSOR_DIR_FLAG } from "./processor_flags.ts";
import { countOf, formatBytes, toJson } from "./text.ts";

const ACTIONS = ["flush", "pause", "resume", "drain", "status"] as const;

/** The control of a processor. */
export const ctl: CommandSpec = {
  name: "ctl",
  summary: "Flush, pause, resume or drain a running processor, or tell its status",
  argument: { name: "<action>", help: ACTIONS.join(", ") },
  flags: [
    { ...PROCESSOR_DIR_FLAG, help: "of the processor" },
    { flags: "--deadline <time>", help: "for flush, drain and pause; without it, for ever" },
    JSON_FLAG,
  ],
  examples: [
    "ctl status --data-dir ./data",
    "ctl flush --data-dir ./data --deadline 5s",
    "ctl drain --data-dir ./data",
  ],
  run: runCtl,
};

async function runCtl(flags: FlagValues, values: readonly string[] = []): Promise<number> {
  const action = parseChoice("the action", values[0] ?? "", ACTIONS);
  const socket = controlPath(textOf(flags, "dataDir") ?? "");
  const deadline = textOf(flags, "deadline");
  if (deadline !== undefined && (action === "status" || action === "resume")) {
    throw new ConfigError("Usage", `Cannot use --deadline with ${action}: it is answered at once`);
  }
  const query = deadline === undefined
    ? ""
    : `?deadline_ms=${parseDuration("--deadline", deadline)}`;
  const { status, body } = await askSocket(
    socket,
    action === "status" ? "GET" : "POST",
    `/v1/${action}${query}`,
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
