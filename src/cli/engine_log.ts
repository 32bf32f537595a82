/**
 * Events of driving an execution client in words.
 *
 * @module
 */
import type { EngineEvent } from "../ethereum.ts";
import type { LogEvent } from "../ports.ts";
import { toHex } from "../wire/hex.ts";
import type { Described } from "./processor_log.ts";
import { countOf } from "./text.ts";

const EVENTS: Readonly<Record<EngineEvent["event"], true>> = {
  "engine.opened": true,
  "engine.payload": true,
  "engine.waits": true,
  "engine.reorganised": true,
  "engine.lost": true,
  "engine.heads": true,
};

/** Whether driving an execution client told it. */
export function isEngineEvent(event: LogEvent): event is EngineEvent {
  return Object.hasOwn(EVENTS, event.event);
}

/** What happened. */
export function describeEngineEvent(event: EngineEvent): Described {
  switch (event.event) {
    case "engine.opened": {
      const { client, number, hash, head } = event;
      return {
        level: "info",
        text: `blocks go to ${client} behind its block ${number}; its head is ${head}`,
        fields: { client, number: `${number}`, hash: toHex(hash), head: `${head}` },
      };
    }
    case "engine.payload": {
      const { number, hash, transactions, wasThere } = event;
      const what = `block ${number} with ${countOf(transactions, "transaction")}`;
      return {
        level: "debug",
        text: wasThere ? `the client has ${what}` : `the client built ${what}`,
        fields: { number: `${number}`, hash: toHex(hash), transactions, was_there: `${wasThere}` },
      };
    }
    case "engine.waits": {
      const { method, status } = event;
      return {
        level: "warn",
        text: `the client answers ${status} to ${method}: asking again`,
        fields: { method, status },
      };
    }
    case "engine.reorganised": {
      const { number, hash, why } = event;
      return {
        level: "warn",
        text: `the client's block ${number} is not what L1 gives: ${why}; another takes its place`,
        fields: { number: `${number}`, hash: toHex(hash), why },
      };
    }
    case "engine.lost": {
      const { head, blocks } = event;
      return {
        level: "warn",
        text: `the client lost ${
          countOf(blocks, "block")
        } above its head ${head}: handing over again`,
        fields: { head: `${head}`, blocks },
      };
    }
    case "engine.heads": {
      const { head, safe, finalized } = event;
      const told = (number: bigint | undefined) => number === undefined ? "none" : `${number}`;
      return {
        level: "debug",
        text: `the client's head is ${head}, safe ${told(safe)}, final ${told(finalized)}`,
        fields: { head: `${head}`, safe: told(safe), finalized: told(finalized) },
      };
    }
  }
}
