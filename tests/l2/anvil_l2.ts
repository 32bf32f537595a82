/**
 * An L2 for tests that is an anvil: transactions of all types, and what of them a batch must hold.
 *
 * @module
 */
import { keccak256, parseTransaction, serializeTransaction } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { toHex } from "../../src/wire/hex.ts";
import { type Anvil, ANVIL_ACCOUNTS } from "../l1/anvil.ts";

type Hex = `0x${string}`;

const account: PrivateKeyAccount = privateKeyToAccount(toHex(ANVIL_ACCOUNTS[0]!.key) as Hex);
const FEES = { maxFeePerGas: 100n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n };

/** A signed transaction: what is sent, and what stands in a block. */
export interface Signed {
  readonly sent: Hex;
  readonly raw: Hex;
}

/** A transaction that carries nothing special: the nonce tells them apart. */
export async function signedTransfer(chainId: number, nonce: number): Promise<Signed> {
  const common = { chainId, nonce, to: account.address, value: BigInt(nonce), gas: 21_000n };
  const raw = await account.signTransaction({ ...common, ...FEES, type: "eip1559" });
  return { sent: raw, raw };
}

/** One of each type from 0 to 4 but 3, with the chain in the signature of type 0 and without it. */
export async function oneOfEachType(chainId: number, firstNonce: number): Promise<Signed[]> {
  let nonce = firstNonce;
  const to = account.address;
  const plain = (gas: bigint) => ({ nonce: nonce++, to, gas, value: 1n });
  const gasPrice = 100n * 10n ** 9n;
  const accessList = [{ address: to, storageKeys: [`0x${"01".repeat(32)}` as Hex] }];
  const raws: Hex[] = [
    await account.signTransaction({ ...plain(21_000n), chainId, gasPrice, type: "legacy" }),
    await account.signTransaction({ ...plain(21_000n), gasPrice, type: "legacy" }),
    await account.signTransaction({
      ...plain(60_000n),
      chainId,
      gasPrice,
      accessList,
      type: "eip2930",
    }),
    await account.signTransaction({ ...plain(60_000n), ...FEES, chainId, accessList }),
    // It makes a contract: none to send to.
    await account.signTransaction({
      nonce: nonce++,
      gas: 100_000n,
      ...FEES,
      chainId,
      data: "0x600a600c600039600a6000f3602a60005260206000f3",
    }),
  ];
  const authorizationList = [
    await account.signAuthorization({ chainId, contractAddress: to, nonce: nonce + 1 }),
  ];
  const setCode = await account.signTransaction({
    ...plain(100_000n),
    ...FEES,
    chainId,
    type: "eip7702",
    authorizationList,
  });
  return [...raws, setCode].map((raw) => ({ sent: raw, raw }));
}

/**
 * Type 3, sent with its sidecar in the form that anvil takes under each fork. The transactions root that
 * anvil 1.7.1 makes of a block that it is in is of what was sent, sidecar and all, as in no other client.
 */
export async function signedBlob(
  chainId: number,
  nonce: number,
  from: PrivateKeyAccount = account,
): Promise<Signed> {
  const blob = `0x${"00".repeat(131_072)}` as Hex;
  // Of a polynomial that is zero everywhere both are the point at infinity.
  const commitment = `0xc0${"00".repeat(47)}` as Hex;
  const proof = commitment;
  const sent = await from.signTransaction({
    type: "eip4844",
    chainId,
    nonce,
    to: account.address,
    gas: 21_000n,
    ...FEES,
    maxFeePerBlobGas: 10n ** 9n,
    sidecars: [{ blob, commitment, proof }],
    blobVersionedHashes: [await versionedHash(commitment)],
  });
  const { sidecars: _, ...fields } = parseTransaction(sent) as Record<string, unknown>;
  const { r, s, yParity, v } = fields as { r: Hex; s: Hex; yParity: number; v: bigint };
  return { sent, raw: serializeTransaction(fields as never, { r, s, yParity, v } as never) };
}

async function versionedHash(commitment: Hex): Promise<Hex> {
  const bytes = Uint8Array.fromHex(commitment.slice(2));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return toHex(hash.with(0, 1)) as Hex;
}

/** What travels of each block from block 1 on: hashes out of the node, bytes out of what was signed. */
export async function chainOf(
  l2: Pick<Anvil, "rpc" | "head">,
  raws: ReadonlyMap<string, string>,
): Promise<string[]> {
  const blocks: string[] = [];
  const head = await l2.head();
  for (let number = 1n; number <= head; number++) {
    const block = await l2.rpc("eth_getBlockByNumber", [`0x${number.toString(16)}`, false]);
    const transactions = (block.transactions as string[]).map((hash) =>
      raws.get(hash) ?? "unknown"
    );
    blocks.push([Number(block.timestamp), ...transactions].join());
  }
  return blocks;
}

/** Sends them, so that they stand in the next block, in this order where their account is the same. */
export async function send(anvil: Anvil, signed: readonly Signed[]): Promise<void> {
  for (const { sent, raw } of signed) {
    const hash = await anvil.rpc("eth_sendRawTransaction", [sent]);
    if (hash !== keccak256(raw)) throw new Error(`anvil knows it as ${hash}`);
  }
}
