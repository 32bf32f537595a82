/**
 * Commitments and proofs of one blob, with each KZG engine that is there.
 *
 * @module
 */
import process from "node:process";
import { chooseKzg, KZG_ENGINES, type KzgEngine } from "../../src/l1/kzg.ts";
import { selfTestBlob } from "../../src/l1/kzg_self_test.ts";
import { type BenchOptions, type Group, type Row, timed } from "./rows.ts";

/** The group. */
export const kzg: Group = {
  name: "kzg",
  title: "milliseconds of one thread for a blob; the best of several rounds",
  run,
};

/** The slowest first, since the others are compared with it. */
async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const slowest = await measure("portable", isShort ? 1 : 3);
  const rows: Row[] = [];
  for (const engine of KZG_ENGINES) {
    const times = engine === "portable"
      ? slowest
      : await measure(engine, isShort ? 1 : 8).catch((error: Error) => error);
    if (times instanceof Error) {
      rows.push({ what: engine, missing: times.message });
      continue;
    }
    for (const [what, time] of Object.entries(times) as [keyof Times, Time][]) {
      const isCompared = engine !== "portable" && what !== "made ready";
      rows.push({
        what: `${engine}: ${what}`,
        value: time.wallMs,
        unit: "ms",
        ...(isCompared ? { against: { what: "portable", value: slowest[what].wallMs } } : {}),
        detail: { "cpu ms": time.cpuMs },
      });
    }
  }
  return rows;
}

interface Time {
  readonly wallMs: number;
  readonly cpuMs: number;
}

type Times = Readonly<
  Record<"made ready" | "commitment" | "blob proof" | "128 cell proofs", Time>
>;

async function measure(engine: KzgEngine, rounds: number): Promise<Times> {
  const blob = selfTestBlob();
  const [ready, made] = await timeOf(() => chooseKzg(engine));
  const commitment = await made.commitment(blob);
  return {
    "made ready": ready,
    "commitment": await best(rounds, () => made.commitment(blob)),
    "blob proof": await best(rounds, () => made.blobProof(blob, commitment)),
    "128 cell proofs": await best(rounds, () => made.cellProofs(blob)),
  };
}

async function best(rounds: number, action: () => Promise<unknown>): Promise<Time> {
  let least: Time | undefined;
  for (let round = 0; round < rounds; round++) {
    const [time] = await timeOf(action);
    if (!least || time.wallMs < least.wallMs) least = time;
  }
  return least!;
}

async function timeOf<T>(action: () => Promise<T>): Promise<[Time, T]> {
  const before = process.cpuUsage();
  const [seconds, result] = await timed(action);
  const { user, system } = process.cpuUsage(before);
  return [{ wallMs: seconds * 1000, cpuMs: (user + system) / 1000 }, result];
}
