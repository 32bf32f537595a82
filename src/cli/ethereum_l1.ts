/**
 * Ethereum as roles see it: nodes that are asked in turn, blobs from an archive and beacon nodes.
 *
 * @module
 */
import { ConfigError, RpcError, SourceError } from "../errors.ts";
import type {
  BlobSource,
  Chain,
  JsonRpc,
  Kzg,
  L1BlockTransaction,
  L1Header,
  TxReceipt,
} from "../ethereum.ts";
import { beaconNodes } from "../l1/beacon.ts";
import { BlobArchive } from "../l1/blob_archive.ts";
import { BlobSources } from "../l1/blob_sources.ts";
import type { BlockMark } from "../l1/block_marks.ts";
import { FinalBlocks } from "../l1/final_blocks.ts";
import { L1Inbox } from "../l1/inbox.ts";
import type { Batcher } from "../l1/inbox_block.ts";
import { RpcChain, type RpcChainOptions } from "../l1/chain.ts";
import { RpcEndpoints } from "../l1/endpoints.ts";
import { HttpJsonRpc, RPC_TIMEOUT_MS } from "../l1/json_rpc.ts";
import { openKzg } from "../l1/kzg_pool.ts";
import { RetriedCalls } from "../l1/retried_calls.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import type { L1Head, OriginL1 } from "../local/inbox.ts";
import type { Log } from "../ports.ts";
import { leaveMemoryOutOfCores, systemClock, systemRandom, writeStderr } from "../runtime.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { L1Reader, PostedTransaction, ReadTask, RoleL1 } from "./l1.ts";
import type { Addresses, EthereumPlace } from "./l1_flags.ts";
import { type Patience, PatientRpc } from "./patient_rpc.ts";

/** L1 blocks asked for at the same time, where they are looked through. */
const BLOCKS_AT_ONCE = 8n;
/** To read so many takes minutes. */
const MANY_BLOCKS = 20_000n;

/** Ethereum in the place of an L1. */
export class EthereumL1 implements RoleL1 {
  readonly name: string;
  readonly canReorganise = true;
  readonly chain: Chain;
  readonly rpc: JsonRpc;
  readonly origins: OriginL1;
  readonly #blobs: BlobSource;
  readonly #archive: BlobArchive | undefined;
  readonly #final: FinalBlocks;
  #startBlock = 0n;

  /** @param archive is told in which blocks blobs are */
  constructor(
    rpc: JsonRpc,
    blobs: BlobSource,
    { archive, ...options }: RpcChainOptions & { readonly archive?: BlobArchive | undefined } = {},
  ) {
    this.rpc = rpc;
    this.chain = new RpcChain(rpc, options);
    this.name = rpc.name;
    this.#blobs = blobs;
    this.#archive = archive;
    this.#final = new FinalBlocks(this.chain);
    this.origins = {
      head: () => this.finalBlock(),
      block: async (number) => ({ hash: await this.#final.hashOf(number) }),
    };
  }

  /** Says which block is the first that may hold a batch; where nobody told, that is block 0. */
  async beginAt(startBlock: bigint | undefined): Promise<void> {
    this.#startBlock = startBlock ?? 0n;
    if (startBlock !== undefined) return;
    const head = await this.head("latest");
    if (head < MANY_BLOCKS) return;
    writeStderr(
      `warning: reading ${head} L1 blocks from block 0 on: --l1-start-block names the first that may ` +
        `hold a batch`,
    );
  }

  /**
   * The newest block that no reorganisation takes: batches name it, so that what was sealed stays right.
   * Where a node knows of none, one that lies as deep as what is read by default.
   */
  async finalBlock(): Promise<bigint> {
    return (await this.#final.newest()).number;
  }

  async head(tag: L1Head): Promise<bigint> {
    const header = await this.chain.header(tag);
    if (header) return header.number;
    return tag === "latest" ? await this.#noHead() : 0n;
  }

  async hashOf(number: bigint): Promise<Uint8Array | undefined> {
    return (await this.chain.header(number))?.hash;
  }

  async transaction(txHash: Uint8Array): Promise<PostedTransaction | "pool" | undefined> {
    const receipt = await this.chain.receipt(txHash);
    if (!receipt) return await this.chain.knows(txHash) ? "pool" : undefined;
    const block = await this.chain.block(receipt.blockNumber);
    const transaction = block?.transactions.find((each) => equalBytes(each.hash, txHash));
    if (block && transaction) return await this.#posted(block.header, transaction);
    throw new SourceError(
      "Connection",
      `Cannot read transaction ${toHex(txHash)}: ${this.name} says that it is in L1 block ` +
        `${receipt.blockNumber}, and gives that block without it`,
      { details: { block: receipt.blockNumber } },
    );
  }

  async *postings(inbox: Uint8Array, startBlock: bigint): AsyncGenerator<PostedTransaction> {
    const head = await this.head("latest");
    const first = startBlock > this.#startBlock ? startBlock : this.#startBlock;
    for (let number = first; number <= head; number += BLOCKS_AT_ONCE) {
      const last = number + BLOCKS_AT_ONCE - 1n < head ? number + BLOCKS_AT_ONCE - 1n : head;
      const numbers = Array.from(
        { length: Number(last - number) + 1 },
        (_, at) => number + BigInt(at),
      );
      const blocks = await Promise.all(numbers.map((each) => this.chain.block(each, inbox)));
      for (const block of blocks) {
        const posted = block?.transactions.filter(({ to }) => to && equalBytes(to, inbox)) ?? [];
        for (const transaction of posted) yield await this.#posted(block!.header, transaction);
      }
    }
  }

  async #posted(block: L1Header, transaction: L1BlockTransaction): Promise<PostedTransaction> {
    const { hash, to, input, blobHashes } = transaction;
    const sender = await transaction.sender();
    const blobs = async () =>
      blobHashes.length === 0 ? [] : await this.#blobs.blobs(block, blobHashes);
    return { txHash: hash, sender, to, input, blobHashes, block, blobs };
  }

  receipt(txHash: Uint8Array): Promise<TxReceipt | undefined> {
    return this.chain.receipt(txHash);
  }

  reader({ addresses, head, startBlock, known, log }: ReadTask): L1Reader {
    const parts = {
      chain: this.chain,
      blobs: this.#blobs,
      ...(this.#archive ? { archive: this.#archive } : {}),
      ...(log ? { log } : {}),
    };
    return new L1Inbox(parts, {
      inbox: addresses.inbox,
      batchers: batchersOf(addresses),
      head,
      startBlock: this.#startBlock,
      // A reorganisation may lead back below where a restart goes on.
      ...(startBlock > this.#startBlock ? { resumeBlock: startBlock } : {}),
      ...(known ? { known } : {}),
    });
  }

  /** {@link finalBlock} with its hash. */
  async finalMark(): Promise<BlockMark> {
    const { number, hash } = await this.#final.newest();
    return { number, hash };
  }

  /**
   * Makes sure that nodes are still of the L1 that they were of.
   *
   * @param chain the same nodes, asked without patience
   * @throws {PipelineError} `WrongL1`
   */
  async mustBeSame(chain: Chain): Promise<void> {
    await this.#final.mustBeSame(chain);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #noHead(): never {
    throw new SourceError("Connection", `Cannot read L1: ${this.name} has no latest block`);
  }
}

/** Who may post, and in which L1 blocks. */
function batchersOf({ batcher, successors = [] }: Addresses): Batcher[] {
  const first = { address: batcher, fromBlock: 0n };
  return [first, ...successors].map((each, at) => {
    const next = successors[at];
    return { ...each, ...(next ? { toBlock: next.fromBlock - 1n } : {}) };
  });
}

/** The nodes of a place, asked in turn. Their URLs may hold keys. */
export async function openNodes(
  { urls, chainId, rpcTimeoutMs = RPC_TIMEOUT_MS }: EthereumPlace,
  log: Log,
): Promise<RpcEndpoints> {
  await leaveMemoryOutOfCores();
  return new RpcEndpoints({
    endpoints: urls.map((url) =>
      new HttpJsonRpc({ url, clock: systemClock, timeoutMs: rpcTimeoutMs })
    ),
    ...(chainId === undefined ? {} : { chainId }),
    clock: systemClock,
    random: systemRandom,
    log,
  });
}

/**
 * The same nodes with patience, once one of them has answered.
 *
 * @throws {ConfigError} `Invalid` where all are of another chain
 * @throws {RpcError} where patience ended
 */
export async function patientNodes(nodes: RpcEndpoints, patience: Patience): Promise<JsonRpc> {
  const again = new RetriedCalls(nodes, { clock: systemClock, random: systemRandom });
  const patient = new PatientRpc(again, patience);
  try {
    await patient.request("eth_chainId", []);
  } catch (error) {
    const isOther = nodes.status().every(({ state }) => state === "wrong chain");
    if (!isOther || !(error instanceof RpcError)) throw error;
    throw new ConfigError("Invalid", error.message, { cause: error });
  }
  return patient;
}

/** Where the blobs of a place are looked for. */
export function openBlobs(
  { beaconUrls, verifiesBlocks }: EthereumPlace,
  { nodes, kzg, archive, log }: {
    readonly nodes: JsonRpc;
    readonly kzg: Kzg;
    readonly archive: BlobArchive | undefined;
    readonly log: Log;
  },
): BlobSource {
  const beacons = beaconNodes(beaconUrls, { kzg, clock: systemClock });
  const sources = new BlobSources({
    sources: [...(archive ? [archive] : []), ...beacons],
    clock: systemClock,
    chain: new RpcChain(nodes, { verifiesBlocks }),
    ...(archive ? { store: archive } : {}),
    log,
  });
  return beaconUrls.length > 0 ? sources : namingBeacon(sources);
}

/** Where only an archive is looked into, an error says what would help. */
function namingBeacon(sources: BlobSource): BlobSource {
  return {
    name: sources.name,
    blobs: (block, hashes) =>
      sources.blobs(block, hashes).catch((error) => {
        if (!(error instanceof SourceError) || error.code !== "BlobMissing") throw error;
        const { code, details, cause } = error;
        const message = `${error.message}. No --beacon is named: a beacon node may have them`;
        throw new SourceError(code, message, { details, cause });
      }),
  };
}

/** Opens Ethereum to read. */
export async function openEthereumL1(
  place: EthereumPlace,
  log: Log,
  patience?: Patience,
): Promise<EthereumL1> {
  const eager = await openNodes(place, log);
  const nodes = patience ? await patientNodes(eager, patience) : eager;
  const kzg = await openKzg("auto", { startsPortable: true });
  const archive = place.archive === undefined
    ? undefined
    : new BlobArchive({ storage: new DiskStorage(), directory: place.archive, kzg });
  if (!archive && place.beaconUrls.length === 0) {
    writeStderr("warning: no --beacon and no --archive: batches in blobs cannot be read");
  }
  const blobs = openBlobs(place, { nodes, kzg, archive, log });
  const l1 = new EthereumL1(nodes, blobs, { ...place, archive });
  await l1.beginAt(place.startBlock);
  return l1;
}
