/**
 * The list of commands.
 *
 * @module
 */
import type { CommandGroup, CommandSpec } from "./command.ts";

/** In the order of the help. One is loaded when it is called, since all of them take half of a start. */
export const COMMANDS: Readonly<
  Record<string, (args: readonly string[]) => Promise<CommandSpec | CommandGroup>>
> = {
  demo: async () => (await import("./demo.ts")).demo,
  batcher: async () => (await import("./batcher.ts")).batcher,
  deriver: async () => (await import("./deriver.ts")).deriver,
  processor: async () => (await import("./processor.ts")).processor,
  superblock: async () => (await import("./superblock.ts")).superblock,
  prover: async () => (await import("./prover.ts")).prover,
  run: async (args) => (await import("./run.ts")).runCommand(args),
  config: async () => (await import("./config.ts")).config,
  ctl: async () => (await import("./ctl.ts")).ctl,
  proofs: async () => (await import("./proofs.ts")).proofs,
  encode: async () => (await import("./codec.ts")).encode,
  decode: async () => (await import("./codec.ts")).decode,
  inspect: async () => (await import("./inspect.ts")).inspect,
  explain: async () => (await import("./explain.ts")).explain,
  verify: async () => (await import("./verify.ts")).verify,
  estimate: async () => (await import("./estimate.ts")).estimate,
  report: async () => (await import("./report.ts")).report,
  wal: async () => (await import("./wal.ts")).wal,
  archive: async () => (await import("./archive.ts")).archive,
  doctor: async () => (await import("./doctor.ts")).doctor,
  signer: async () => (await import("./signer.ts")).signer,
  ops: async () => (await import("./ops.ts")).ops,
  completions: async () =>
    (await import("./completions.ts")).completionsOf(() => allCommands(ROLES_TOGETHER)),
  man: async () => (await import("./man.ts")).manOf(() => allCommands()),
  version: async () => (await import("./version.ts")).version,
};

/** As `montana run` takes them: their flags are there with them only. */
const ROLES_TOGETHER = ["--role=prover,superblock,batcher,deriver"];

/** All of them. */
export function allCommands(
  args: readonly string[] = [],
): Promise<(CommandSpec | CommandGroup)[]> {
  return Promise.all(Object.values(COMMANDS).map((load) => load(args)));
}
