/**
 * The log on a disk whose power is cut at random moments: what was acknowledged is there, in order, once.
 *
 * @module
 */
import { ok, strictEqual as equal } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { Wal } from "../../src/wal/log.ts";
import { chance, isWhole, tellDone } from "../cli/crash.ts";
import { runScript, withDirectory } from "../helpers.ts";
import { whyNoPowerDisk, withPowerDisk } from "../power/disk.ts";
import { recordsOf } from "./logs.ts";

const source = new URL("../../src/", import.meta.url).href;
const LIVES = isWhole ? 40 : 2;
const CUTS = isWhole ? 10 : 6;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Appends alone and together over small segments, with checkpoints; tells what is acknowledged. */
const writer = (directory: string, name: string, spoil = "") => `
import { writeSync } from "node:fs";
import { DiskStorage } from "${source}local/disk_storage.ts";
import { Wal } from "${source}wal/log.ts";

const storage = new DiskStorage();
${spoil}
const log = await Wal.open({ storage, directory: "${directory}" }, { segmentBytes: 2000 });
const append = async (number) => {
  const payload = "${name} " + number + ".".repeat(number * 37 % 600);
  const sequence = await log.append(1, new TextEncoder().encode(payload));
  writeSync(1, sequence + " " + payload + "\\n");
};
for (let number = 0; number < 40; number += 4) {
  await append(number);
  await Promise.all([1, 2, 3].map((each) => append(number + each)));
  const oldest = log.nextSequence > 30n ? log.nextSequence - 30n : 0n;
  await log.checkpoint(oldest);
  writeSync(1, "checkpoint " + oldest + "\\n");
}
await log.close();
`;

interface Tally {
  cuts: number;
  acknowledged: number;
}

/** Lives and cuts; a broken disk makes it throw. */
async function liveThrough(lives: number, cuts: number, spoil?: string): Promise<Tally> {
  const storage = new DiskStorage();
  const tally = { cuts: 0, acknowledged: 0 };
  await withDirectory((path) =>
    withPowerDisk(path, async (disk) => {
      const directory = join(disk.path, "data/log");
      for (let life = 0; life < lives; life++) {
        const number = chance(life);
        const acknowledged = new Map<bigint, string>();
        let checkpoint = 0n;
        await disk.format();
        for (let cut = 0; cut < cuts; cut++) {
          await disk.stopAt(number(1, 70), number(0, 2) / 2);
          const script = writer(directory, `${life}.${cut}`, spoil);
          const { code, stdout, stderr } = await runScript(path, script);
          ok(code === null || code === 0, stderr);
          await disk.cut(life % 2 === 0 ? 0 : number(1, 1_000_000));
          if (code === null) tally.cuts += 1;
          for (const line of stdout.split("\n").slice(0, -1)) {
            const [, word, rest] = /^(\d+|checkpoint) (.*)$/.exec(line)!;
            if (word === "checkpoint") checkpoint = BigInt(rest!);
            else acknowledged.set(BigInt(word!), rest!);
          }

          const log = await Wal.open({ storage, directory });
          ok(log.checkpointed >= checkpoint, `life ${life}, cut ${cut}: a checkpoint is gone`);
          const records = await recordsOf(log);
          records.forEach(({ sequence, payload }, index) => {
            equal(sequence, log.checkpointed + BigInt(index), "in order, once");
            const expected = acknowledged.get(sequence);
            if (expected !== undefined) equal(text(payload), expected);
            // It was read: no later cut may take it away.
            acknowledged.set(sequence, text(payload));
          });
          const highest = [...acknowledged.keys()].reduce((a, b) => a > b ? a : b, -1n);
          ok(log.nextSequence > highest, `life ${life}, cut ${cut}: ${highest} is gone`);
          await log.close();
          tally.acknowledged += acknowledged.size;
        }
      }
    })
  );
  return tally;
}

const keeps = "crash: Wal keeps what it acknowledged over power cuts";
test(keeps, { skip: whyNoPowerDisk(keeps) }, async () => {
  const { cuts, acknowledged } = await liveThrough(LIVES, CUTS);
  ok(cuts > LIVES && acknowledged > 20 * LIVES, `${cuts} cuts, ${acknowledged} acknowledged`);
  tellDone(keeps, `${LIVES} lives, ${cuts} cuts`);
});

const seen = "crash: a log that acknowledges before its sync loses records to a power cut";
test(seen, { skip: whyNoPowerDisk(seen) }, async () => {
  const spoil = `const { openAppend } = storage;
storage.openAppend = async (path) => {
  const file = await openAppend(path);
  return { write: (data) => file.write(data), close: () => file.close(), sync: async () => {} };
};`;
  const lost = await liveThrough(1, CUTS, spoil).then(() => "nothing", (error) => error.message);
  ok(/ is gone$|damaged/.test(lost), lost);
});
