/**
 * Input and output of commands: a file, or the standard streams for `-`.
 *
 * @module
 */
import { readFile, stat, writeFile } from "node:fs/promises";
import { ConfigError } from "../errors.ts";
import { readError, replaceFile, writeError } from "../local/disk.ts";
import { isTerminal, readStdin, writeStdout } from "../runtime.ts";

/** The bytes of a file, or of standard input for `-`. */
export async function readInput(path: string): Promise<Uint8Array> {
  if (path === "-") return await readStdin();
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw readError("input from", path, cause);
  }
}

/** Writes a result: to a file whole or not at all, or to standard output for `-`. */
export async function writeOutput(path: string, data: string | Uint8Array): Promise<void> {
  if (path === "-") {
    if (typeof data !== "string" && isTerminal.stdout) {
      throw new ConfigError(
        "Usage",
        "Cannot write bytes to a terminal: name a file with --out, or use a pipe",
      );
    }
    return await writeStdout(data);
  }
  try {
    const isSpecial = await stat(path).then((stats) => !stats.isFile(), () => false);
    await (isSpecial ? writeFile(path, data) : replaceFile(path, data));
  } catch (cause) {
    throw writeError("output to", path, cause);
  }
}
