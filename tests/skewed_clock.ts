/**
 * Clocks that are wrong, for whole processes: libfaketime stands between the program and the system. Only
 * the time of day differs; timers, and all that counts how long something took, go on as they are.
 *
 * @module
 */
import { existsSync, rmSync } from "node:fs";
import process from "node:process";

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };
const PLACES = [
  `/usr/lib/${ARCHITECTURES[process.arch]}-linux-gnu/faketime/libfaketime.so.1`,
  "/usr/lib64/faketime/libfaketime.so.1",
  "/usr/lib/faketime/libfaketime.so.1",
];

const library = process.platform === "linux" ? PLACES.find((path) => existsSync(path)) : undefined;

/** For `{ skip }` of a test that needs wrong clocks; prints why it is skipped without them. */
export function skipWithoutSkew(test: string): string | false {
  if (library !== undefined) return false;
  const why = "there is no libfaketime here, which gives a process a clock that is wrong";
  process.stdout.write(`skipped: ${test}: ${why}\n`);
  return why;
}

/** The environment of a process whose clock is so far ahead; behind, where negative. */
export function skewedBy(milliseconds: number): Record<string, string> {
  const seconds = (milliseconds / 1000).toFixed(3);
  return {
    LD_PRELOAD: library!,
    FAKETIME: `${milliseconds < 0 ? "" : "+"}${seconds}s`,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    // What anything else said of it counts no more.
    FAKETIME_TIMESTAMP_FILE: "/dev/null",
    NO_FAKE_STAT: "1",
  };
}

/** Removes what such a process leaves behind when it is killed. */
export function clearSkew(pid: number): void {
  for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`]) {
    rmSync(`/dev/shm/${name}`, { force: true });
  }
}
