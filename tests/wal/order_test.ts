/**
 * The log under strace: what is acknowledged was synced before, and so was what got its name.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { runScript, withDirectory } from "../helpers.ts";
import {
  breaches,
  type Call,
  isSaid,
  parseTrace,
  straceArguments,
  whyNoTrace,
} from "../power/trace.ts";

const source = new URL("../../src/", import.meta.url).href;

/** Appends alone and together, over several segments, with checkpoints; tells what is acknowledged. */
const writer = (directory: string, spoil = "") => `
import { writeSync } from "node:fs";
import { DiskStorage } from "${source}local/disk_storage.ts";
import { Wal } from "${source}wal/log.ts";

const storage = new DiskStorage();
${spoil}
const log = await Wal.open({ storage, directory: "${directory}" }, { segmentBytes: 1000 });
const append = async (number) => {
  await log.append(1, new Uint8Array(100).fill(number));
  writeSync(1, "acknowledged " + number + "\\n");
};
for (let number = 0; number < 30; number++) {
  await append(number);
  if (number % 10 === 9) await log.checkpoint(log.nextSequence - 3n);
}
await Promise.all([30, 31, 32].map(append));
await log.close();
`;

const isAcknowledgement = (call: Call) => isSaid(call) && call.text.startsWith("acknowledged");

/** What the order of a run breaks. */
async function orderOf(spoil?: string): Promise<{ calls: Call[]; broken: string[] }> {
  return await withDirectory(async (path) => {
    const report = join(path, "report");
    const script = writer(join(path, "log"), spoil);
    const { code, stderr } = await runScript(path, script, undefined, straceArguments(report));
    equal(code, 0, stderr);
    const calls = parseTrace(await readFile(report, "utf8"), path);
    const broken = breaches(calls, [{ when: isAcknowledgement, under: path }]);
    return { calls, broken: broken.map((line) => line.replaceAll(path, "")) };
  });
}

const inOrder = "crash: Wal writes, syncs and acknowledges in this order, as strace sees it";
test(inOrder, { skip: whyNoTrace(inOrder) }, async () => {
  const { calls, broken } = await orderOf();
  deepEqual(broken, []);
  equal(calls.filter(isAcknowledgement).length, 33);
  const segments = calls.filter(({ kind, path }) => kind === "move" && path.endsWith(".wal"));
  ok(segments.length >= 4, `${segments.length} segments`);
  // Each that was alone had a write and a sync of its own.
  let [written, synced] = [0, 0];
  for (const call of calls) {
    if (call.path.endsWith(".wal") && call.kind === "write") written += 1;
    if (call.path.endsWith(".wal") && call.kind === "sync") synced = written;
    if (isAcknowledgement(call) && Number(call.text.match(/\d+/)![0]) < 30) {
      ok(synced > 0 && synced === written, `${synced} of ${written} synced: ${call.text}`);
      [written, synced] = [0, 0];
    }
  }
});

const SPOILT = [
  {
    what: "does not sync a file",
    spoil: `const { openAppend } = storage;
storage.openAppend = async (path) => {
  const file = await openAppend(path);
  return { write: (data) => file.write(data), close: () => file.close(), sync: async () => {} };
};`,
    broken: /bytes of \/log\/\d+\.wal\.tmp not synced/,
  },
  {
    what: "does not sync a directory",
    spoil: `storage.syncDirectory = async () => {};`,
    broken: /name of \/log\/head not synced/,
  },
];

for (const { what, spoil, broken } of SPOILT) {
  const name = `crash: the order of a log is seen to be wrong where its disk ${what}`;
  test(name, { skip: whyNoTrace(name) }, async () => {
    match((await orderOf(spoil)).broken.join("\n"), broken);
  });
}
