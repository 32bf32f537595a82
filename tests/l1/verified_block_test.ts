import { match, ok, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { privateKeyToAccount } from "viem/accounts";
import { RpcError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { blockHashing, orderedRoot } from "../../src/l1/block_hashing.ts";
import { RpcChain } from "../../src/l1/chain.ts";
import { RpcEndpoints } from "../../src/l1/endpoints.ts";
import { headerHash } from "../../src/l1/header_hash.ts";
import { L1Inbox } from "../../src/l1/inbox.ts";
import type { JsonFields } from "../../src/l1/json_fields.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { rawTransaction } from "../../src/l1/raw_transaction.ts";
import { systemClock, systemRandom } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { Events } from "../helpers.ts";
import { type Anvil, ANVIL_ACCOUNTS, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { batch, posted } from "./fake_chain.ts";
import { asNode } from "./node_json.ts";
import { said, type ScriptedAnswer, ScriptedNode } from "./scripted_node.ts";
import { GWEI, INBOX, sending } from "./sending.ts";
import { ANVIL_KEY } from "./transactions.ts";

const skip = skipWithoutAnvil("blocks of nodes that are not trusted");
const STRICT = { verifiesBlocks: true };
const BLOCK = "eth_getBlockByNumber";
const hashing = await blockHashing();

type Transaction = Record<string, unknown>;
type Block = Record<string, unknown> & { transactions: Transaction[] };
type Lie = (block: Block) => void;

/** What a node can make up below the next block, which names the true one. */
function seal(block: Block): void {
  const raws = block.transactions.map((each) => rawTransaction(each, hashing)!);
  block.transactionsRoot = toHex(orderedRoot(raws, hashing));
  block.hash = toHex(headerHash(block, hashing));
}

/** Each takes the batch out of its block, or puts another in its place. */
const LIES: Record<string, readonly [Lie, RegExp]> = {
  "left out": [(block) => block.transactions.splice(1, 1), /transactions root is .* missing/],
  "sent elsewhere": [
    (block) => block.transactions[1]!.to = `0x${"11".repeat(20)}`,
    /transaction 1: its hash is/,
  ],
  "of a type to come": [
    (block) => block.transactions[1]!.type = "0x5",
    /transaction 1: it is no transaction of type 5/,
  ],
  "in another order": [(block) => block.transactions.reverse(), /transactions root/],
  "twice": [(block) => block.transactions.push(block.transactions[1]!), /transactions root/],
  "none of a root made up": [
    (block) => {
      block.transactions = [];
      block.transactionsRoot = toHex(orderedRoot([], hashing));
    },
    /its hash is 0x\w+, its header makes/,
  ],
  "at another time": [(block) => block.timestamp = "0x1", /its header makes/],
};

/** A node of `anvil` that lies about block 1. */
function liar(anvil: Anvil, lie: Lie): JsonRpc {
  const node = nodeOf(anvil);
  const request = async (method: string, params: readonly unknown[]) => {
    const answer = await node.request(method, params);
    if (method === BLOCK && params[1] && (answer as Block | null)?.number === "0x1") {
      lie(answer as Block);
    }
    return answer;
  };
  return { name: "liar", request };
}

function nodeOf(anvil: Anvil): HttpJsonRpc {
  return new HttpJsonRpc({ url: anvil.url, clock: systemClock });
}

/** Three transactions in block 1, the batch between two of others, and ten blocks above. */
async function mined(): Promise<Anvil> {
  const anvil = await startAnvil({ noMining: true });
  const chain = new RpcChain(nodeOf(anvil));
  const inputs = [Uint8Array.of(1), posted(batch(0), "calldata").input, Uint8Array.of(2)];
  for (const [nonce, input] of inputs.entries()) {
    await chain.send((await sending({ nonce: BigInt(nonce), input, tip: GWEI })).raw);
  }
  await anvil.mine(11);
  return anvil;
}

function inboxAt(rpc: JsonRpc, events: Events): L1Inbox {
  const chain = new RpcChain(rpc, STRICT);
  const blobs = { name: "none", blobs: () => Promise.reject(new Error("none is asked for")) };
  const batchers = [{ address: ANVIL_ACCOUNTS[0]!.address }];
  return new L1Inbox({ chain, blobs, log: events.log }, { inbox: INBOX, batchers, head: "latest" });
}

test(
  "a node that leaves a transaction out or tells it otherwise is refused by name, and the next asked",
  {
    skip,
  },
  async () => {
    await using anvil = await mined();
    for (const [name, [lie, pattern]] of Object.entries(LIES)) {
      const alone = new RpcChain(liar(anvil, lie), STRICT);
      const error = await alone.block(1n).then(() => undefined, (error) => error);
      ok(error instanceof RpcError && error.code === "Invalid", `${name}: ${error}`);
      match(error.message, /^Cannot use what liar answered/);
      match(error.message, pattern, name);

      const events = new Events();
      const parts = { clock: systemClock, random: systemRandom, log: events.log };
      const nodes = new RpcEndpoints({ endpoints: [liar(anvil, lie), nodeOf(anvil)], ...parts });
      const inbox = inboxAt(nodes, events);
      equal((await inbox.nextBatch())?.batchNumber, 0n, name);
      await inbox.stop();
      equal(events.of("endpoint.failed")[0]?.endpoint, "liar");
    }
  },
);

test("a node that makes a whole block up is given away by the next one", { skip }, async () => {
  await using anvil = await mined();
  const lie: Lie = (block) => {
    block.transactions.splice(1, 1);
    seal(block);
  };
  const lying = liar(anvil, lie);
  ok(await new RpcChain(lying, STRICT).block(1n), "the block by itself is in order");
  const inbox = inboxAt(lying, new Events());
  await rejects(async () => await inbox.nextBatch(), (error: Error) => {
    match(error.message, /does not follow|was reorganised/);
    return true;
  });
  await inbox.stop();
});

test("without --verify-l1 a transaction that is left out is not missed", { skip }, async () => {
  await using anvil = await mined();
  const [lie] = LIES["left out"]!;
  equal((await new RpcChain(liar(anvil, lie)).block(1n))!.transactions.length, 2);
});

const account = privateKeyToAccount(toHex(ANVIL_KEY) as `0x${string}`);
const to = toHex(INBOX) as `0x${string}`;
const priced = { to, chainId: 1, gas: 50_000n, maxFeePerGas: 9n, maxPriorityFeePerGas: 3n };

/** A block of transactions with all that Prague has in a header. */
function blockOf(transactions: Transaction[]): Block {
  const zeros = (size: number) => `0x${"00".repeat(size)}`;
  const roots = ["parentHash", "sha3Uncles", "stateRoot", "receiptsRoot", "mixHash"];
  const added = ["withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash"];
  const numbers = ["difficulty", "gasLimit", "gasUsed", "baseFeePerGas"];
  const blobs = { blobGasUsed: "0x20000", excessBlobGas: "0x40000" };
  const block = {
    ...Object.fromEntries([...roots, ...added].map((name) => [name, zeros(32)])),
    ...Object.fromEntries(numbers.map((name) => [name, "0x7"])),
    ...{ number: "0x7", timestamp: "0x65", miner: zeros(20), logsBloom: zeros(256) },
    ...{ extraData: "0x", nonce: zeros(8), ...blobs, size: "0x1", uncles: [] },
    transactions,
  };
  seal(block);
  return block;
}

test("transactions of all types are held against the root, and those to come by what a node gives", async () => {
  const authorization = await account.signAuthorization({ address: to, chainId: 1, nonce: 4 });
  const signed = await Promise.all([
    account.signTransaction({ type: "legacy", to, gas: 1n, gasPrice: 7n, chainId: 1 }),
    account.signTransaction({ type: "eip2930", to, gas: 1n, gasPrice: 7n, chainId: 1 }),
    account.signTransaction({ type: "eip1559", ...priced }),
    account.signTransaction({
      ...{ type: "eip4844", ...priced, maxFeePerBlobGas: 1n },
      blobVersionedHashes: [`0x01${"cd".repeat(31)}`],
    }),
    account.signTransaction({ type: "eip7702", ...priced, authorizationList: [authorization] }),
  ]);
  const told = await Promise.all(signed.map(asNode));
  const chain = (block: Block, raw: ScriptedAnswer = said("the method does not exist", -32601)) =>
    new RpcChain(new ScriptedNode({ [BLOCK]: block, eth_getRawTransactionByHash: raw }), STRICT);
  equal((await chain(blockOf(told)).block(7n, INBOX))!.transactions.length, 5);

  const raw = Uint8Array.of(5, 1, 2, 3);
  const hash = toHex(hashing.keccak256(raw));
  const future = { type: "0x5", hash, to, input: "0x" };
  const block = blockOf(told);
  const raws = told.map((each) => rawTransaction(each as JsonFields, hashing)!);
  block.transactions.push(future);
  block.transactionsRoot = toHex(orderedRoot([...raws, raw], hashing));
  block.hash = toHex(headerHash(block, hashing));
  const read = (await chain(block, toHex(raw)).block(7n, INBOX))!;
  equal(await read.transactions[5]!.sender(), undefined);
  await rejects(chain(block).block(7n), { code: "Invalid", message: /is of type 0x5/ });
});

test("a header is held against its hash too, and says what fields nothing is known of", async () => {
  const block = blockOf([]);
  const header = (changes: object) =>
    new RpcChain(new ScriptedNode({ [BLOCK]: { ...block, ...changes } }), STRICT).header(7n);
  equal((await header({}))!.number, 7n);
  await rejects(header({ timestamp: "0x66" }), { code: "Invalid", message: /its header makes/ });
  await rejects(header({ timestamp: "0x66", epoch: "0x1" }), {
    code: "Invalid",
    message: /nothing is known of here \(epoch\).*without --verify-l1/,
  });
});
