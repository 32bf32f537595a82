/**
 * The name of a log, for those who remember sequence numbers: numbers of another log are others. It
 * stands in a file beside the log, and is made anew with a log that is new.
 *
 * @module
 */
import { ProcessorError } from "../errors.ts";
import type { Random, Storage } from "../ports.ts";
import { writeWholeFile } from "./whole_file.ts";

const NAME = "identity";
const DIGITS = 32;

/**
 * @param directory where the file stands
 * @param nextSequence of the log: one that never had a record is new
 * @returns 32 hexadecimal digits
 * @throws {ProcessorError} `Damaged` when the file is not as written, or is missing beside a log in use;
 * {StorageError} what the disk says
 */
export async function sourceIdentity(
  storage: Storage,
  directory: string,
  nextSequence: bigint,
  random: Random,
): Promise<string> {
  const path = `${directory}/${NAME}`;
  if (nextSequence === 0n) {
    const digits = Array.from(
      { length: DIGITS },
      () => Math.floor(16 * random.next()).toString(16),
    );
    const identity = digits.join("");
    await writeWholeFile(storage, directory, NAME, new TextEncoder().encode(`${identity}\n`));
    return identity;
  }
  const size = await storage.size(path);
  const text = size === undefined ? "" : new TextDecoder().decode(await storage.read(path));
  if (/^[0-9a-f]{32}\n$/.test(text)) return text.trim();
  const why = size === undefined
    ? "it is missing"
    : `it holds ${JSON.stringify(text.slice(0, 40))}`;
  throw new ProcessorError("Damaged", `Cannot tell whose log this is by ${path}: ${why}`);
}
