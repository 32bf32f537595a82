/**
 * Events of what a consensus client asks for in words.
 *
 * @module
 */
import type { ConsensusEvent } from "../engine.ts";
import { describeError } from "../errors.ts";
import type { LogEvent } from "../ports.ts";
import { toHex } from "../wire/hex.ts";
import type { Described } from "./processor_log.ts";

const EVENTS: Readonly<Record<ConsensusEvent["event"], true>> = {
  "consensus.payload": true,
  "consensus.forkchoice": true,
  "consensus.not_followed": true,
  "consensus.asked_to_build": true,
  "consensus.refused": true,
};

/** Whether a consensus client had to do with it. */
export function isConsensusEvent(event: LogEvent): event is ConsensusEvent {
  return Object.hasOwn(EVENTS, event.event);
}

/** What happened. */
export function describeConsensusEvent(event: ConsensusEvent): Described {
  switch (event.event) {
    case "consensus.payload": {
      const { number, hash, status, reason } = event;
      const why = reason === undefined ? "" : `: ${reason}`;
      return {
        level: status === "INVALID" ? "warn" : "debug",
        text: `the consensus client gave block ${number}, which is ${status}${why}`,
        fields: { number: `${number}`, hash: toHex(hash), status, ...(reason ? { reason } : {}) },
      };
    }
    case "consensus.forkchoice": {
      const { status, head, headNumber, safeNumber, finalizedNumber, reason } = event;
      const told = (number: bigint | undefined) => number === undefined ? "none" : `${number}`;
      const heads = `safe ${told(safeNumber)}, final ${told(finalizedNumber)}`;
      return {
        level: status === "INVALID" ? "warn" : "debug",
        text: status === "VALID"
          ? `the consensus client's head is ${told(headNumber)}, ${heads}`
          : `the consensus client's head ${toHex(head)} is ${status}: ${reason}`,
        fields: {
          status,
          head: toHex(head),
          head_number: told(headNumber),
          safe: told(safeNumber),
          finalized: told(finalizedNumber),
          ...(reason ? { reason } : {}),
        },
      };
    }
    case "consensus.not_followed": {
      const { choices, reason } = event;
      const times = choices === 1 ? "" : `, for the ${choices}th time`;
      return {
        level: "warn",
        text: `the head that the consensus client chose is not followed${times}: ${reason}`,
        fields: { choices, reason },
      };
    }
    case "consensus.asked_to_build":
      return {
        level: "warn",
        text:
          `the consensus client asked for a block on top of ${event.headNumber}, and gets none: this ` +
          `program builds no blocks, so that client must not be the sequencer's only one`,
        fields: { head: `${event.headNumber}` },
      };
    case "consensus.refused":
      return {
        level: "warn",
        text: `a request to the Engine API was refused (${describeError(event.error)})`,
        fields: { error: describeError(event.error) },
      };
  }
}
