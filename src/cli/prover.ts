/**
 * `montana prover`: the execute prover.
 *
 * @module
 */
import { HttpJsonRpc } from "../l1/json_rpc.ts";
import { RangeChecker } from "../provers/range_check.ts";
import { speakerName, systemClock, systemRandom, writeStderr } from "../runtime.ts";
import { serveExecuteProver } from "../service/prover_api.ts";
import { aborted } from "../superblock/together.ts";
import { EXIT, type FlagValues, listOf, textOf } from "./command.ts";
import { nodeUrl, parseListen, parseWhole, usage } from "./options.ts";
import { asRole, type RoleContext, type RoleSpec } from "./role.ts";

/** Serves until it is told to end. */
export const prover: RoleSpec = asRole({
  name: "prover",
  summary: "Check blocks and settlement rules over the provers' APIs; execution checks, no proofs",
  flags: [
    { flags: "--listen <port>", help: "127.0.0.1:PORT, or HOST:PORT; 0: any", value: "0" },
    {
      flags: "--l2 <url>",
      help:
        "an execution client of the chain whose blocks are checked (env:NAME: out of the environment), more are asked where one fails; without one, ranges are refused",
      isRepeated: true,
    },
    {
      flags: "--l2-trust-hashes",
      help: "take its word for hashes and for the storage of the message passer",
    },
    {
      flags: "--publisher-for <chain>",
      help:
        "stand in for the Shared Publisher too, for the chain with this id; it looks into no proof and hands nothing on",
      isRepeated: true,
    },
  ],
  examples: [
    "prover --listen 3000",
    "prover --listen 3000 --l2 http://127.0.0.1:9545 --publisher-for 1001",
  ],
  isServer: true,
  read: placesOf,
  runRole: runProver,
});

async function runProver(flags: FlagValues, context: RoleContext): Promise<number> {
  const { address, ranges, chains } = placesOf(flags);
  // Requests have it said.
  const role = speakerName();
  const tell = (line: string) => writeStderr(line, role);
  const signal = context.onStop((why) => `${why}: ending`);
  const server = await serveExecuteProver({
    clock: systemClock,
    ...(ranges && { ranges }),
    ...(chains.length > 0 &&
      {
        publisher: { requiredChainIds: chains, onAccepted: (...taken) => tell(accepted(...taken)) },
      }),
    onChecked: (superblock, broken) =>
      tell(
        broken === undefined
          ? `superblock ${superblock} keeps the settlement rules: an execution check, no proof`
          : `superblock ${superblock} breaks a settlement rule, ${broken}`,
      ),
    onRangeChecked: (what, failure) =>
      tell(
        failure === undefined
          ? `${what} is as it should be: an execution check, no proof`
          : `${what} cannot be checked: ${failure}`,
      ),
    onRangeAway: (what, reason) => tell(`${what} waits until a node answers: ${reason}`),
  }, address);
  const blocks = ranges ? `blocks of ${ranges.name} and ` : "";
  const publisher = chains.length > 0
    ? `; it stands in for the publisher of chains ${chains.join(", ")}`
    : "";
  writeStderr(
    `listening on ${server.name}; it checks ${blocks}the settlement rules and proves nothing${publisher}`,
  );
  context.watch.looked();
  await aborted(signal);
  await server.close();
  return EXIT.done;
}

function placesOf(flags: FlagValues) {
  return {
    address: parseListen("--listen", textOf(flags, "listen") ?? ""),
    ranges: rangesOf(flags),
    chains: listOf(flags, "publisherFor").map((text) => parseWhole("--publisher-for", text)),
  };
}

function rangesOf(flags: FlagValues): RangeChecker | undefined {
  const urls = listOf(flags, "l2").map((text) => nodeUrl("--l2", text));
  const trustsHashes = flags["l2TrustHashes"] === true;
  if (urls.length === 0) {
    if (trustsHashes) throw usage("Cannot use --l2-trust-hashes without --l2: there is no node");
    return undefined;
  }
  return new RangeChecker({
    endpoints: urls.map((url) => new HttpJsonRpc({ url, clock: systemClock })),
    clock: systemClock,
    random: systemRandom,
    trustsHashes,
  });
}

function accepted(superblock: bigint, chainId: bigint, isProof: boolean): string {
  const what = isProof ? "a proof, which nobody looked into" : "no proof, after execution checks";
  return `chain ${chainId} handed in superblock ${superblock}: ${what}`;
}
