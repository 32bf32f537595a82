/**
 * The list of commands.
 *
 * @module
 */
import type { CommandGroup, CommandSpec } from "./command.ts";

/** In the order of the help. One is loaded when it is called, since all of them take half of a start. */
export const COMMANDS: Readonly<Record<string, () => Promise<CommandSpec | CommandGroup>>> = {
  demo: async () => (await import("./demo.ts")).demo,
  batcher: async () => (await import("./batcher.ts")).batcher,
  deriver: async () => (await import("./deriver.ts")).deriver,
  processor: async () => (await import("./processor.ts")).processor,
  ctl: async () => (await import("./ctl.ts")).ctl,
  encode: async () => (await import("./codec.ts")).encode,
  decode: async () => (await import("./codec.ts")).decode,
  inspect: async () => (await import("./inspect.ts")).inspect,
  explain: async () => (await import("./explain.ts")).explain,
  verify: async () => (await import("./verify.ts")).verify,
  report: async () => (await import("./report.ts")).report,
  wal: async () => (await import("./wal.ts")).wal,
  archive: async () => (await import("./archive.ts")).archive,
  doctor: async () => (await import("./doctor.ts")).doctor,
  superblock: async () => (await import("./superblock.ts")).superblock,
  prover: async () => (await import("./prover.ts")).prover,
  proofs: async () => (await import("./proofs.ts")).proofs,
  signer: async () => (await import("./signer.ts")).signer,
  completions: async () => (await import("./completions.ts")).completionsOf(allCommands),
  man: async () => (await import("./man.ts")).manOf(allCommands),
  version: async () => (await import("./version.ts")).version,
};

/** All of them. */
export function allCommands(): Promise<(CommandSpec | CommandGroup)[]> {
  return Promise.all(Object.values(COMMANDS).map((load) => load()));
}
