/**
 * `montana proofs`: the proof jobs of a coordinator that runs, and what a person does about them.
 *
 * @module
 */
import { access } from "node:fs/promises";
import { SourceError } from "../errors.ts";
import { systemReason } from "../local/disk.ts";
import { writeStderr, writeStdout } from "../runtime.ts";
import { askControl, type ControlPlace } from "../service/control_client.ts";
import {
  type CommandGroup,
  type CommandSpec,
  EXIT,
  type Flag,
  type FlagValues,
  JSON_FLAG,
  textOf,
} from "./command.ts";
import { nodeUrl, usage } from "./options.ts";
import { controlPath } from "./processor_flags.ts";
import { SUPERBLOCK_DIR_FLAG } from "./superblock_flags.ts";
import { countOf, factLines, formatTable, toJson } from "./text.ts";

const WHERE_FLAGS: readonly Flag[] = [
  {
    flags: "--data-dir <dir>",
    help: `of the coordinator that runs here (default: ${SUPERBLOCK_DIR_FLAG.value})`,
  },
  { flags: "--url <url>", help: "in place of it: where its --listen is, or env:NAME" },
];

/** It answers out of memory, and writes one record at the most. */
const TIMEOUT_MS = 30_000;

/** The proof jobs. */
export const proofs: CommandGroup = {
  name: "proofs",
  summary: "List, show, retry or cancel the proof jobs of a running coordinator; end a batch",
  commands: [
    {
      name: "ls",
      summary: "List the jobs, the oldest batch first",
      flags: [...WHERE_FLAGS, JSON_FLAG],
      examples: ["proofs ls --data-dir ./data", "proofs ls --url http://127.0.0.1:7300 --json"],
      run: list,
    },
    about("show", "Tell all of a job", show),
    about("retry", "Take up a job that failed or was cancelled, where it stood", retry),
    about("cancel", "End a job; its batch, and those behind it, wait until it is retried", cancel),
    {
      name: "finalize",
      summary:
        "Have a batch proved without the blocks that it waits for; they are in no superblock then",
      argument: { name: "<batch>", help: "its number; its window must be over" },
      flags: [...WHERE_FLAGS, JSON_FLAG],
      examples: ["proofs finalize 40871 --data-dir ./data"],
      run: finalize,
    },
  ],
};

/** A request or a job, as the service tells it: see `service/batch_json.ts`. */
interface RequestFacts {
  readonly stage: string;
  readonly state: string;
  readonly start_block?: number | string;
  readonly end_block?: number | string;
  readonly request_id?: string;
  readonly failures?: number;
  readonly is_execution_check?: boolean;
}

interface JobFacts {
  readonly id: string;
  readonly batch_number: number | string;
  readonly chain_id: number | string;
  readonly stage: string;
  readonly state: string;
  readonly retries: number;
  readonly since: string;
  readonly worker?: string;
  readonly next_try_at?: string;
  readonly last_error?: string;
  readonly blocks: number;
  readonly requests: readonly RequestFacts[];
  readonly superblock_hash?: string;
  readonly created_at: string;
}

interface JobsFacts {
  readonly active_jobs: number;
  readonly max_concurrent_jobs: number;
  readonly jobs: readonly JobFacts[];
}

function about(
  name: string,
  summary: string,
  run: (place: ControlPlace, id: string, isJson: boolean) => Promise<number>,
): CommandSpec {
  return {
    name,
    summary,
    argument: { name: "<job>", help: "CHAIN-BATCH, as `montana proofs ls` has it" },
    flags: [...WHERE_FLAGS, JSON_FLAG],
    examples: [`proofs ${name} 1001-40871 --data-dir ./data`],
    run: async (flags, [id = ""] = []) => {
      if (!/^\d{1,20}-\d{1,20}$/.test(id)) {
        throw usage(`Cannot find job "${id}": a job is named CHAIN-BATCH, such as 1001-40871`);
      }
      return await run(await placeOf(flags), id, flags["json"] === true);
    },
  };
}

async function list(flags: FlagValues): Promise<number> {
  const body = await ask(await placeOf(flags), "GET", "/v1/batch/jobs");
  if (typeof body === "number") return body;
  await writeStdout(flags["json"] ? toJson(body) : jobsInWords(body as unknown as JobsFacts));
  return EXIT.done;
}

async function show(place: ControlPlace, id: string, isJson: boolean): Promise<number> {
  const body = await ask(place, "GET", `/v1/batch/jobs/${id}`);
  if (typeof body === "number") return body;
  await writeStdout(isJson ? toJson(body) : jobInWords(body as unknown as JobFacts));
  return EXIT.done;
}

function retry(place: ControlPlace, id: string, isJson: boolean): Promise<number> {
  return change(place, id, isJson, "retry", ({ stage }) => `is taken up again at ${stage}`);
}

function cancel(place: ControlPlace, id: string, isJson: boolean): Promise<number> {
  return change(place, id, isJson, "cancel", ({ stage }) => `is cancelled at ${stage}`);
}

async function change(
  place: ControlPlace,
  id: string,
  isJson: boolean,
  action: "retry" | "cancel",
  inWords: (job: JobFacts) => string,
): Promise<number> {
  const body = await ask(place, "POST", `/v1/batch/jobs/${id}/${action}`);
  if (typeof body === "number") return body;
  const job = body as unknown as JobFacts;
  await writeStdout(isJson ? toJson(body) : `proof job ${id} ${inWords(job)}\n`);
  return EXIT.done;
}

async function finalize(flags: FlagValues, [batch = ""]: readonly string[] = []): Promise<number> {
  if (!/^\d{1,20}$/.test(batch)) throw usage(`Cannot find batch "${batch}": need its number`);
  const body = await ask(await placeOf(flags), "POST", `/v1/batch/finalize/${batch}`);
  if (typeof body === "number") return body;
  await writeStdout(
    flags["json"] ? toJson(body) : `batch ${batch} is whole, and is proved as it is\n`,
  );
  return EXIT.done;
}

/** @throws {ConfigError} `Usage` where there are two places, or no such directory */
async function placeOf(flags: FlagValues): Promise<ControlPlace> {
  const given = textOf(flags, "dataDir");
  const url = textOf(flags, "url");
  const who = "montana superblock";
  if (url !== undefined) {
    if (given === undefined) {
      return { at: new URL(nodeUrl("--url", url)), who, timeoutMs: TIMEOUT_MS };
    }
    throw usage("Cannot tell whose jobs are meant: need either --data-dir or --url");
  }
  const dataDir = given ?? SUPERBLOCK_DIR_FLAG.value!;
  // Where a coordinator may still come up, asking again helps; in a directory that is not there, it does not.
  await access(dataDir).catch((cause) => {
    throw usage(`Cannot use --data-dir ${dataDir}: ${systemReason(cause)}`);
  });
  return { at: controlPath(dataDir), who, timeoutMs: TIMEOUT_MS };
}

/** @returns what was asked for, or the exit code where it was refused */
async function ask(
  place: ControlPlace,
  method: "GET" | "POST",
  path: string,
): Promise<Readonly<Record<string, unknown>> | number> {
  const { status, body } = await askControl(place, method, path);
  const isOurs = ["error", "jobs", "requests", "outcome"].some((name) => name in body);
  if (!isOurs) {
    const where = place.at instanceof URL ? place.at.host : place.at;
    const message = `Cannot ask ${where}: no ${place.who} answers there, but another program`;
    throw new SourceError("Damaged", message, { details: { status } });
  }
  if (status === 200) return body;
  const { error } = body;
  const { code = status, kind, message = error } = Object(error) as Record<string, unknown>;
  writeStderr(`error: ${code}: ${message}`);
  return kind === "temporary" ? EXIT.tryLater : EXIT.failed;
}

/** A job a line, its last error below. */
function jobsInWords({ jobs, active_jobs: active, max_concurrent_jobs: most }: JobsFacts): string {
  const summary = `${countOf(active, "job")} to do, ${most} at once at most\n`;
  if (jobs.length === 0) return summary;
  const head = ["job", "batch", "stage", "state", "retries", "since", "prover's ids"];
  const rows = jobs.map((job) => [
    job.id,
    `${job.batch_number}`,
    job.stage,
    job.state,
    `${job.retries}`,
    job.since,
    idsOf(job),
  ]);
  const [first, ...lines] = formatTable(head, rows).trimEnd().split("\n");
  const withErrors = lines.flatMap((line, at) => {
    const { last_error: error } = jobs[at]!;
    return error === undefined ? [line] : [line, `    ${error}`];
  });
  return [first, ...withErrors, ""].join("\n") + summary;
}

/** Of what is under way: one, and how many more. */
function idsOf({ requests }: JobFacts): string {
  const ids = requests.filter(({ state }) => state === "asked").map((each) => each.request_id!);
  const more = ids.length > 1 ? ` and ${ids.length - 1} more` : "";
  return ids.length === 0 ? "-" : ids[0]! + more;
}

function jobInWords(job: JobFacts): string {
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["job", job.id],
    ["batch", `${job.batch_number} of chain ${job.chain_id}, ${countOf(job.blocks, "block")}`],
    ["stage", job.stage],
    ["state", job.worker === undefined ? job.state : `${job.state}, by ${job.worker}`],
    ["since", job.since],
    ["retries", `${job.retries}`],
    ["next try", job.next_try_at],
    ["last error", job.last_error],
    ["superblock", job.superblock_hash],
    ["handed in", job.created_at],
  ];
  const told = facts.filter((fact): fact is readonly [string, string] => fact[1] !== undefined);
  return factLines(told) + (job.requests.length === 0 ? "" : requestsInWords(job.requests));
}

function requestsInWords(requests: readonly RequestFacts[]): string {
  const head = ["asked for", "blocks", "state", "failures", "prover's id"];
  const rows = requests.map((each) => [
    each.stage,
    each.start_block === undefined ? "-" : `${each.start_block}-${each.end_block}`,
    each.state + (each.is_execution_check ? ", an execution check" : ""),
    `${each.failures ?? "-"}`,
    each.request_id ?? "-",
  ]);
  return `\n${formatTable(head, rows)}`;
}
