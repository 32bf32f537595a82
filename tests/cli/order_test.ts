/**
 * The program under strace: what it says is done was synced before, and so was what it builds upon.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import {
  breaches,
  type Call,
  isSaid,
  parseTrace,
  type Promised,
  straceArguments,
  whyNoTrace,
} from "../power/trace.ts";
import { sourceText } from "./files.ts";
import { run, start, succeeded } from "./montana.ts";
import { acksOf, linesOf, operationLines } from "./operations.ts";

/** Two to a batch, and nothing that could be packed: a batch is larger than all that is told of it. */
const SOURCE = sourceText(6, { size: 3000 });
const BATCHES = 3;
const BATCH_BYTES = 6000;

/** Told for people, and no promise: a crash may take the last lines (`src/cli/history.ts`). */
const HISTORY = "/history.jsonl>";

/** What a run asked of the kernel; as lines, to leave some out. */
async function traceOf(args: string, cwd: string): Promise<string[]> {
  const report = join(cwd, "report");
  succeeded(await run(args, { cwd, under: straceArguments(report) }));
  const lines = (await readFile(report, "utf8")).split("\n");
  return lines.filter((line) => !line.includes(HISTORY) && !line.includes('/history.jsonl"'));
}

const says = (words: RegExp) => (call: Call) => isSaid(call) && words.test(call.text);

/** Records of a log begin with a mark of 16 bytes; room that is allotted in advance, with zeros. */
const isRecord = ({ kind, path, text }: Call) =>
  kind === "write" && path.endsWith(".wal") && text.startsWith("\\20\\0\\0\\0");

/** Makes sure that the order is right, and that it would not be without the syncs of these. */
function isInOrder(
  lines: readonly string[],
  cwd: string,
  { promises, needed }: { promises: readonly Promised[]; needed: readonly RegExp[] },
): Call[] {
  const judge = (trace: readonly string[]) => breaches(parseTrace(trace.join("\n"), cwd), promises);
  const calls = parseTrace(lines.join("\n"), cwd);
  for (const { when } of promises) ok(calls.filter(when).length >= BATCHES, "promises seen");
  deepEqual(judge(lines), []);
  for (const path of needed) {
    // Only that it began to sync: threads tell of its end by themselves.
    const isSync = (line: string) => / f(data)?sync\(\d+<(.*?)>/.exec(line)?.[2]?.match(path);
    const without = lines.filter((line) => !isSync(line));
    ok(without.length < lines.length, `nothing syncs ${path}`);
    ok(judge(without).length > 0, `nobody misses the sync of ${path}`);
  }
  return calls;
}

const forBatcher =
  "crash: montana batcher writes down, syncs, posts and says so in this order, as strace sees it";
test(forBatcher, { skip: whyNoTrace(forBatcher) }, async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), SOURCE);
    const batcher = "batcher --l2 blocks.jsonl --l1 l1 --data-dir data --once " +
      "--max-blocks-per-batch 2 --compressor none";
    const lines = await traceOf(batcher, cwd);
    const isPosted = says(/batch \d+: .* in L1 block/);
    const isPost = ({ kind, path }: Call) => kind === "make" && path.startsWith(`${cwd}/l1/blobs/`);
    const calls = isInOrder(lines, cwd, {
      promises: [
        { when: isPosted, under: cwd },
        { when: isPost, under: `${cwd}/data` },
      ],
      needed: [
        /\.wal$/,
        /\/head\.tmp$/,
        /\/data\/batcher$/,
        /\.blob\.\S+\.tmp$/,
        /\/l1\/blobs$/,
        /\.json\.\S+\.tmp$/,
        /\/l1\/blocks$/,
        /\/l1$/,
        RegExp(`^${cwd}$`),
      ],
    });
    // Blocks as they were taken, then each batch as it was sealed, before it goes to L1.
    let [recorded, posted] = [0, 0];
    for (const call of calls) {
      const { kind, path, bytes } = call;
      if (isRecord(call) && bytes > BATCH_BYTES) recorded += 1;
      if (kind !== "move" || !path.startsWith(`${cwd}/l1/blobs/`)) continue;
      posted += 1;
      ok(recorded > posted, `${recorded} records before post ${posted}`);
    }
    equal(posted, BATCHES);
  });
});

const forDeriver =
  "crash: montana deriver writes, syncs and says so in this order, as strace sees it";
test(forDeriver, { skip: whyNoTrace(forDeriver) }, async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), SOURCE);
    const batcher = "batcher --l2 blocks.jsonl --l1 l1 --once --max-blocks-per-batch 2";
    succeeded(await run(batcher, { cwd }));
    await mkdir(join(cwd, "out"));
    const deriver = "deriver --l1 l1 --out out/derived.jsonl --data-dir data --once";
    const lines = await traceOf(deriver, cwd);
    const isDerived = says(/derived batch \d+: /);
    const isWritten = ({ kind, path }: Call) =>
      kind === "write" && path === `${cwd}/out/derived.jsonl`;
    const begun = parseTrace(lines.join("\n"), cwd).find(isWritten)!.startedAt;
    // The state at the start tells of no blocks.
    const isSaved = (call: Call) => isRecord(call) && call.bytes > 100 && call.startedAt > begun;
    isInOrder(lines, cwd, {
      promises: [
        { when: isDerived, under: `${cwd}/out` },
        { when: isSaved, under: `${cwd}/out` },
        { when: isDerived, under: `${cwd}/data` },
      ],
      needed: [/\/out$/, /derived\.jsonl$/, /\.wal$/, /\/data\/deriver$/],
    });
  });
});

const forProcessor =
  "crash: montana processor writes, syncs and acknowledges in this order, as strace sees it";
test(forProcessor, { skip: whyNoTrace(forProcessor) }, async () => {
  await withDirectory(async (cwd) => {
    const report = join(cwd, "report");
    // No batch is due before the end: nothing is written but what is acknowledged.
    const processor = "processor --data-dir data --to out --interval 1h --max-batch 1000 --ack";
    await using running = start(processor, { cwd, under: straceArguments(report), stdin: "open" });
    const lines = linesOf(operationLines(10));
    for (const [index, line] of lines.entries()) {
      running.feed(line + "\n");
      await running.until("it acknowledges", () => acksOf(running.stdout).length > index);
    }
    running.feed("", { end: true });
    succeeded(await running.ended);
    const trace = (await readFile(report, "utf8")).split("\n");
    const isAcknowledgement = (call: Call) => isSaid(call) && /^\d+\\n$/.test(call.text);
    const calls = isInOrder(trace, cwd, {
      promises: [{ when: isAcknowledgement, under: `${cwd}/data` }],
      needed: [/\.wal$/, /\/data$/],
    });
    equal(calls.filter(isAcknowledgement).length, lines.length);
    let [written, synced] = [0, 0];
    for (const call of calls) {
      if (isRecord(call)) written += 1;
      if (call.kind === "sync" && call.path.endsWith(".wal")) synced = written;
      if (!isAcknowledgement(call)) continue;
      ok(synced > 0 && synced === written, `${synced} of ${written} synced: ${call.text}`);
      [written, synced] = [0, 0];
    }
  });
});
