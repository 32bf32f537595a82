/**
 * What `montana verify` answers: a sentence or JSON, and the exit code.
 *
 * @module
 */
import type { BlockDifference, ComparisonResult } from "../pipeline/comparison.ts";
import { writeStdout } from "../runtime.ts";
import { toHex } from "../wire/hex.ts";
import { EXIT } from "./command.ts";
import { countOf, toJson } from "./text.ts";

/** What was asked for, and what kept it from its end. */
export interface VerifyTask {
  readonly from: bigint | undefined;
  readonly to: bigint | undefined;
  /** A signal ended it. */
  readonly isStopped: boolean;
  /** L1 lacks this batch, and has some behind it. */
  readonly missingBatch?: bigint;
}

/** What is answered with `--json`. */
export interface VerifyAnswer {
  /** `incomplete`: all that both have is the same, and one of them ends too early. */
  readonly verdict: "same" | "different" | "incomplete";
  /** The first and the last block that was looked at. */
  readonly from: bigint | null;
  readonly to: bigint | null;
  readonly same: number;
  readonly transactions: number;
  readonly different: number;
  readonly firstDifference: FirstDifference | null;
  /** Why it is not complete. */
  readonly reason?: string;
}

/** The first difference: which block, and what each side has. */
export interface FirstDifference {
  readonly kind: BlockDifference["kind"];
  readonly block: bigint;
  /** Index of the transaction. */
  readonly transaction?: number;
  /** The batch that gave the block, and the L1 block that holds it. */
  readonly batch?: bigint;
  readonly l1Block?: bigint;
  /** Hashes, with sizes of transactions; `null` where there is nothing. */
  readonly l1?: string | null;
  readonly l1Bytes?: number;
  readonly l2?: string | null;
  readonly l2Bytes?: number;
  readonly text: string;
}

type Hash = (bytes: Uint8Array) => Uint8Array;

/** Says what came of it; gives the exit code. */
export async function tellVerdict(
  result: ComparisonResult,
  task: VerifyTask,
  { isJson, hash }: { readonly isJson: boolean; readonly hash: Hash },
): Promise<number> {
  const { same, transactions, different, last } = result;
  const reason = different > 0 ? undefined : incompleteReason(result, task);
  const verdict = different > 0 ? "different" : reason === undefined ? "same" : "incomplete";
  const firstDifference = result.firstDifference && explained(result.firstDifference, hash);
  const answer: VerifyAnswer = {
    verdict,
    from: last === undefined ? null : result.from ?? null,
    to: last ?? null,
    same,
    transactions,
    different,
    firstDifference: firstDifference ?? null,
    ...(reason === undefined ? {} : { reason }),
  };
  await writeStdout(isJson ? toJson(answer) : `${sentenceOf(answer)}\n`);
  if (verdict === "different") return EXIT.different;
  if (verdict === "same") return EXIT.done;
  return task.isStopped ? EXIT.workLeft : EXIT.tryLater;
}

/** Why not all was looked at; `undefined` where it was. */
function incompleteReason(
  { isDone, last, beyondL2, before, from }: ComparisonResult,
  { from: asked, to, isStopped, missingBatch }: VerifyTask,
): string | undefined {
  if (isDone) return undefined;
  if (isStopped) return "it was stopped";
  const where = last === undefined ? "" : ` after block ${last}`;
  if (beyondL2 > 0) return `L2 has none${where || " from there on"} yet, and L1 gives more`;
  if (missingBatch !== undefined) {
    return `batch ${missingBatch} is missing on L1, and batches behind it are there`;
  }
  if (last !== undefined) {
    return to === undefined ? undefined : `L1 gives none${where} yet, of ${to}`;
  }
  const first = asked ?? from;
  return before > 0 && first !== undefined
    ? `L1 gives ${countOf(before, "block")}, all before block ${first}`
    : "L1 gives no blocks yet";
}

function sentenceOf(answer: VerifyAnswer): string {
  const { from, to, same, transactions, different, firstDifference, reason } = answer;
  const held = from === null
    ? "nothing was compared"
    : `blocks ${from} to ${to}: ${countOf(same, "block")} with ` +
      `${countOf(transactions, "transaction")} the same on L1 and L2`;
  if (firstDifference) {
    const are = different === 1 ? "is" : "are";
    return `${held}, ${countOf(different, "block")} ${are} not\nfirst: ${firstDifference.text}`;
  }
  return reason === undefined ? held : `${held}; ${reason}`;
}

function explained(difference: BlockDifference, hash: Hash): FirstDifference {
  const { kind, number } = difference;
  switch (difference.kind) {
    case "transaction": {
      const { index, derived, l2, block } = difference;
      const sides = {
        l1: derived ? toHex(hash(derived)) : null,
        ...(derived ? { l1Bytes: derived.length } : {}),
        l2: l2 ? toHex(hash(l2)) : null,
        ...(l2 ? { l2Bytes: l2.length } : {}),
      };
      const shown = (name: string | null, bytes: Uint8Array | undefined) =>
        bytes ? `${name} (${countOf(bytes.length, "byte")})` : "none";
      return {
        kind,
        block: number,
        transaction: index,
        ...placeOf(block),
        ...sides,
        text: `block ${number}, transaction ${index}: L1 gives ${shown(sides.l1, derived)}, ` +
          `L2 has ${shown(sides.l2, l2)}${placeText(block)}`,
      };
    }
    case "parent": {
      const { parentHash, block } = difference;
      const check = toHex(block.parentCheck!);
      return {
        kind,
        block: number,
        ...placeOf(block),
        l1: check,
        l2: toHex(parentHash),
        text: `block ${number}: its batch names a parent that begins with ${check}, L2 has ` +
          `${toHex(parentHash)}${placeText(block)}; it may be another chain, or another way of it`,
      };
    }
    case "not on L1": {
      const { block } = difference;
      const text = `block ${number} with ${countOf(block.transactions.length, "transaction")} ` +
        `(timestamp ${block.timestamp}): L1 gives blocks behind it, and not this one`;
      return { kind, block: number, l1: null, text };
    }
    case "not on L2": {
      const { block } = difference;
      const text =
        `before block ${number}: L1 gives a block of timestamp ${block.timestamp} with ` +
        `${countOf(block.transactions.length, "transaction")} that L2 does not have` +
        placeText(block);
      return { kind, block: number, ...placeOf(block), l2: null, text };
    }
  }
}

function placeOf({ batchNumber, l1Block }: { batchNumber: bigint; l1Block: bigint }) {
  return { batch: batchNumber, l1Block };
}

function placeText({ batchNumber, l1Block }: { batchNumber: bigint; l1Block: bigint }): string {
  return ` (batch ${batchNumber} in L1 block ${l1Block})`;
}
