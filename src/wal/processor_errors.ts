/**
 * What a processor refuses, in words.
 *
 * @module
 */
import { ProcessorError } from "../errors.ts";

/** Operations are left in the log. */
export function lateError(what: string, operations: number, cause: unknown): ProcessorError {
  return new ProcessorError(
    "Deadline",
    `Cannot ${what} in time: ${operations} ${
      operations === 1 ? "operation is" : "operations are"
    } not ` +
      `handled yet, and ${operations === 1 ? "stays" : "stay"} in the log`,
    { details: { operations }, ...(cause === undefined ? {} : { cause }) },
  );
}

/** Nothing is handed over. */
export function pausedError(what: string, operations: number): ProcessorError {
  return new ProcessorError(
    "Paused",
    `Cannot ${what}: it is paused with ${operations} ${
      operations === 1 ? "operation" : "operations"
    } in the log; resume it first`,
    { details: { operations } },
  );
}

/** Nothing is taken for now. */
export function drainingError(): ProcessorError {
  return new ProcessorError("Draining", "Cannot add an operation: it is draining; resume it first");
}

/** It has not begun. */
export function notStartedError(what: string): ProcessorError {
  return new ProcessorError("NotStarted", `Cannot ${what}: start() was not called`);
}

/** It has begun before. */
export function startedError(state: string): ProcessorError {
  return new ProcessorError("Started", `Cannot start: this processor is ${state} already`);
}

/** It has ended. */
export function closedError(): ProcessorError {
  return new ProcessorError("Closed", "Cannot go on: the processor was shut down");
}
