/**
 * The log against the disk it stands on.
 *
 * What is compared is measured in turns of a few milliseconds, and the median of the turns is told: a
 * disk that others use changes from one second to the next.
 *
 * @module
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { Wal } from "../../src/wal/log.ts";
import { MARK_BYTES, RECORD_HEADER_BYTES } from "../../src/wal/record.ts";
import { type BenchOptions, type Group, median, type Row } from "./rows.ts";

const PAYLOAD_BYTES = 256;
const WRITERS = 64;

const storage = new DiskStorage();

/** The group. On the disk of the temporary directory: `TMPDIR` chooses another. */
export const log: Group = {
  name: "log",
  title: "records a second, synced, against write and fdatasync; medians of interleaved rounds",
  run,
};

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), "montana-bench-"));
  const replayBytes = isShort ? 2 ** 20 : 2 ** 26;
  try {
    return [
      ...await benchAppends(directory, isShort ? 1 : 41),
      await benchReplay(join(directory, "small"), PAYLOAD_BYTES, replayBytes),
      await benchReplay(join(directory, "large"), 64 * 1024, replayBytes),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function benchAppends(directory: string, rounds: number): Promise<Row[]> {
  const log = await Wal.open({ storage, directory: join(directory, "log") });
  const raw = openSync(join(directory, "raw"), "a");
  const payload = new Uint8Array(PAYLOAD_BYTES).fill(7);
  const written = new Uint8Array(MARK_BYTES + RECORD_HEADER_BYTES + PAYLOAD_BYTES).fill(7);
  const group = new Uint8Array(MARK_BYTES + WRITERS * (RECORD_HEADER_BYTES + PAYLOAD_BYTES));
  const sync = (bytes: Uint8Array) => {
    writeSync(raw, bytes);
    fdatasyncSync(raw);
  };
  const writer = async () => {
    for (let count = 0; count < 20; count++) await log.append(1, payload);
  };
  const found: { raw: number; one: number; rawGroup: number; many: number }[] = [];
  for (let round = 0; round <= rounds; round++) {
    found.push({
      raw: await perSecond(50, () => sync(written)),
      one: await perSecond(50, () => log.append(1, payload)),
      rawGroup: WRITERS * await perSecond(20, () => sync(group)),
      many: 20 * WRITERS *
        await perSecond(1, () => Promise.all(Array.from({ length: WRITERS }, writer))),
    });
  }
  closeSync(raw);
  await log.close();
  const warm = found.slice(1);
  const one = median(warm.map((each) => each.one));
  const many = median(warm.map((each) => each.many));
  return [
    {
      what: `appends of ${PAYLOAD_BYTES} bytes, 1 writer`,
      value: one,
      unit: "/s",
      against: { what: "write and fdatasync", value: median(warm.map((each) => each.raw)) },
      mark: { of: "ratio", least: 0.8 },
    },
    {
      what: `appends of ${PAYLOAD_BYTES} bytes, ${WRITERS} writers`,
      value: many,
      unit: "/s",
      against: { what: "1 writer", value: one },
      mark: { of: "ratio", least: 20 },
    },
    {
      what: `appends of ${PAYLOAD_BYTES} bytes, ${WRITERS} writers`,
      value: many,
      unit: "/s",
      against: {
        what: `write and fdatasync of ${WRITERS} at once`,
        value: median(warm.map((each) => each.rawGroup)),
      },
    },
  ];
}

async function benchReplay(
  directory: string,
  payloadBytes: number,
  replayBytes: number,
): Promise<Row> {
  const count = replayBytes / payloadBytes;
  const log = await Wal.open({ storage, directory });
  const payload = new Uint8Array(payloadBytes).fill(7);
  const group = Math.min(count, 1024);
  for (let done = 0; done < count; done += group) {
    await Promise.all(Array.from({ length: group }, () => log.append(1, payload)));
  }
  const rates: number[] = [];
  for (let round = 0; round < 5; round++) {
    const rate = await perSecond(1, async () => {
      let bytes = 0;
      for await (const record of log.read()) bytes += record.payload.length;
      if (bytes !== count * payloadBytes) throw new Error(`read ${bytes} bytes`);
    });
    rates.push(rate * replayBytes / 1e6);
  }
  await log.close();
  return { what: `replay of ${payloadBytes}-byte records`, value: median(rates), unit: "MB/s" };
}

/** How often an action is done in a second, one after the other. */
async function perSecond(count: number, action: () => unknown): Promise<number> {
  const start = performance.now();
  for (let done = 0; done < count; done++) await action();
  return 1000 * count / (performance.now() - start);
}
