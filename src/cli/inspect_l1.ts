/**
 * A batch transaction as it stands on L1: who posted it where, what it cost, what is in it, and what
 * derivation makes of it.
 *
 * @module
 */
import {
  CodecError,
  CompressionError,
  ConfigError,
  describeError,
  SourceError,
} from "../errors.ts";
import { checkHeader, undecodable } from "../pipeline/verdict.ts";
import { concatBytes, equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { parseCalldata } from "../wire/inbox.ts";
import { writeStderr } from "../runtime.ts";
import type { L1Batch } from "../types.ts";
import { type BatchCost, costsOf } from "./batch_costs.ts";
import { type FlagValues, textOf } from "./command.ts";
import {
  inspectBlobs,
  inspectCompressed,
  type Inspection,
  inspectionText,
  inspectionToJson,
} from "./inspection.ts";
import type { PostedTransaction, RoleL1 } from "./l1.ts";
import { addressesOf, batcherAt, type L1Place, l1Place, namedBatchers } from "./l1_flags.ts";
import { openL1 } from "./open_l1.ts";
import { parseAddress } from "./options.ts";
import { countOf, factLines, formatWei } from "./text.ts";

/** A batch transaction, explained. */
export interface PostedInspection {
  readonly posted: PostedTransaction;
  /** By its calldata. */
  readonly batchNumber: bigint;
  /** On an L1 that is paid, where the node has the receipt. */
  readonly cost?: BatchCost;
  /** Where a batch could be made of it. */
  readonly content?: Inspection;
  readonly verdict: Verdict;
}

/**
 * What derivation makes of the transaction by itself: `ignored` for what is not the batcher's to the inbox,
 * as far as `--inbox` and `--batcher` tell. An accepted one may still come out of turn.
 */
export type Verdict =
  | { readonly verdict: "accepted" }
  | { readonly verdict: "dropped" | "ignored"; readonly reason: string; readonly why: string };

/** Explains a transaction by its hash. */
export async function findTransaction(
  txHash: Uint8Array,
  flags: FlagValues,
): Promise<PostedInspection> {
  const place = l1Place(flags);
  // Nothing is looked through, so nobody needs to say from where on.
  const anywhere = place.kind === "ethereum" ? { ...place, startBlock: 0n } : place;
  return await withL1(anywhere, async (l1) => {
    const posted = await l1.transaction(txHash);
    if (posted === "pool") {
      throw notFound(
        `Cannot inspect ${toHex(txHash)}: it waits in the pool of ${l1.name}, in no block`,
      );
    }
    if (!posted) {
      throw notFound(`Cannot inspect ${toHex(txHash)}: ${l1.name} knows no such transaction`);
    }
    const call = parseCalldata(posted.input, posted.blobHashes.length);
    if (call) return await explain(l1, place, posted, flags);
    throw new CodecError(
      "InvalidTransaction",
      `Cannot inspect ${toHex(txHash)}: ${noBatch(posted)}`,
    );
  });
}

/** Explains the first transaction with a batch of this number that derivation would accept, or else the last. */
export async function findBatch(
  batchNumber: bigint,
  flags: FlagValues,
): Promise<PostedInspection> {
  const place = l1Place(flags);
  const addresses = addressesOf(flags, place);
  const { inbox, batcher, successors = [] } = addresses;
  return await withL1(place, async (l1) => {
    let last: PostedInspection | undefined;
    for await (const posted of l1.postings(inbox, 0n)) {
      const { sender, block } = posted;
      if (!sender || !equalBytes(sender, batcherAt(addresses, block.number))) continue;
      const call = parseCalldata(posted.input, posted.blobHashes.length);
      if (call?.batchNumber !== batchNumber) continue;
      if (last) writeStderr(`not ${toHex(last.posted.txHash)}: ${whyNot(last)}`);
      last = await explain(l1, place, posted, flags);
      if (last.verdict.verdict === "accepted") break;
    }
    if (last) return last;
    const batchers = [batcher, ...successors.map(({ address }) => address)].map(toHex);
    throw notFound(
      `Cannot find batch ${batchNumber}: ${
        batchers.join(", ")
      } has posted none of that number to ` +
        `${toHex(inbox)} on ${l1.name}, up to L1 block ${await l1.head("latest")}`,
    );
  });
}

/** The shape of `--json`: the transaction, the verdict, and the content as of a file. */
export function postedToJson(inspection: PostedInspection): object {
  const { posted, batchNumber, cost, content, verdict } = inspection;
  const { txHash, sender, to, blobHashes, block } = posted;
  return {
    transaction: {
      txHash: toHex(txHash),
      from: sender ? toHex(sender) : null,
      to: to ? toHex(to) : null,
      l1Block: block.number,
      l1BlockHash: toHex(block.hash),
      timestamp: block.timestamp,
      carriedBy: blobHashes.length > 0 ? "blobs" : "calldata",
      blobHashes: blobHashes.map((hash) => toHex(hash)),
      batchNumber,
      ...cost,
    },
    ...verdict,
    content: content ? inspectionToJson(content) : null,
  };
}

/** The same for people. */
export function postedText(inspection: PostedInspection): string {
  const { posted, batchNumber, cost, content, verdict } = inspection;
  const { txHash, sender, to, blobHashes, block } = posted;
  const time = new Date(Number(block.timestamp) * 1000).toISOString().slice(0, 19) + "Z";
  const carriers = blobHashes.length > 0 ? countOf(blobHashes.length, "blob") : "calldata";
  const facts: [string, string][] = [
    ["transaction", toHex(txHash)],
    ["from", sender ? toHex(sender) : "nobody: its signature is not of what it says"],
    ["to", to ? toHex(to) : "nobody: it makes a contract"],
    ["L1 block", `${block.number}, ${toHex(block.hash)}, ${time}`],
    ["carries", `batch ${batchNumber} in ${carriers}`],
    ...blobHashes.map((hash, at): [string, string] => [`blob ${at}`, toHex(hash)]),
  ];
  if (cost) {
    facts.push(["gas", `${cost.gasUsed} at ${formatWei(cost.gasPriceWei)}`]);
    if (cost.blobGasUsed > 0n) {
      facts.push(["blob gas", `${cost.blobGasUsed} at ${formatWei(cost.blobGasPriceWei)}`]);
    }
    facts.push(["cost", formatWei(cost.costWei)]);
  }
  const said = verdict.verdict === "accepted"
    ? "ok: derivation accepts it, if batch and blocks before it are those it follows\n"
    : `${verdict.verdict}: ${verdict.why}\n`;
  return factLines(facts) + "\n" + (content ? inspectionText(content, "posted") : "") + said;
}

async function withL1<T>(place: L1Place, action: (l1: RoleL1) => Promise<T>): Promise<T> {
  const l1 = (await openL1(place, (event) => {
    if (event.event === "endpoint.failed") {
      writeStderr(`warning: ${event.endpoint} failed: ${describeError(event.error)}`);
    }
  }))!;
  try {
    return await action(l1);
  } finally {
    await l1.close();
  }
}

async function explain(
  l1: RoleL1,
  place: L1Place,
  posted: PostedTransaction,
  flags: FlagValues,
): Promise<PostedInspection> {
  const { blobHashes, txHash } = posted;
  const { batchNumber, data } = parseCalldata(posted.input, blobHashes.length)!;
  const [cost] = await costsOf(l1, [txHash]) ?? [];
  const known = { posted, batchNumber, ...(cost ? { cost } : {}) };
  const blobs = await blobsOf(posted, place);
  const ignored = ignoredBy(posted, flags, place);
  let content: Inspection;
  try {
    content = blobs.length > 0
      ? await inspectBlobs(concatBytes(blobs))
      : await inspectCompressed(data);
  } catch (error) {
    if (!(error instanceof CodecError || error instanceof CompressionError)) throw error;
    const { reason } = undecodable(error);
    const verdict = { verdict: "dropped", reason, why: describeError(error) } as const;
    return { ...known, verdict: ignored ?? verdict };
  }
  const verdict = ignored ?? await judge(l1, posted, { batchNumber, data }, content);
  return { ...known, content, verdict };
}

async function blobsOf(posted: PostedTransaction, place: L1Place): Promise<readonly Uint8Array[]> {
  const hasNone = place.kind === "ethereum" && place.beaconUrls.length === 0 &&
    place.archive === undefined;
  if (posted.blobHashes.length > 0 && hasNone) {
    throw new ConfigError(
      "Usage",
      `Cannot read the ${
        countOf(posted.blobHashes.length, "blob")
      } of that transaction: nodes do not ` +
        `have blobs; name a --beacon, or an --archive`,
    );
  }
  return await posted.blobs();
}

/** Why it does not count, where the flags say whose transactions do. */
function ignoredBy(
  { sender, to, block }: PostedTransaction,
  flags: FlagValues,
  place: L1Place,
): Verdict | undefined {
  const inDirectory = place.kind === "directory" ? addressesOf(flags, place) : undefined;
  const text = textOf(flags, "inbox");
  const inbox = text === undefined ? inDirectory?.inbox : parseAddress("--inbox", text);
  const batchers = namedBatchers(flags) ?? inDirectory;
  const batcher = batchers && batcherAt(batchers, block.number);
  if (inbox && !(to && equalBytes(to, inbox))) {
    return { verdict: "ignored", reason: "inbox", why: `it does not go to ${toHex(inbox)}` };
  }
  if (!sender || (batcher && !equalBytes(sender, batcher))) {
    const isLater = batchers?.successors?.length ? ` in L1 block ${block.number}` : "";
    const who = batcher ? `is not of ${toHex(batcher)}${isLater}` : "has no valid signature";
    return { verdict: "ignored", reason: "sender", why: `it ${who}` };
  }
  return undefined;
}

async function judge(
  l1: RoleL1,
  { block, txHash, blobHashes }: PostedTransaction,
  call: { readonly batchNumber: bigint; readonly data: Uint8Array },
  { batch: { header } }: Inspection,
): Promise<Verdict> {
  const { number: blockNumber, hash: blockHash, timestamp } = block;
  const inclusion = { blockNumber, blockHash, timestamp, txHash, blobs: blobHashes.length };
  const batch: L1Batch = { ...call, inclusion };
  const l1OriginHash = header.l1Origin <= blockNumber
    ? await l1.hashOf(header.l1Origin)
    : undefined;
  const drop = checkHeader(header, {
    batch,
    l1OriginHash,
    parentHash: undefined,
    lastTimestamp: undefined,
  });
  return drop
    ? { verdict: "dropped", reason: drop.reason, why: drop.error.message }
    : { verdict: "accepted" };
}

function whyNot({ verdict }: PostedInspection): string {
  return verdict.verdict === "accepted" ? "" : verdict.why;
}

function noBatch({ input, blobHashes, to }: PostedTransaction): string {
  const need = blobHashes.length > 0
    ? "beside blobs need the 8 bytes of a number"
    : "without blobs need the 8 bytes of a number and a compressed batch";
  return `it is no batch: its calldata to ${to ? toHex(to) : "a new contract"} has ` +
    `${countOf(input.length, "byte")}; ${need}`;
}

function notFound(message: string): SourceError {
  return new SourceError("NotFound", message);
}
