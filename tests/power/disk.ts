/**
 * A disk whose power can be cut: `disk.py`, mounted. It also kills a process at its n-th call to the disk,
 * whatever runtime it runs under and whatever thread calls, with no help from the program: that is why it
 * is preferred to strace, which counts the calls of each thread by itself.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { whyNot } from "../runtimes.ts";

const script = fileURLToPath(new URL("disk.py", import.meta.url));

/** Debian's, which has Debian's packages, before another that PATH may name. */
const PYTHONS = ["/usr/bin/python3", "python3"];

let python: string | undefined;

/** Prints and gives the reason why there can be no such disk here; `false` where there can. */
export function whyNoPowerDisk(test: string): string | false {
  return whyNot(test, () => {
    if (!existsSync("/dev/fuse")) throw new Error("there is no /dev/fuse");
    if (process.getuid?.() !== 0) throw new Error("only root may mount");
    python = PYTHONS.find((each) => {
      // Where the package is there and libfuse is not, this fails as well.
      const probe = "try: import fusepy\nexcept ImportError: import fuse";
      return spawnSync(each, ["-c", probe]).status === 0;
    });
    if (!python) throw new Error("python3 has no fusepy: apt-get install python3-fusepy");
  });
}

/** A disk in memory, mounted until it is disposed of, or until this process ends. */
export class PowerDisk implements AsyncDisposable {
  readonly path: string;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #complaints = "";

  private constructor(path: string) {
    this.path = path;
    this.#child = spawn(python!, [script, path], { stdio: "pipe" });
    this.#child.stderr!.on("data", (chunk: Uint8Array) => this.#complaints += chunk);
    this.#answers = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** Mounts an empty one on `path`, which is made. */
  static async mount(path: string): Promise<PowerDisk> {
    await mkdir(path, { recursive: true });
    const disk = new PowerDisk(path);
    try {
      await disk.#expect("mounted");
      return disk;
    } catch (error) {
      await disk[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** How many calls have changed or synced anything on it. */
  async calls(): Promise<number> {
    return Number(await this.#ask("calls"));
  }

  /**
   * At call `number` from now, the first being 1, the process that makes it is killed, with `part` of what
   * it writes written. The disk then answers nobody until {@link go}, {@link cut} or {@link format}.
   */
  async stopAt(number: number, part = 0): Promise<void> {
    await this.#do(`stop ${number} ${part}`);
  }

  /** As {@link stopAt}, and nobody is killed: from that call on, the disk fails. */
  async failAt(number: number): Promise<void> {
    await this.#do(`fail ${number}`);
  }

  /** Only the process died: the disk has all that was written. */
  async go(): Promise<void> {
    await this.#do("go");
  }

  /** The machine went off: what was not synced is gone, or by chance some of it, where a seed is given. */
  async cut(seed = 0): Promise<void> {
    await this.#do(`cut ${seed}`);
  }

  /** A new, empty disk. */
  async format(): Promise<void> {
    await this.#do("format");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const isOver = () => this.#child.exitCode !== null || this.#child.signalCode !== null;
    const ended = isOver() ? undefined : once(this.#child, "exit");
    this.#child.stdin!.end();
    const limit = setTimeout(() => process.kill(this.#child.pid!, "SIGKILL"), 5000);
    await ended;
    clearTimeout(limit);
    // It has unmounted itself, unless it was killed.
    spawnSync("umount", ["-l", this.path]);
  }

  async #do(command: string): Promise<void> {
    this.#child.stdin!.write(command + "\n");
    await this.#expect("ok");
  }

  async #ask(command: string): Promise<string> {
    this.#child.stdin!.write(command + "\n");
    const { value } = await this.#answers.next();
    return value;
  }

  async #expect(expected: string): Promise<void> {
    const { value } = await this.#answers.next();
    if (value !== expected) throw new Error(`The disk says ${value}: ${this.#complaints}`);
  }
}

/** Runs `action` with such a disk, which is gone afterwards. */
export async function withPowerDisk<T>(
  directory: string,
  action: (disk: PowerDisk) => Promise<T>,
): Promise<T> {
  await using disk = await PowerDisk.mount(`${directory}/disk`);
  return await action(disk);
}
