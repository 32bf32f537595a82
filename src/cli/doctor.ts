/**
 * `montana doctor`: what works here, what does not, and what to do about it. What is not named by a flag is
 * not looked at; give it the flags of a batcher or deriver.
 *
 * With `--json` it is a list of {@link Finding}. The exit code is 4 where one says `fail`.
 *
 * @module
 */
import { ConfigError, describeError } from "../errors.ts";
import { leaveMemoryOutOfCores, writeStdout } from "../runtime.ts";
import { accountCheck } from "./account_check.ts";
import { beaconCheck } from "./beacon_check.ts";
import type { Check, Finding } from "./checks.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG } from "./command.ts";
import { diskCheck } from "./disk_check.ts";
import { kzgCheck } from "./kzg_check.ts";
import { l2Check } from "./l2_check.ts";
import { nodeCheck } from "./node_check.ts";
import { toJson } from "./text.ts";

/** In the order of their lines. */
const CHECKS: readonly Check[] = [
  kzgCheck,
  l2Check,
  nodeCheck,
  beaconCheck,
  accountCheck,
  diskCheck,
];

/** Checks one thing after the other, and says of each: ok, warn or fail. */
export const doctor: CommandSpec = {
  name: "doctor",
  summary: "Check what is needed here, and say how to mend what is not right",
  flags: [...new Set(CHECKS.flatMap((check) => check.flags)), JSON_FLAG],
  examples: [
    "doctor",
    "doctor --kzg portable",
    "doctor --l1 http://127.0.0.1:8545 --beacon http://127.0.0.1:5052 --inbox 0xff00000000000000000000000000000000008453 --key-file batcher.key --data-dir ./batcher --json",
  ],
  async run(flags) {
    // The URLs of nodes may hold keys.
    await leaveMemoryOutOfCores();
    const findings: Finding[] = [];
    for (const check of CHECKS) {
      const made = await findingsOf(check, flags);
      findings.push(...made);
      if (!flags.json) await writeStdout(made.map(lineOf).join(""));
    }
    if (flags.json) await writeStdout(toJson(findings));
    return findings.some((finding) => finding.status === "fail") ? EXIT.different : EXIT.done;
  },
};

/** A check that cannot even be made has failed; what was asked for wrongly has not. */
async function findingsOf(check: Check, flags: FlagValues): Promise<readonly Finding[]> {
  try {
    return await check.run(flags);
  } catch (error) {
    if (error instanceof ConfigError && error.code === "Usage") throw error;
    const { name, fix } = check;
    return [{ check: name, status: "fail", found: describeError(error), fix }];
  }
}

function lineOf({ check, status, found, fix }: Finding): string {
  const line = `${status.padEnd(4)}  ${check}: ${found}\n`;
  return fix === undefined ? line : `${line}      fix: ${fix}\n`;
}
