/**
 * A node that answers by script, and tells what it was asked.
 *
 * @module
 */
import { RpcError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";

/** What is answered: a value, an error to throw, or what a function makes of the parameters. */
export type ScriptedAnswer =
  | null
  | boolean
  | string
  | object
  | Error
  | ((params: readonly unknown[]) => unknown);

/** One call. */
export interface ScriptedCall {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** For {@link ScriptedNode}: answers one after the other; the last one stays. */
export class InTurn {
  readonly #answers: ScriptedAnswer[];

  constructor(...answers: readonly ScriptedAnswer[]) {
    this.#answers = [...answers];
  }

  next(): ScriptedAnswer {
    return this.#answers.length > 1 ? this.#answers.shift()! : this.#answers[0]!;
  }
}

/** The error that a node's answer becomes. */
export function said(message: string, rpcCode = -32000): RpcError {
  return new RpcError("Answered", message, { details: { rpcCode } });
}

/** Answers each method as its script says, and no other. */
export class ScriptedNode implements JsonRpc {
  readonly name: string;
  readonly calls: ScriptedCall[] = [];
  readonly answers: Record<string, ScriptedAnswer | InTurn>;

  constructor(answers: Record<string, ScriptedAnswer | InTurn>, name = "scripted") {
    this.answers = answers;
    this.name = name;
  }

  async request(method: string, params: readonly unknown[]): Promise<unknown> {
    this.calls.push({ method, params });
    const script = this.answers[method];
    if (script === undefined) throw said(`the method ${method} does not exist`, -32601);
    const answer = script instanceof InTurn ? script.next() : script;
    if (answer instanceof Error) throw answer;
    return await (typeof answer === "function" ? answer(params) : answer);
  }

  /** The methods asked for, in order. */
  get methods(): string[] {
    return this.calls.map(({ method }) => method);
  }
}
