/**
 * The log against the disk it stands on: `deno run -A scripts/bench/log.ts [DIR]`.
 *
 * What is compared is measured in turns of a few milliseconds, and the median of the turns is told: a
 * disk that others use changes from one second to the next.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- what a script has to say goes to the terminal
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { tmpdir } from "node:os";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { Wal } from "../../src/wal/log.ts";
import { MARK_BYTES, RECORD_HEADER_BYTES } from "../../src/wal/record.ts";

/** A figure, and what it is measured against. */
export interface BenchRow {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** Of the value to that of `against`. */
  readonly ratio?: number;
  readonly against?: string;
  /** What the ratio must reach. */
  readonly mark?: number;
}

const PAYLOAD_BYTES = 256;
const ROUNDS = 41;
const WRITERS = 64;
const REPLAY_BYTES = 64 * 1024 * 1024;

const storage = new DiskStorage();

/** All figures of the log, in a directory on the disk that is to be measured. */
export async function benchLog(parent: string = tmpdir()): Promise<BenchRow[]> {
  const directory = await mkdtemp(join(parent, "montana-bench-"));
  try {
    return [
      ...await benchAppends(directory),
      await benchReplay(join(directory, "small"), PAYLOAD_BYTES),
      await benchReplay(join(directory, "large"), 64 * 1024),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function benchAppends(directory: string): Promise<BenchRow[]> {
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
  const rounds: { raw: number; one: number; rawGroup: number; many: number }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    rounds.push({
      raw: await perSecond(50, () => sync(written)),
      one: await perSecond(50, () => log.append(1, payload)),
      rawGroup: WRITERS * await perSecond(20, () => sync(group)),
      many: 20 * WRITERS *
        await perSecond(1, () => Promise.all(Array.from({ length: WRITERS }, writer))),
    });
  }
  closeSync(raw);
  await log.close();
  const warm = rounds.slice(1);
  return [
    {
      what: "appends of 256 bytes, 1 writer",
      value: median(warm.map(({ one }) => one)),
      unit: "/s",
      ratio: median(warm.map(({ one, raw }) => one / raw)),
      against: "write and fdatasync of the same bytes",
      mark: 0.8,
    },
    {
      what: `appends of 256 bytes, ${WRITERS} writers`,
      value: median(warm.map(({ many }) => many)),
      unit: "/s",
      ratio: median(warm.map(({ many, one }) => many / one)),
      against: "1 writer",
      mark: 20,
    },
    {
      what: `appends of 256 bytes, ${WRITERS} writers`,
      value: median(warm.map(({ many }) => many)),
      unit: "/s",
      ratio: median(warm.map(({ many, rawGroup }) => many / rawGroup)),
      against: `write and fdatasync of ${WRITERS} records at once`,
    },
  ];
}

async function benchReplay(directory: string, payloadBytes: number): Promise<BenchRow> {
  const count = REPLAY_BYTES / payloadBytes;
  const log = await Wal.open({ storage, directory });
  const payload = new Uint8Array(payloadBytes).fill(7);
  for (let done = 0; done < count; done += 1024) {
    await Promise.all(Array.from({ length: 1024 }, () => log.append(1, payload)));
  }
  const rates: number[] = [];
  for (let round = 0; round < 5; round++) {
    const rate = await perSecond(1, async () => {
      let bytes = 0;
      for await (const record of log.read()) bytes += record.payload.length;
      if (bytes !== count * payloadBytes) throw new Error(`read ${bytes} bytes`);
    });
    rates.push(rate * REPLAY_BYTES / 1e6);
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

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >>> 1]!;
}

if (import.meta.main) {
  for (const { what, value, unit, ratio, against, mark } of await benchLog(process.argv[2])) {
    const compared = ratio === undefined ? "" : `, ${ratio.toFixed(2)} of ${against}`;
    console.log(`${what}: ${Math.round(value)} ${unit}${compared}${mark ? `, mark ${mark}` : ""}`);
  }
}
