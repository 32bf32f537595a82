/**
 * `montana inspect`: explains a file, a batch transaction on L1, or a batch by its number.
 *
 * With `--json` each is an object on a line of its own: an {@link Inspection} for a file, a
 * {@link PostedInspection} for what is on L1.
 *
 * @module
 */
import { writeStdout } from "../runtime.ts";
import { fromHex } from "../wire/hex.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG, listOf } from "./command.ts";
import { findBatch, findTransaction, postedText, postedToJson } from "./inspect_l1.ts";
import { inspectBytes, inspectionText, inspectionToJson } from "./inspection.ts";
import { readInput } from "./io.ts";
import { BATCHERS_FLAG, ETHEREUM_FLAGS, INBOX_FLAG, L1_FLAG } from "./l1_flags.ts";
import { toJson } from "./text.ts";
import { usage } from "./options.ts";

/** The explanation. */
export const inspect: CommandSpec = {
  name: "inspect",
  summary:
    "Explain a file of blobs or a batch, a batch transaction on L1, or a batch by its number",
  argument: {
    name: "<what...>",
    help: "files (- is standard input), or with --l1 the hash of a transaction, or batch:N",
  },
  flags: [
    { ...L1_FLAG, isRequired: false },
    INBOX_FLAG,
    BATCHERS_FLAG,
    ...ETHEREUM_FLAGS,
    JSON_FLAG,
  ],
  examples: [
    "inspect blobs.bin",
    "inspect batch.bin --json",
    "inspect batch:12 --l1 ./l1",
    "inspect 0x017dc9f6cd7717ab6d2f93d6062d237e3aa4008cea612d2c92de20370dbfc3f1 --l1 http://127.0.0.1:8545 --beacon http://127.0.0.1:5052",
  ],
  run: runInspect,
};

/** How what was found is told. */
interface Told {
  readonly json: object;
  readonly text: string;
}

async function runInspect(flags: FlagValues, values: readonly string[] = []): Promise<number> {
  for (const value of values) {
    const { json, text } = await look(value, flags);
    const title = values.length > 1 ? `== ${value}\n` : "";
    await writeStdout(flags.json ? toJson(json) : title + text);
  }
  return EXIT.done;
}

async function look(value: string, flags: FlagValues): Promise<Told> {
  const isHash = /^0x[0-9a-f]{64}$/i.test(value);
  const [, batchNumber] = /^batch:(\d{1,20})$/.exec(value) ?? [];
  const hasL1 = listOf(flags, "l1").length > 0;
  if (!isHash && batchNumber === undefined) {
    if (hasL1) {
      const need = "need a transaction's hash, or batch:N; a file is looked into without --l1";
      throw usage(`Cannot find "${value}" on L1: ${need}`);
    }
    const inspection = await inspectBytes(await readInput(value));
    return { json: inspectionToJson(inspection), text: inspectionText(inspection) };
  }
  if (!hasL1) {
    const what = isHash ? "a transaction" : value;
    throw usage(`Cannot look ${what} up without --l1: name the L1 that it is on`);
  }
  const found = isHash
    ? await findTransaction(fromHex(value, "hash", 32), flags)
    : await findBatch(BigInt(batchNumber!), flags);
  return { json: postedToJson(found), text: postedText(found) };
}
