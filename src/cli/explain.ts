/**
 * `montana explain batch N`: what a batcher did with a batch, and why: a line an event, with `--all` each
 * field of it below.
 *
 * With `--json` it is one object, `{ "batch": "12", "events": […] }`, a {@link HistoryLine} each.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { ConfigError, SourceError } from "../errors.ts";
import { readError } from "../local/disk.ts";
import type { CutReason } from "../ports.ts";
import { writeStdout } from "../runtime.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { type HistoryLine, readHistory } from "./history.ts";
import { countOf, factLines, formatBytes, formatWei, toJson } from "./text.ts";

/** The explanation. */
export const explain: CommandSpec = {
  name: "explain",
  summary:
    "Tell what became of a batch: why it was cut, every attempt, fees, answers, where it landed",
  argument: { name: "<what...>", help: "batch N" },
  flags: [
    { flags: "--data-dir <dir>", help: "that of the batcher", isRequired: true },
    { flags: "--all", help: "every field of every event" },
    JSON_FLAG,
  ],
  examples: [
    "explain batch 12 --data-dir ./batcher",
    "explain batch 12 --data-dir ./batcher --all",
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
  if (flags.json) await writeStdout(toJson({ batch, events: lines }));
  else await writeStdout(flags.all ? textOfLines(lines) : summary(lines) + "\n" + timeline(lines));
  return EXIT.done;
}

const WHY_CUT: Readonly<Record<CutReason, string>> = {
  full: "its blobs are full",
  interval: "its blocks had waited long enough",
  blocks: "as many blocks as a batch may have",
  size: "as many bytes as a batch may have",
  timestamp: "the next block is too late to be in the same",
  window: "its L1 origin was getting old",
  shutdown: "the batcher ended",
  manual: "it was asked for",
};

/** What came of it, as far as the history goes. */
function summary(lines: readonly HistoryLine[]): string {
  const last = (event: string) => lines.findLast((line) => line.event === event);
  const sealed = last("batch.sealed");
  const posted = last("batch.submitted");
  const included = last("tx.final") ?? last("tx.included");
  const attempts = lines.filter(({ event }) => event === "tx.signed").length;
  const audited = last("batch.audited");
  const facts: [string, string][] = [["batch", lines[0]!.batch]];
  if (sealed) {
    const { blocks, transactions, raw_bytes, compressed_bytes, reason } = sealed;
    facts.push([
      "holds",
      `${countOf(Number(blocks), "block")}, ` +
      `${countOf(Number(transactions), "transaction")}, ${formatBytes(Number(raw_bytes))} → ` +
      `${formatBytes(Number(compressed_bytes))}; ${WHY_CUT[reason as CutReason] ?? reason}`,
    ]);
  }
  if (posted) facts.push(["posted", `in L1 block ${posted["l1_block"]} as ${posted["tx_hash"]}`]);
  else facts.push(["posted", "not confirmed yet, as far as is written here"]);
  if (attempts > 0) facts.push(["signed", attempts === 1 ? "once" : `${attempts} times`]);
  if (included) facts.push(["paid", formatWei(paidWei(included))]);
  if (sealed && posted) {
    const seconds = (Date.parse(posted.ts) - Date.parse(sealed.ts)) / 1000;
    facts.push(["took", `${seconds.toFixed(1)} s from sealed to confirmed`]);
  }
  if (audited) {
    facts.push(["read back", `${audited["same"]}` === "true" ? "as posted" : "NOT as posted"]);
  }
  return factLines(facts);
}

function paidWei(line: HistoryLine): bigint {
  const wei = (gas: string, price: string) => BigInt(`${line[gas]}`) * BigInt(`${line[price]}`);
  return wei("gas_used", "gas_price") + wei("blob_gas_used", "blob_gas_price");
}

/** An event a line: when, how long after the first, what; and of which transaction. */
function timeline(lines: readonly HistoryLine[]): string {
  const first = Date.parse(lines[0]!.ts);
  return lines.map(({ ts, text, tx }) => {
    const seconds = ((Date.parse(ts) - first) / 1000).toFixed(1);
    const short = typeof tx === "string" ? `  ${tx.slice(0, 10)}…` : "";
    return `${ts.slice(0, 19).replace("T", " ")}  ${
      `+${seconds}`.padStart(8)
    } s  ${text}${short}\n`;
  }).join("");
}

function textOfLines(lines: readonly HistoryLine[]): string {
  return lines.map(({ ts, text, ...fields }) => {
    const rest = Object.entries(fields)
      .filter(([name]) => !["level", "event", "batch"].includes(name))
      .map(([name, value]) => `    ${name}: ${value}\n`);
    return `${ts}  ${text}\n${rest.join("")}`;
  }).join("");
}
