/**
 * Whether the key opens, and whether its account can pay and is nobody else's.
 *
 * @module
 */
import type { L1Header } from "../ethereum.ts";
import { RpcChain } from "../l1/chain.ts";
import { marketCaps } from "../l1/fees.ts";
import { gasFor, worstCostWei } from "../l1/gas.ts";
import type { HttpJsonRpc } from "../l1/json_rpc.ts";
import { MAX_BLOBS_PER_TX } from "../wire/blob.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { blobCalldata } from "../wire/inbox.ts";
import { type Check, type Finding, finding } from "./checks.ts";
import { textOf } from "./command.ts";
import { BATCHERS_FLAG, namedBatchers } from "./l1_flags.ts";
import { ethereumPlace, fullBatchWei, marketOf, workingNode } from "./node_check.ts";
import { parseAddress } from "./options.ts";
import { SIGNER_FLAGS, signerFrom } from "./signer_flags.ts";
import { countOf, formatWei } from "./text.ts";

/** With a balance for less than so many batches somebody should fund the account. */
const FEW_BATCHES = 100n;

/** The key, then the account on L1; with `--batcher` alone the account, of several the last. */
export const accountCheck: Check = {
  name: "key",
  fix: "see to the flags of the key; `montana signer check` says more",
  flags: [BATCHERS_FLAG, ...SIGNER_FLAGS],
  async run(flags) {
    const hasKey = ["keyFile", "keystore", "keyEnv", "signerUrl"].some((name) =>
      flags[name] !== undefined
    );
    const batchers = namedBatchers(flags);
    const batcher = batchers?.successors?.at(-1)?.address ?? batchers?.batcher;
    const findings: Finding[] = [];
    let address = batcher;
    if (hasKey) {
      const signer = await signerFrom(flags);
      signer.close();
      address = signer.address;
      findings.push(keyFinding(address, batcher));
    }
    const place = ethereumPlace(flags);
    const inboxText = textOf(flags, "inbox");
    const inbox = inboxText === undefined ? undefined : parseAddress("--inbox", inboxText);
    const node = place && (address || inbox) ? await workingNode(place) : undefined;
    const ask = async (check: string, make: () => Promise<Finding>) => {
      findings.push(await finding(check, "see to the node, or ask another one", make));
    };
    if (place && node && address) {
      const [whose, { chain }] = [address, node];
      await ask("balance", () => fundsFinding(whose, node, place.blockTimeMs));
      await ask("nonces", () => nonceFinding(whose, chain));
    }
    if (node && inbox) await ask("inbox", () => inboxFinding(inbox, node.rpc));
    return findings;
  },
};

function keyFinding(address: Uint8Array, batcher: Uint8Array | undefined): Finding {
  const line = { check: "key", details: { address: toHex(address) } };
  if (!batcher || equalBytes(address, batcher)) {
    return { ...line, status: "ok", found: `opens; its address is ${toHex(address)}` };
  }
  return {
    ...line,
    status: "fail",
    found: `it is that of ${toHex(address)}, not of --batcher ${toHex(batcher)}`,
    fix: "derivers heed --batcher alone: give the key of that address, or change theirs",
  };
}

async function fundsFinding(
  address: Uint8Array,
  { chain, head }: { readonly chain: RpcChain; readonly head: L1Header },
  blockTimeMs: number,
): Promise<Finding> {
  const balanceWei = await chain.balance(address);
  const market = await marketOf(chain, head);
  const batchWei = fullBatchWei(market);
  const gas = gasFor(blobCalldata(2n ** 64n - 1n));
  const neededWei = worstCostWei(gas, MAX_BLOBS_PER_TX, marketCaps(market, true));
  const batches = batchWei > 0n ? balanceWei / batchWei : 0n;
  const hours = Number(batches) * blockTimeMs / 3_600_000;
  const line = {
    check: "balance",
    details: { address: toHex(address), balanceWei, fullBatchWei: batchWei, batches },
  };
  if (balanceWei < neededWei) {
    return {
      ...line,
      status: "fail",
      found: `${toHex(address)} has ${formatWei(balanceWei)}; a batch of ` +
        `${countOf(MAX_BLOBS_PER_TX, "blob")} is not sent with less than ${formatWei(neededWei)}`,
      fix: `send ether to ${toHex(address)}`,
    };
  }
  const found = `${formatWei(balanceWei)}: ${batches} full batches at today's price, ` +
    `${
      hours < 48 ? `${hours.toFixed(1)} hours` : `${Math.floor(hours / 24)} days`
    } with one a block`;
  if (batches >= FEW_BATCHES) return { ...line, status: "ok", found };
  return { ...line, status: "warn", found, fix: `send ether to ${toHex(address)} soon` };
}

async function nonceFinding(address: Uint8Array, chain: RpcChain): Promise<Finding> {
  const latest = await chain.nonce(address, "latest");
  const pending = await chain.nonce(address, "pending");
  const line = { check: "nonces", details: { latest, pending } };
  if (pending === latest) {
    return { ...line, status: "ok", found: `next is ${latest}, and nothing waits in the pool` };
  }
  if (pending < latest) {
    return {
      ...line,
      status: "warn",
      found: `the node counts ${pending} with its pool and ${latest} without: it is behind itself`,
      fix: "wait until it is in sync, or ask another node",
    };
  }
  return {
    ...line,
    status: "warn",
    found: `${countOf(pending - latest, "transaction")} from nonce ${latest} on wait in the pool`,
    fix:
      "well, if they are of a batcher that runs with this key; else somebody uses the account, which " +
      "a batcher must have for itself: wait until they land, or replace them",
  };
}

/** Gas is reckoned for an account without code, and code could keep what is sent to it from landing. */
async function inboxFinding(inbox: Uint8Array, rpc: HttpJsonRpc): Promise<Finding> {
  const code = await rpc.request("eth_getCode", [toHex(inbox), "latest"]);
  const bytes = typeof code === "string" ? Math.max(0, (code.length - 2) / 2) : 0;
  const line = { check: "inbox", details: { address: toHex(inbox), codeBytes: bytes } };
  if (bytes === 0) return { ...line, status: "ok", found: `${toHex(inbox)} has no code` };
  return {
    ...line,
    status: "fail",
    found: `${toHex(inbox)} is a contract (${
      countOf(bytes, "byte")
    } of code), which takes gas to run`,
    fix: "post to an address without code, such as 0xff0000…<chain id>",
  };
}
