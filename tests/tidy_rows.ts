/**
 * The rows of the architecture.
 *
 * @module
 */

/** Inner to outer. A file may use its own row and those that its row names. */
export const ROWS: Readonly<
  Record<string, { members: readonly string[]; uses: readonly string[] }>
> = {
  words: {
    members: [
      "types",
      "errors",
      "ports",
      "ethereum",
      "engine",
      "superblock.ts",
      "proving",
      "version",
    ],
    uses: [],
  },
  pure: { members: ["wire", "compress", "retry", "config", "job_table"], uses: ["words"] },
  flows: { members: ["pipeline", "wal", "superblock"], uses: ["words", "pure"] },
  edges: {
    members: ["l1", "l2", "local", "provers", "scale", "service", "runtime"],
    uses: ["words", "pure"],
  },
  rim: { members: ["cli", "cli.ts", "mod.ts"], uses: ["words", "pure", "flows", "edges"] },
};

/**
 * `src/wal/log.ts` belongs to `wal`, `src/retry.ts` to `retry`, `mod.ts` to itself; a file beside a
 * directory of its name is a member with its ending.
 */
export function rowOf(path: string): string | undefined {
  const name = path.startsWith("src/") ? path.split("/")[1]! : path;
  const rowWith = (member: string) =>
    Object.keys(ROWS).find((row) => ROWS[row]!.members.includes(member));
  return rowWith(name) ?? rowWith(name.replace(/\.ts$/, ""));
}
