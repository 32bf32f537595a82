/**
 * Events of a batch processor in words.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { OperationBatch, ProcessorEvent } from "../types.ts";
import { countOf, formatBytes } from "./text.ts";

/** An event in words, and as fields of JSON. */
export interface Described {
  readonly level: "debug" | "info" | "warn";
  readonly text: string;
  readonly fields: Readonly<Record<string, string | number>>;
}

/** What happened. */
export function describeProcessorEvent(event: ProcessorEvent): Described {
  switch (event.event) {
    case "operations.recovered": {
      const { operations, bytes, batch } = event;
      const underWay = batch ? `; batch ${nameOf(batch)} was under way` : "";
      return {
        level: operations > 0 ? "info" : "debug",
        text: `the log holds ${countOf(operations, "operation")} to handle, ${formatBytes(bytes)}` +
          underWay,
        fields: { operations, bytes, ...(batch && { batch: nameOf(batch) }) },
      };
    }
    case "operations.handled": {
      const { batch, reason, attempts, latencyMs } = event;
      return {
        level: "debug",
        text: `handled ${inWords(batch)} in ${Math.round(latencyMs)} ms (${reason})`,
        fields: { ...fieldsOf(batch), reason, attempts, latency_ms: Math.round(latencyMs) },
      };
    }
    case "handler.failed": {
      const { batch, attempt, error, retryMs } = event;
      const then = retryMs === undefined ? "not tried again" : `trying again in ${retryMs} ms`;
      return {
        level: "warn",
        text: `${describeError(error)}; batch ${nameOf(batch)}, try ${attempt}: ${then}`,
        fields: {
          ...fieldsOf(batch),
          attempt,
          ...(retryMs === undefined ? {} : { delay_ms: retryMs }),
          error: describeError(error),
        },
      };
    }
    case "operations.dead": {
      const { batch, attempts, error, path } = event;
      return {
        level: "warn",
        text: `gave up on ${inWords(batch)}, kept in ${path}: ${describeError(error)}`,
        fields: { ...fieldsOf(batch), attempts, path, error: describeError(error) },
      };
    }
    case "processor.waits": {
      const { what, error, retryMs } = event;
      return {
        level: "warn",
        text: `${describeError(error)}; writing the ${what} again in ${retryMs} ms`,
        fields: { what, delay_ms: retryMs, error: describeError(error) },
      };
    }
    case "processor.stopped": {
      const error = describeError(event.error);
      return {
        level: "warn",
        text: `the line stands still until it is resumed: ${error}`,
        fields: { error },
      };
    }
    case "processor.full": {
      const { policy, operations, bytes } = event;
      const then = policy === "wait" ? "wait for room" : "are refused";
      return {
        level: "warn",
        text: `the queue is full with ${countOf(operations, "operation")}, ` +
          `${formatBytes(bytes)}: more of them ${then}`,
        fields: { policy, operations, bytes },
      };
    }
    case "size.decided": {
      const { from, to, reason } = event;
      return {
        level: "debug",
        text: `${countOf(to, "operation")} make a batch, after ${from} (${reason})`,
        fields: { from, to, reason },
      };
    }
  }
}

function nameOf({ first, last }: Pick<OperationBatch, "first" | "last">): string {
  return `${first}-${last}`;
}

function inWords(batch: OperationBatch): string {
  const { operations, bytes } = batch;
  return `batch ${nameOf(batch)}, ${countOf(operations.length, "operation")}, ${
    formatBytes(bytes)
  }`;
}

function fieldsOf(batch: OperationBatch): Described["fields"] {
  return { batch: nameOf(batch), operations: batch.operations.length, bytes: batch.bytes };
}
