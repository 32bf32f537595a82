/**
 * Whether blobs can be read: each `--beacon` tells how slots are counted, on the chain of `--l1`, and gives
 * the blobs of a recent block, which are checked.
 *
 * @module
 */
import { describeError, SourceError } from "../errors.ts";
import type { Chain, L1Header } from "../ethereum.ts";
import { BeaconHttp } from "../l1/beacon_http.ts";
import { type BeaconNode, beaconNodes } from "../l1/beacon.ts";
import { openKzg } from "../l1/kzg_pool.ts";
import { fieldsOf, slotOf, type SlotRule } from "../l1/slots.ts";
import { systemClock } from "../runtime.ts";
import { type Check, type Finding, finding } from "./checks.ts";
import { kzgPreference } from "./sending_flags.ts";
import { ethereumPlace, workingNode } from "./node_check.ts";
import { countOf } from "./text.ts";

/** So many L1 blocks are looked through for one with blobs. */
const BLOCKS_LOOKED_AT = 16n;
/** A beacon node may be a block behind. */
const BELOW_HEAD = 1n;

const SLOTS_FIX = "give --beacon the beacon node of the same chain, with the whole path of its URL";
const BLOBS_FIX = "a node with all columns gives blobs: a supernode (for Lighthouse " +
  "--semi-supernode), or an archiver beside it; both as --beacon";

/** Each `--beacon`. */
export const beaconCheck: Check = {
  name: "beacon",
  fix: SLOTS_FIX,
  flags: [],
  async run(flags) {
    const place = ethereumPlace(flags);
    if (!place) return [];
    const { beaconUrls, archive } = place;
    if (beaconUrls.length === 0) {
      return archive === undefined
        ? [{
          check: "beacon",
          status: "warn",
          found: "no --beacon and no --archive: what is in blobs cannot be read back",
          fix: "name a beacon node; a batcher posts without one, a deriver reads calldata alone",
        }]
        : [];
    }
    const kzg = await openKzg(kzgPreference(flags));
    try {
      const l1 = await workingNode(place);
      const recent = l1 && await blockWithBlobs(l1.chain, l1.head);
      const looks = beaconNodes(beaconUrls, { kzg, clock: systemClock })
        .map((node, index) => findingsOf(node, beaconUrls[index]!, l1?.head, recent));
      return (await Promise.all(looks)).flat();
    } finally {
      await kzg.close();
    }
  },
};

/** A block whose blobs can be asked for. */
interface BlobsOfBlock {
  readonly header: L1Header;
  readonly hashes: readonly Uint8Array[];
}

async function blockWithBlobs(chain: Chain, head: L1Header): Promise<BlobsOfBlock | undefined> {
  for (let below = BELOW_HEAD; below < BLOCKS_LOOKED_AT && below <= head.number; below++) {
    const header = await chain.header(head.number - below);
    if (!header || header.blobGasUsed === 0n) continue;
    const block = await chain.block(header.number);
    const hashes = block?.transactions.flatMap(({ blobHashes }) => blobHashes) ?? [];
    if (block && hashes.length > 0) return { header: block.header, hashes };
  }
  return undefined;
}

async function findingsOf(
  node: BeaconNode,
  url: string,
  head: L1Header | undefined,
  recent: BlobsOfBlock | undefined,
): Promise<Finding[]> {
  const check = `beacon ${node.name}`;
  let rule: SlotRule;
  try {
    rule = await node.slots();
  } catch (error) {
    return [{ check, status: "fail", found: describeError(error), fix: SLOTS_FIX }];
  }
  const slots = slotsFinding(check, rule, head);
  if (slots.status === "fail" || !head) return [slots];
  if (recent) return [slots, await blobsFinding(node, recent)];
  const ask = () => endpointFinding(node, url, rule, head);
  return [slots, await finding(`blobs ${node.name}`, BLOBS_FIX, ask)];
}

function slotsFinding(check: string, rule: SlotRule, head: L1Header | undefined): Finding {
  if (rule === "block number") {
    return { check, status: "ok", found: "a development node: it takes block numbers for slots" };
  }
  const { genesisTime, slotMs } = rule;
  const said = `slots of ${Number(slotMs) / 1000} s since ${genesisTime}`;
  const details = { genesisTime, slotMs };
  const sinceMs = head ? (head.timestamp - genesisTime) * 1000n : 0n;
  if (sinceMs >= 0n && sinceMs % slotMs === 0n) {
    return { check, status: "ok", found: said, details };
  }
  const found = `${said}: L1 block ${head!.number} of ${head!.timestamp} is in no such slot`;
  return { check, status: "fail", found, fix: SLOTS_FIX, details };
}

async function blobsFinding(
  node: BeaconNode,
  { header, hashes }: BlobsOfBlock,
): Promise<Finding> {
  const check = `blobs ${node.name}`;
  const details = { l1Block: header.number, blobs: hashes.length };
  try {
    await node.blobs(header, hashes);
    const found =
      `gave the ${countOf(hashes.length, "blob")} of L1 block ${header.number}, each as ` +
      `its hash says`;
    return { check, status: "ok", found, details };
  } catch (error) {
    const isLate = error instanceof SourceError && error.details["why"] === "not yet";
    return {
      check,
      status: isLate ? "warn" : "fail",
      found: describeError(error),
      fix: isLate ? "wait until the beacon node is in sync" : BLOBS_FIX,
      details,
    };
  }
}

/** Where no recent block has blobs: at least there is something to ask. */
async function endpointFinding(
  { name }: BeaconNode,
  url: string,
  rule: SlotRule,
  head: L1Header,
): Promise<Finding> {
  const check = `blobs ${name}`;
  const http = new BeaconHttp({ url, clock: systemClock });
  const statuses: number[] = [];
  for (const endpoint of ["blobs", "blob_sidecars"]) {
    const { status, json } = await http.get(`/eth/v1/beacon/${endpoint}/${slotOf(rule, head)}`);
    if (status === 200 && Array.isArray(fieldsOf(json)["data"])) {
      const found = `answers; the last ${BLOCKS_LOOKED_AT} L1 blocks have no blobs to ask for`;
      return { check, status: "ok", found };
    }
    statuses.push(status);
  }
  return {
    check,
    status: "fail",
    found: `it answered ${statuses.join(" and ")} to /eth/v1/beacon/blobs and blob_sidecars`,
    fix: BLOBS_FIX,
  };
}
