/**
 * What a command that fails says, and the exit code for it.
 *
 * @module
 */
import process from "node:process";
import {
  ConfigError,
  describeError,
  isRetryable,
  MontanaError,
  PipelineError,
  SignerError,
  type SignerErrorCode,
  SinkError,
} from "../errors.ts";
import { writeStderr } from "../runtime.ts";
import { EXIT } from "./command.ts";
import { tellHeldFailures } from "./passing_failures.ts";
import { withFlagNames, withoutKeys } from "./text.ts";

/** To start again helps as little as with any other setting; what a remote signer refuses is not among them. */
const UNUSABLE_KEY: readonly SignerErrorCode[] = ["Unreadable", "TooOpen", "Invalid", "Password"];

/** It is for people to say which L1, or which L2, is meant. */
function needsDecision(error: MontanaError): boolean {
  if (error instanceof PipelineError) return ["Reorganised", "WrongL1"].includes(error.code);
  return error.details["reason"] === "WrongChain" && error.kind === "critical";
}

/** Says in one line what could not be done, and gives the exit code for it. */
export function tellFailure(error: unknown): number {
  if (isBrokenPipe(error)) return EXIT.done;
  tellHeldFailures();
  const text = withFlagNames(`error: ${describeError(error)}`);
  writeStderr(error instanceof ConfigError ? withoutKeys(text) : text);
  if (!(error instanceof MontanaError)) {
    // Nobody foresaw this one: whoever mends it needs to know where it came from.
    if (process.env.MONTANA_TRACE && error instanceof Error) writeStderr(error.stack ?? "");
    return EXIT.failed;
  }
  if (error instanceof ConfigError) return error.code === "Usage" ? EXIT.usage : EXIT.badConfig;
  if (needsDecision(error)) return EXIT.undecided;
  if (error instanceof SignerError && UNUSABLE_KEY.includes(error.code)) return EXIT.badConfig;
  // Who starts again looks at L1 first: it finds what others posted, and seals anew what came too late.
  const helpsToStart = error instanceof SinkError &&
    ["NonceTaken", "WindowExpired"].includes(error.code);
  return helpsToStart || isRetryable(error) ? EXIT.tryLater : EXIT.failed;
}

/** The reader of our output has seen enough, as in `montana decode … | head`. */
function isBrokenPipe(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if ((each as { code?: unknown }).code === "EPIPE") return true;
  }
  return false;
}
