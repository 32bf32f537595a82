/**
 * The L1 that a batcher posts to: a directory, or Ethereum with an account, its journal and its blobs.
 *
 * @module
 */
import { join } from "node:path";
import type { TxJournal } from "../ethereum.ts";
import { audited } from "../l1/audit.ts";
import { AutoSink } from "../l1/auto_sink.ts";
import type { BlockMark } from "../l1/block_marks.ts";
import { BlobArchive } from "../l1/blob_archive.ts";
import { notingBlocks } from "../l1/noted_blocks.ts";
import { BlobSink } from "../l1/blob_sink.ts";
import { CalldataSink } from "../l1/calldata_sink.ts";
import { openKzg } from "../l1/kzg_pool.ts";
import { RpcChain } from "../l1/chain.ts";
import { isJournaled, untilNoStrangers } from "../l1/strangers.ts";
import { RetriedCalls } from "../l1/retried_calls.ts";
import { TxManager } from "../l1/tx_manager.ts";
import { Turns } from "../l1/turns.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import { DEFAULT_BATCHER, InboxSink } from "../local/inbox.ts";
import { L1Directory } from "../local/l1_directory.ts";
import { MemoryBlobStore, MemoryTxJournal } from "../local/memory_tx_journal.ts";
import type { BatchSink, Clock, Log, Storage } from "../ports.ts";
import { sizesOf, withFallback } from "../retry.ts";
import { systemClock, systemRandom, writeStderr } from "../runtime.ts";
import { LogTxJournal } from "../wal/tx_journal.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { FlagValues } from "./command.ts";
import { DirectoryL1 } from "./directory_l1.ts";
import { EthereumL1, openBlobs, openNodes, patientNodes } from "./ethereum_l1.ts";
import { mustBeSameL1, type RoleL1 } from "./l1.ts";
import { type Addresses, addressesOf, type EthereumPlace, type L1Place } from "./l1_flags.ts";
import { patiently } from "./patient_rpc.ts";
import { kzgPreference, sendingConfig } from "./sending_flags.ts";
import { namedSigner, signerFrom } from "./signer_flags.ts";
import { countOf } from "./text.ts";
import { usage } from "./options.ts";

/** So often in a row a node may fail under a run that is to end by itself. */
const ONCE_FAILURES = 3;

/** Where data goes. */
export const DA = ["blobs", "calldata", "auto", "blobs-then-calldata"] as const;

/** Where a batcher posts. */
export interface BatcherL1 {
  readonly l1: RoleL1;
  readonly addresses: Addresses;
  readonly sink: BatchSink;
  /** A block that no reorganisation takes: where a new journal begins. */
  finalBlock(): Promise<BlockMark>;
  /** Whether a transaction is posted again where a reorganisation takes it; each is on an L1 that has none. */
  isWatched(txHash: Uint8Array): boolean;
  /** Rejects when nothing can be posted any more, though nobody waits for it. */
  readonly failed?: Promise<never>;
  /** Resolves when all that was ever sent is confirmed. */
  settled?(): Promise<void>;
  close(): Promise<void>;
}

/** What the flags say of it. */
export interface BatcherL1Options {
  readonly place: L1Place;
  readonly flags: FlagValues;
  readonly da: (typeof DA)[number];
  readonly maxBlobs: number;
  readonly dataDir: string | undefined;
  /** Of the journal of transactions. */
  readonly storage: Storage;
  /** It is to end by itself. */
  readonly once: boolean;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** By which nodes are waited for; that of the machine otherwise. */
  readonly clock?: Clock;
  /** By which the account looks at L1 again and again; that of the machine otherwise. */
  readonly accountClock?: Clock;
  /** Refuses an L1 that what is kept does not belong to, before anything is sent to it. */
  readonly check: (l1: RoleL1, addresses: Addresses) => Promise<void>;
}

/** Opens it; a directory is made where there is none. */
export async function openBatcherL1(options: BatcherL1Options): Promise<BatcherL1> {
  const { place, flags } = options;
  if (place.kind === "ethereum") return await openEthereum(place, options);
  return await openDirectory(place.path, addressesOf(flags, place), options);
}

/**
 * Refuses flags that cannot be together on that L1; no key is looked at.
 *
 * @throws {ConfigError} `Usage`
 */
export function checkBatcherL1(
  flags: FlagValues,
  place: L1Place,
  da: BatcherL1Options["da"],
): void {
  if (place.kind === "directory") {
    mustNeedNoPrices(da);
    addressesOf(flags, place);
    return;
  }
  namedSigner(flags);
  sendingConfig(flags, place);
  kzgPreference(flags);
  // The batcher may be the address of the key.
  addressesOf({ batcher: toHex(DEFAULT_BATCHER), ...flags }, place);
}

function mustNeedNoPrices(
  da: BatcherL1Options["da"],
): asserts da is "blobs" | "calldata" {
  if (da === "blobs" || da === "calldata") return;
  throw usage(`Cannot use --da ${da} with an L1 in a directory: it has no prices`);
}

async function openDirectory(
  path: string,
  addresses: Addresses,
  { da, check }: BatcherL1Options,
): Promise<BatcherL1> {
  mustNeedNoPrices(da);
  const now = BigInt(Math.floor(systemClock.now() / 1000));
  const directory = await L1Directory.openOrCreate(path, now);
  // Whoever posts from here on under this name is somebody else.
  const seenBlock = await directory.head("latest");
  const { inbox, batcher: from } = addresses;
  const l1 = new DirectoryL1(directory);
  await check(l1, addresses);
  return {
    l1,
    addresses,
    sink: new InboxSink(directory, { clock: systemClock, inbox, from, da, seenBlock }),
    finalBlock: async () => ({
      number: seenBlock,
      hash: (await directory.block(seenBlock)).hash,
    }),
    isWatched: () => true,
    close: () => Promise.resolve(),
  };
}

async function openEthereum(
  place: EthereumPlace,
  {
    flags,
    da,
    maxBlobs,
    dataDir,
    storage,
    once,
    log,
    signal,
    clock = systemClock,
    accountClock = clock,
    check,
  }: BatcherL1Options,
): Promise<BatcherL1> {
  const config = {
    ...sendingConfig(flags, place),
    ...(once ? { maxFailures: ONCE_FAILURES } : {}),
  };
  const signer = await signerFrom(flags);
  const addresses = addressesOf({ batcher: toHex(signer.address), ...flags }, {
    kind: "ethereum",
  });
  if (!equalBytes(addresses.batcher, signer.address)) {
    throw usage(
      `Cannot post as --batcher ${toHex(addresses.batcher)}: the key is that of ` +
        `${toHex(signer.address)}`,
    );
  }
  const nodes = await openNodes(place, log);
  const kzg = await openKzg(kzgPreference(flags));
  const archiveDir = place.archive ?? (dataDir === undefined ? undefined : join(dataDir, "blobs"));
  const archive = archiveDir === undefined
    ? undefined
    : new BlobArchive({ storage: new DiskStorage(), directory: archiveDir, kzg });
  const patience = { once, signal, clock };
  const patient = await patientNodes(nodes, patience);
  const sources = openBlobs(place, { nodes: patient, kzg, archive, log });
  const l1 = new EthereumL1(patient, sources, { ...place, archive });
  await check(l1, addresses);
  const journal = await openJournal(l1, signer.address, { dataDir, storage, log });
  const landed = journal.landed.at(-1);
  if (landed) {
    // A young L1 that began anew has the same first block as before, and nothing else of it.
    const mark = { number: landed.l1Block, hash: landed.l1BlockHash, ...addresses };
    await mustBeSameL1(l1, addresses, mark, dataDir!);
  }
  await untilWatched(l1, { address: signer.address, journal, dataDir, signal, clock });

  const inMemory = new MemoryBlobStore();
  const forgetting: Log = (event) => {
    if (event.event === "tx.final") inMemory.forget(event.attempt.blobHashes);
    log(event);
  };
  // Once it is open it asks again by itself, and tells why it waits.
  const again = new RetriedCalls(nodes, { clock: systemClock, random: systemRandom });
  const chain = new RpcChain(again, place);
  const mustHaveStayed = () => l1.mustBeSame(chain);
  const parts = {
    chain,
    signer,
    journal,
    kzg,
    blobs: archive ?? inMemory,
    clock: accountClock,
    random: systemRandom,
    log: archive ? notingBlocks(archive, l1.chain, log) : forgetting,
    ethConfig: () => nodes.request("eth_config", []),
    mustBeSameL1: mustHaveStayed,
  };
  const manager = await patiently(() => TxManager.open(parts, config), patience);
  const posting = {
    manager,
    chain,
    mustBeSameL1: mustHaveStayed,
    inbox: addresses.inbox,
    maxBlobs,
    log,
    turns: new Turns(),
  };
  const blobs = new BlobSink(posting);
  const calldata = new CalldataSink(posting);
  const sinks: Record<(typeof DA)[number], () => BatchSink> = {
    blobs: () => blobs,
    calldata: () => calldata,
    auto: () => new AutoSink(posting),
    "blobs-then-calldata": () => withFallback(blobs, calldata, log),
  };
  const sink = place.beaconUrls.length === 0 && da !== "calldata"
    ? sinks[da]()
    : audited(sinks[da](), {
      chain: l1.chain,
      // Without the archive: it is to be seen whether others can read it.
      blobs: openBlobs(place, { nodes, kzg, archive: undefined, log }),
      clock: systemClock,
      random: systemRandom,
      signal,
      log,
    });
  // Who has sent nothing has posted nothing: there is nothing to look for.
  const isNew = await l1.chain.nonce(signer.address, "latest") === 0n;
  await l1.beginAt(isNew ? place.startBlock ?? await l1.finalBlock() : place.startBlock);
  return {
    l1,
    addresses,
    sink: withFinalBlock(sink, l1),
    finalBlock: () => l1.finalMark(),
    isWatched: (txHash) => isJournaled(journal, txHash),
    failed: manager.failed,
    settled: () => manager.settled(),
    async close() {
      await manager.close();
      if (journal instanceof LogTxJournal) await journal.close();
      signer.close();
      await kzg.close();
      await l1.close();
    },
  };
}

async function openJournal(
  l1: EthereumL1,
  address: Uint8Array,
  { dataDir, storage, log }: Pick<BatcherL1Options, "dataDir" | "storage" | "log">,
): Promise<TxJournal> {
  if (dataDir === undefined) {
    writeStderr(
      "warning: no --data-dir: what was sent is not remembered over a crash, and a restart waits until " +
        "all of it is final",
    );
    return new MemoryTxJournal();
  }
  const parts = { storage, directory: join(dataDir, "transactions"), log };
  return await LogTxJournal.open(parts, { address, chainId: await l1.chain.chainId() });
}

/** Waits until each transaction of the account is final, or one that the journal watches over. */
async function untilWatched(
  l1: EthereumL1,
  { address, journal, dataDir, signal, clock }: {
    readonly address: Uint8Array;
    readonly journal: TxJournal;
    readonly dataDir: string | undefined;
    readonly signal: AbortSignal;
    readonly clock: Clock;
  },
): Promise<void> {
  const why = {
    blocks:
      `are not final: ${dataDir ?? "memory"} does not hold them, so what a reorganisation of L1 ` +
      `takes of them would not be posted again`,
    pool:
      `are in no block yet: ${
        dataDir ?? "memory"
      } does not hold them, and they may be batches. If ` +
      `they never land, replace them by empty ones`,
  };
  await untilNoStrangers({
    chain: l1.chain,
    address,
    journal,
    finalBlock: () => l1.finalMark(),
    clock,
    signal,
    onWait: (count, where) =>
      writeStderr(
        `waiting for ${countOf(count, "transaction")} of ${toHex(address)} that ${why[where]}`,
      ),
  });
}

/** Receipts name a block below which a restart need not look. */
function withFinalBlock(sink: BatchSink, l1: EthereumL1): BatchSink {
  return {
    async submit(batch) {
      const receipt = await sink.submit(batch);
      const finalBlock = await l1.finalMark().catch(() => undefined);
      return finalBlock && finalBlock.number < receipt.l1Block
        ? { ...receipt, finalBlock }
        : receipt;
    },
    capacity: () => sink.capacity(),
    healthCheck: () => sink.healthCheck(),
    ...sizesOf(sink),
  };
}
