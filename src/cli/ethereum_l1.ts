/**
 * Ethereum as roles see it: nodes that are asked in turn, blobs from an archive and beacon nodes.
 *
 * @module
 */
import { SAFE_CONFIRMATIONS } from "../config.ts";
import { SourceError } from "../errors.ts";
import type { BlobSource, Chain, JsonRpc, Kzg, TxReceipt } from "../ethereum.ts";
import { beaconNodes } from "../l1/beacon.ts";
import { BlobArchive } from "../l1/blob_archive.ts";
import { BlobSources } from "../l1/blob_sources.ts";
import type { BlockMark } from "../l1/block_marks.ts";
import { L1Inbox } from "../l1/inbox.ts";
import { RpcChain } from "../l1/chain.ts";
import { RpcEndpoints } from "../l1/endpoints.ts";
import { HttpJsonRpc } from "../l1/json_rpc.ts";
import { openKzg } from "../l1/kzg_pool.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import type { L1Head, OriginL1 } from "../local/inbox.ts";
import type { Log } from "../ports.ts";
import { systemClock, systemRandom } from "../runtime.ts";
import type { L1Reader, ReadTask, RoleL1 } from "./l1.ts";
import type { EthereumPlace } from "./l1_flags.ts";

/** Ethereum in the place of an L1. */
export class EthereumL1 implements RoleL1 {
  readonly name: string;
  readonly chain: Chain;
  readonly rpc: JsonRpc;
  readonly origins: OriginL1;
  readonly #blobs: BlobSource;
  readonly #startBlock: bigint;

  constructor(rpc: JsonRpc, blobs: BlobSource, startBlock: bigint) {
    this.rpc = rpc;
    this.chain = new RpcChain(rpc);
    this.name = rpc.name;
    this.#blobs = blobs;
    this.#startBlock = startBlock;
    this.origins = {
      head: () => this.finalBlock(),
      block: async (number) => ({ hash: await this.#mustHave(number) }),
    };
  }

  /**
   * The newest block that no reorganisation takes: batches name it, so that what was sealed stays right.
   * Where a node knows of none, one that lies as deep as what is read by default.
   */
  async finalBlock(): Promise<bigint> {
    const final = await this.chain.header("finalized");
    if (final) return final.number;
    const depth = BigInt(SAFE_CONFIRMATIONS);
    const latest = await this.head("latest");
    return latest > depth ? latest - depth : 0n;
  }

  async head(tag: L1Head): Promise<bigint> {
    const header = await this.chain.header(tag);
    if (header) return header.number;
    return tag === "latest" ? await this.#noHead() : 0n;
  }

  async hashOf(number: bigint): Promise<Uint8Array | undefined> {
    return (await this.chain.header(number))?.hash;
  }

  receipt(txHash: Uint8Array): Promise<TxReceipt | undefined> {
    return this.chain.receipt(txHash);
  }

  reader({ addresses, head, startBlock, known, log }: ReadTask): L1Reader {
    return new L1Inbox({ chain: this.chain, blobs: this.#blobs, ...(log ? { log } : {}) }, {
      inbox: addresses.inbox,
      batchers: [{ address: addresses.batcher }],
      head,
      startBlock: startBlock > this.#startBlock ? startBlock : this.#startBlock,
      ...(known ? { known } : {}),
    });
  }

  /** {@link finalBlock} with its hash. */
  async finalMark(): Promise<BlockMark> {
    const number = await this.finalBlock();
    return { number, hash: await this.#mustHave(number) };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #mustHave(number: bigint): Promise<Uint8Array> {
    const hash = await this.hashOf(number);
    if (hash) return hash;
    throw new SourceError(
      "NoOrigin",
      `Cannot name L1 block ${number}: ${this.name} does not have it now`,
      { details: { block: number } },
    );
  }

  #noHead(): never {
    throw new SourceError("Connection", `Cannot read L1: ${this.name} has no latest block`);
  }
}

/** The nodes of a place, asked in turn. */
export function openNodes({ urls, chainId }: EthereumPlace, log: Log): RpcEndpoints {
  return new RpcEndpoints({
    endpoints: urls.map((url) => new HttpJsonRpc({ url, clock: systemClock })),
    ...(chainId === undefined ? {} : { chainId }),
    clock: systemClock,
    random: systemRandom,
    log,
  });
}

/** Where the blobs of a place are looked for. */
export function openBlobs(
  { beaconUrls }: EthereumPlace,
  { nodes, kzg, archive, log }: {
    readonly nodes: JsonRpc;
    readonly kzg: Kzg;
    readonly archive: BlobArchive | undefined;
    readonly log: Log;
  },
): BlobSource {
  const beacons = beaconNodes(beaconUrls, { kzg, clock: systemClock });
  return new BlobSources({
    sources: [...(archive ? [archive] : []), ...beacons],
    clock: systemClock,
    chain: new RpcChain(nodes),
    ...(archive ? { store: archive } : {}),
    log,
  });
}

/** Opens Ethereum to read. */
export async function openEthereumL1(place: EthereumPlace, log: Log): Promise<EthereumL1> {
  const nodes = openNodes(place, log);
  const kzg = await openKzg("auto");
  const archive = place.archive === undefined
    ? undefined
    : new BlobArchive({ storage: new DiskStorage(), directory: place.archive, kzg });
  return new EthereumL1(nodes, openBlobs(place, { nodes, kzg, archive, log }), place.startBlock);
}
