/**
 * `montana prover`: the execute prover.
 *
 * @module
 */
import { systemClock, writeStderr } from "../runtime.ts";
import { serveExecuteProver } from "../service/prover_api.ts";
import { EXIT, type FlagValues, textOf } from "./command.ts";
import { parseListen } from "./options.ts";
import { asRole, type RoleContext, type RoleSpec } from "./role.ts";

/** Serves until it is told to end. */
export const prover: RoleSpec = asRole({
  name: "prover",
  summary: "Check the settlement rules over superblock-prover's API; an execution check, no proof",
  flags: [{ flags: "--listen <port>", help: "127.0.0.1:PORT, or HOST:PORT; 0: any", value: "0" }],
  examples: ["prover --listen 3000"],
  isServer: true,
  check: (flags) => Promise.resolve(flags).then(addressOf),
  runRole: runProver,
});

async function runProver(flags: FlagValues, context: RoleContext): Promise<number> {
  const address = addressOf(flags);
  const signal = context.onStop((why) => `${why}: ending`);
  const server = await serveExecuteProver({
    clock: systemClock,
    onChecked: (superblock, broken) =>
      writeStderr(
        broken === undefined
          ? `superblock ${superblock} keeps the settlement rules: an execution check, no proof`
          : `superblock ${superblock} breaks a settlement rule, ${broken}`,
      ),
  }, address);
  writeStderr(`listening on ${server.name}; it checks the settlement rules and proves nothing`);
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  }
  await server.close();
  return EXIT.done;
}

function addressOf(flags: FlagValues): ReturnType<typeof parseListen> {
  return parseListen("--listen", textOf(flags, "listen") ?? "");
}
