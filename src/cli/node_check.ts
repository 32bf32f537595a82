/**
 * Whether the nodes of L1 answer, are of one chain, and are where the clock says they should be.
 *
 * @module
 */
import { SAFE_CONFIRMATIONS } from "../config.ts";
import { describeError } from "../errors.ts";
import type { L1Header } from "../ethereum.ts";
import { RpcChain } from "../l1/chain.ts";
import { expectedCostWei, gasFor, type Market } from "../l1/gas.ts";
import { HttpJsonRpc, RPC_TIMEOUT_MS } from "../l1/json_rpc.ts";
import { L1Directory } from "../local/l1_directory.ts";
import { systemClock } from "../runtime.ts";
import { MAX_BLOBS_PER_TX } from "../wire/blob.ts";
import { blobCalldata } from "../wire/inbox.ts";
import { type Check, type Finding, finding } from "./checks.ts";
import { type FlagValues, listOf } from "./command.ts";
import { ETHEREUM_FLAGS, type EthereumPlace, INBOX_FLAG, L1_FLAG, l1Place } from "./l1_flags.ts";
import { countOf, formatWei } from "./text.ts";

/** Blocks by which a head may be old: slots are missed. */
const FEW_BLOCKS = 4;
/** A node so far behind is of no use now. */
const MANY_BLOCKS = 25;
/** Two epochs are normal, and so is a third. */
const UNFINAL_BLOCKS = 128n;

/** What of L1 a check looks at; none without `--l1`, or with a directory. */
export function ethereumPlace(flags: FlagValues): EthereumPlace | undefined {
  if (listOf(flags, "l1").length === 0) return undefined;
  const place = l1Place(flags);
  return place.kind === "ethereum" ? place : undefined;
}

/** One of the nodes, asked directly. */
export function nodeAt(
  url: string,
  { rpcTimeoutMs: timeoutMs = RPC_TIMEOUT_MS }: Pick<EthereumPlace, "rpcTimeoutMs">,
): { readonly rpc: HttpJsonRpc; readonly chain: RpcChain } {
  const rpc = new HttpJsonRpc({ url, clock: systemClock, timeoutMs });
  return { rpc, chain: new RpcChain(rpc) };
}

/** The first node that answers, and its latest block. */
export async function workingNode(
  place: EthereumPlace,
): Promise<(ReturnType<typeof nodeAt> & { readonly head: L1Header }) | undefined> {
  for (const url of place.urls) {
    const node = nodeAt(url, place);
    const head = await node.chain.header("latest").catch(() => undefined);
    if (head) return { ...node, head };
  }
  return undefined;
}

/** Each `--l1`. */
export const nodeCheck: Check = {
  name: "l1",
  fix: "see to --l1",
  flags: [{ ...L1_FLAG, isRequired: false }, INBOX_FLAG, ...ETHEREUM_FLAGS],
  async run(flags) {
    if (listOf(flags, "l1").length === 0) return [];
    const place = l1Place(flags);
    if (place.kind === "directory") return [await directoryFinding(place.path)];
    return await nodeFindings(place);
  },
};

async function directoryFinding(path: string): Promise<Finding> {
  const head = await (await L1Directory.open(path)).head("latest");
  return { check: `l1 ${path}`, status: "ok", found: `a directory; its head is block ${head}` };
}

interface Seen {
  readonly name: string;
  readonly chainId?: bigint;
  readonly head?: L1Header;
  readonly finalized?: L1Header | undefined;
  readonly error?: unknown;
}

async function nodeFindings(place: EthereumPlace): Promise<Finding[]> {
  const seen = await Promise.all(place.urls.map((url) => look(url, place)));
  const answered = seen.filter((each) => each.head !== undefined);
  const chainId = place.chainId ?? answered[0]?.chainId;
  const findings = seen.map((each) => nodeFinding(each, place, chainId, answered.length > 0));
  const newest = answered.map(({ head }) => head!)
    .reduce<L1Header | undefined>((a, b) => a && a.timestamp >= b.timestamp ? a : b, undefined);
  if (newest) findings.push(clockFinding(newest, place));
  const working = answered.length > 0 ? await workingNode(place) : undefined;
  if (!working) return findings;
  const fix = "see to the node, or ask another one";
  return [
    ...findings,
    await finding("sidecar", fix, () => sidecarFinding(working.chain)),
    await finding("fees", fix, () => feeFinding(working)),
  ];
}

async function look(url: string, place: EthereumPlace): Promise<Seen> {
  const { rpc, chain } = nodeAt(url, place);
  const { name } = rpc;
  try {
    const chainId = await chain.chainId();
    const [head, finalized] = [await chain.header("latest"), await chain.header("finalized")];
    return head
      ? { name, chainId, head, finalized }
      : { name, error: new Error("it has no latest block") };
  } catch (error) {
    return { name, error };
  }
}

function nodeFinding(
  { name, chainId, head, finalized, error }: Seen,
  { blockTimeMs }: EthereumPlace,
  expected: bigint | undefined,
  hasOther: boolean,
): Finding {
  const check = `l1 ${name}`;
  if (!head) {
    return {
      check,
      status: hasOther ? "warn" : "fail",
      found: describeError(error),
      fix: hasOther
        ? "another node answers in its place; mend this one, or leave it out"
        : "see whether the node runs and the URL of --l1 is right, with its key",
    };
  }
  if (chainId !== expected) {
    const found = `its chain id is ${chainId}, need ${expected}`;
    return {
      check,
      status: "fail",
      found,
      fix: "give --l1 nodes of one chain, and its --chain-id",
    };
  }
  const ageMs = ageOf(head);
  const details = {
    chainId: chainId!,
    head: head.number,
    headAgeMs: ageMs,
    ...(finalized ? { finalized: finalized.number } : {}),
  };
  const age = ageMs > 0 ? `${Math.round(ageMs / 1000)} s old` : "new";
  const said = `chain ${chainId}, head ${head.number} is ${age}`;
  const line = { check, details };
  if (ageMs > FEW_BLOCKS * blockTimeMs) {
    return {
      ...line,
      status: ageMs > MANY_BLOCKS * blockTimeMs ? "fail" : "warn",
      found: `${said}, with a block every ${blockTimeMs / 1000} s`,
      fix:
        "wait until the node is in sync, or see whether it has peers; another chain: --block-time",
    };
  }
  if (!finalized) {
    return {
      ...line,
      status: "warn",
      found: `${said}; it knows no finalized block`,
      fix:
        `batches name a block ${SAFE_CONFIRMATIONS} below the head instead; a node with a beacon ` +
        `node beside it knows more`,
    };
  }
  const unfinal = head.number - finalized.number;
  const found = `${said}, finalized ${finalized.number}`;
  if (unfinal <= UNFINAL_BLOCKS) return { ...line, status: "ok", found };
  const fix =
    "the chain, or what the node knows of it, is not being finalized: see to its beacon node";
  return { ...line, status: "warn", found: `${found}, ${unfinal} blocks below`, fix };
}

/** Blocks have the time at which their slot began, so a clock that is right is never before them. */
function clockFinding(head: L1Header, { blockTimeMs }: EthereumPlace): Finding {
  const ageMs = ageOf(head);
  const line = { check: "clock", details: { headAgeMs: ageMs } };
  const seconds = (ms: number) => `${Math.round(Math.abs(ms) / 100) / 10} s`;
  if (ageMs < -1000) {
    return {
      ...line,
      status: ageMs < -blockTimeMs ? "fail" : "warn",
      found: `the newest block of L1 is ${seconds(ageMs)} ahead of this machine's clock`,
      fix: "set the clock, and keep it set: chronyd or systemd-timesyncd",
    };
  }
  if (ageMs <= FEW_BLOCKS * blockTimeMs) {
    return { ...line, status: "ok", found: `the newest block of L1 is ${seconds(ageMs)} old` };
  }
  return {
    ...line,
    status: "warn",
    found:
      `the newest block of L1 is ${seconds(ageMs)} old: the nodes are behind, or this machine's ` +
      `clock is ahead`,
    fix: "compare the clock (timedatectl), and see to the nodes",
  };
}

async function sidecarFinding(chain: RpcChain): Promise<Finding> {
  const form = await chain.sidecarForm();
  const found = {
    cells: "with cell proofs (the chain is in Osaka)",
    legacy: "with one proof a blob (the chain is before Osaka)",
    unknown: "eth_config does not tell; cell proofs are tried, then one proof a blob",
  }[form ?? "unknown"];
  return { check: "sidecar", status: "ok", found, details: { form: form ?? "unknown" } };
}

/** What a transaction of 6 blobs costs in the next block. */
export function fullBatchWei(market: Market): bigint {
  return expectedCostWei(gasFor(blobCalldata(2n ** 64n - 1n)), MAX_BLOBS_PER_TX, market);
}

/** What gas costs now, by a node. */
export async function marketOf(chain: RpcChain, head: L1Header): Promise<Market> {
  const [tip, blobBaseFee] = await Promise.all([chain.tip(), chain.blobBaseFee()]);
  return { baseFee: head.baseFeePerGas, tip, blobBaseFee };
}

async function feeFinding(
  { chain, head }: { readonly chain: RpcChain; readonly head: L1Header },
): Promise<Finding> {
  const market = await marketOf(chain, head);
  const { baseFee, tip, blobBaseFee } = market;
  const wei = fullBatchWei(market);
  return {
    check: "fees",
    status: "ok",
    found: `base fee ${formatWei(baseFee)}, tip ${formatWei(tip)}, blob base fee ` +
      `${formatWei(blobBaseFee)}: a batch of ${countOf(MAX_BLOBS_PER_TX, "blob")} costs ` +
      formatWei(wei),
    details: {
      baseFeeWei: baseFee,
      tipWei: tip,
      blobBaseFeeWei: blobBaseFee,
      fullBatchWei: wei,
    },
  };
}

function ageOf({ timestamp }: L1Header): number {
  return systemClock.now() - Number(timestamp) * 1000;
}
