/**
 * Whether the nodes of L2 answer, are of one chain, and give blocks that can be held against their hashes.
 *
 * @module
 */
import { describeError, RpcError } from "../errors.ts";
import { HttpJsonRpc } from "../l1/json_rpc.ts";
import { type L2Head, L2Nodes } from "../l2/l2_nodes.ts";
import type { NodeHeader } from "../l2/node_block.ts";
import { systemClock, systemRandom } from "../runtime.ts";
import { type Check, type Finding, finding } from "./checks.ts";
import { listOf } from "./command.ts";
import { L2_FLAG, L2_NODE_FLAGS, l2Place, mustBeThere, type NodePlace } from "./l2.ts";
import { countOf } from "./text.ts";

const HEADS: readonly L2Head[] = ["unsafe", "safe", "finalized"];
/** The newest blocks that are looked into. */
const BLOCKS = 8n;

/** Each `--l2`. */
export const l2Check: Check = {
  name: "l2",
  fix: "see to --l2",
  flags: [{ ...L2_FLAG, isRequired: false }, ...L2_NODE_FLAGS],
  async run(flags) {
    if (listOf(flags, "l2").length === 0) return [];
    const place = l2Place(flags);
    if (place.kind === "file") {
      await mustBeThere(place);
      return [{ check: `l2 ${place.path}`, status: "ok", found: "blocks as JSON lines" }];
    }
    return place.kind === "node" ? await nodeFindings(place) : [];
  },
};

/** Of one chain: the one that is named, or that of the first which answers. */
async function nodeFindings(place: NodePlace): Promise<Finding[]> {
  const findings: Finding[] = [];
  let { chainId } = place;
  for (const url of place.urls) {
    const rpc = new HttpJsonRpc({ url, clock: systemClock });
    const check = `l2 ${rpc.name}`;
    const fix = "see whether the node runs, and the URL of --l2 is right, with its key";
    findings.push(
      await finding(check, fix, async () => {
        const own = BigInt(`${await rpc.request("eth_chainId", [])}`);
        chainId ??= own;
        if (own !== chainId) {
          const found = `its chain id is ${own}, need ${chainId}`;
          return {
            check,
            status: "fail",
            found,
            fix: "give --l2 nodes of one chain, and its --l2-chain-id",
          };
        }
        return await blocksFinding(check, rpc, own, place);
      }),
    );
  }
  return findings;
}

async function blocksFinding(
  check: string,
  rpc: HttpJsonRpc,
  chainId: bigint,
  { head: followed, trustsHashes }: NodePlace,
): Promise<Finding> {
  const parts = { endpoints: [rpc], chainId, trustsHashes };
  const nodes = new L2Nodes({ ...parts, clock: systemClock, random: systemRandom });
  const heads = await Promise.all(HEADS.map((head) => headOrNone(nodes, head)));
  const [newest] = heads;
  const told = HEADS.map((head, at) => `${head} ${heads[at]?.number ?? "unknown"}`).join(", ");
  const said = `chain ${chainId}, ${told}`;
  const details = { chainId, ...(newest ? { head: newest.number } : {}) };
  if (!heads[HEADS.indexOf(followed)]) {
    const fix = followed === "unsafe"
      ? "see whether the node is in sync"
      : "wait until it is, or follow another head with --l2-head";
    const found = `${said}: the head to follow is not there`;
    return { check, status: "warn", found, fix, details };
  }
  const { number } = newest!;
  const first = number > BLOCKS ? number - BLOCKS + 1n : 0n;
  try {
    const blocks = await nodes.blocks(first, Number(number - first) + 1);
    const transactions = blocks.reduce((sum, { block }) => sum + block.transactions.length, 0);
    const held = `${countOf(blocks.length, "block")} with ${countOf(transactions, "transaction")}`;
    const found = trustsHashes
      ? `${said}; the last ${held} taken on trust`
      : `${said}; the last ${held} held against their hashes`;
    return { check, status: "ok", found, details };
  } catch (error) {
    return {
      check,
      status: "fail",
      found: `${said}; ${describeError(error)}`,
      fix: "ask another node; where all of the chain say so, see --l2-trust-hashes",
      details,
    };
  }
}

/** A node that answers, and has no such head. */
async function headOrNone(nodes: L2Nodes, head: L2Head): Promise<NodeHeader | undefined> {
  return await nodes.head(head).catch((error) => {
    if (error instanceof RpcError && error.details["reason"] === "NoHead") return undefined;
    throw error;
  });
}
