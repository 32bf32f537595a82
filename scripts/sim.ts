/**
 * The simulation: `deno task sim --seeds N [--from S] [--world NAME]` runs seeds and says
 * how many a minute; `deno task sim --seed X [--world …] [--verbose]` replays one and prints its trace,
 * with `--verbose` each call of the disk. Exit code 1 where a promise is broken.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- what a script has to say goes to the terminal
import process from "node:process";
import { parseArgs } from "node:util";
import { FailedRun, runSeed, type World, worldOf, WORLDS } from "../tests/simulation/worlds.ts";

/** More would say nothing new. */
const MOST_FAILURES = 10;

const { values } = flags();

function flags() {
  try {
    return parseArgs({
      options: {
        seeds: { type: "string", default: "1000" },
        from: { type: "string", default: "0" },
        seed: { type: "string" },
        world: { type: "string" },
        verbose: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    const [why] = (error as Error).message.split(". ");
    console.error(`${why}. There are --seeds N, --from S, --seed X, --world NAME and --verbose`);
    process.exit(2);
  }
}

function whole(name: "seeds" | "from" | "seed"): number {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  console.error(`Cannot use --${name} ${values[name]}: need a whole number from 0`);
  process.exit(2);
}

function namedWorld(): World | undefined {
  const { world } = values;
  if (world === undefined) return undefined;
  const named = WORLDS.find((each) => each === world);
  if (named) return named;
  console.error(`Cannot use --world ${world}: there are ${WORLDS.join(", ")}`);
  process.exit(2);
}

/** Prints what happened. */
async function replay(seed: number): Promise<number> {
  const world = namedWorld() ?? worldOf(seed);
  try {
    const { lines } = await runSeed(world, seed, { isVerbose: values.verbose });
    console.log(lines.join("\n"));
    console.log(`${world}, seed ${seed}: every promise is kept`);
    return 0;
  } catch (error) {
    if (!(error instanceof FailedRun)) throw error;
    console.log(error.lines.join("\n"));
    console.log(error.message);
    return 1;
  }
}

async function runMany(): Promise<number> {
  const from = whole("from");
  const count = whole("seeds");
  if (count === 0) {
    console.error("Cannot use --seeds 0: nothing would be played");
    return 2;
  }
  const startedMs = performance.now();
  const worlds = new Map<World, number>();
  const counts = new Map<string, number>();
  let failures = 0;
  let toldMs = startedMs;
  let done = 0;
  for (let seed = from; seed < from + count && failures < MOST_FAILURES; seed++) {
    const world = namedWorld() ?? worldOf(seed);
    try {
      const outcome = await runSeed(world, seed);
      for (const [what, times] of Object.entries(outcome.counts)) {
        counts.set(what, (counts.get(what) ?? 0) + times);
      }
    } catch (error) {
      if (!(error instanceof FailedRun)) throw error;
      failures += 1;
      console.log(error.message);
    }
    worlds.set(world, (worlds.get(world) ?? 0) + 1);
    done += 1;
    if (performance.now() - toldMs < 10_000) continue;
    toldMs = performance.now();
    console.log(`${done} of ${count} seeds, ${rate(done, toldMs - startedMs)}`);
  }
  const elapsedMs = performance.now() - startedMs;
  const each = [...worlds].map(([world, runs]) => `${world} ${runs}`).join(", ");
  const often = [...counts].sort(([, a], [, b]) => b - a);
  console.log(often.map(([what, times]) => `${`${times}`.padStart(9)} ${what}`).join("\n"));
  console.log(
    `${done} seeds from ${from} (${each}) in ${(elapsedMs / 1000).toFixed(1)} s, ` +
      `${rate(done, elapsedMs)}; ${failures} failed`,
  );
  return failures > 0 ? 1 : 0;
}

function rate(seeds: number, elapsedMs: number): string {
  return `${Math.round(seeds / elapsedMs * 60_000)} a minute`;
}

process.exitCode = values.seed === undefined ? await runMany() : await replay(whole("seed"));
