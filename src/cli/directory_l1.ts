/**
 * An L1 in a directory, as roles see it.
 *
 * @module
 */
import { SourceError } from "../errors.ts";
import { InboxSource, type L1Head, type OriginL1 } from "../local/inbox.ts";
import { L1Directory } from "../local/l1_directory.ts";
import type { L1Block, L1Transaction } from "../local/l1_block.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import { equalBytes } from "../wire/bytes.ts";
import type { L1Reader, PostedTransaction, ReadTask, RoleL1 } from "./l1.ts";

/** A directory in the place of an L1. */
export class DirectoryL1 implements RoleL1 {
  readonly name: string;
  readonly canReorganise = false;
  readonly directory: L1Directory;

  get origins(): OriginL1 {
    return this.directory;
  }

  constructor(directory: L1Directory) {
    this.name = directory.path;
    this.directory = directory;
  }

  head(tag: L1Head): Promise<bigint> {
    return this.directory.head(tag);
  }

  async hashOf(number: bigint): Promise<Uint8Array | undefined> {
    if (number > await this.head("latest")) return undefined;
    return (await this.directory.block(number)).hash;
  }

  /** Nothing is ever rewritten in a directory, so confirmations make no difference: it reads what is safe. */
  reader({ addresses: { inbox, batcher }, head, startBlock, log }: ReadTask): L1Reader {
    return new InboxSource(this.directory, {
      inbox,
      batchers: [batcher],
      head: typeof head === "string" ? head : "safe",
      startBlock,
      ...(log ? { log } : {}),
    });
  }

  async transaction(txHash: Uint8Array): Promise<PostedTransaction | undefined> {
    for await (const posted of this.#all(0n)) {
      if (equalBytes(posted.txHash, txHash)) return posted;
    }
    return undefined;
  }

  async *postings(inbox: Uint8Array, startBlock: bigint): AsyncGenerator<PostedTransaction> {
    for await (const posted of this.#all(startBlock)) {
      if (equalBytes(posted.to!, inbox)) yield posted;
    }
  }

  async *#all(startBlock: bigint): AsyncGenerator<PostedTransaction> {
    const head = await this.head("latest");
    for (let number = startBlock; number <= head; number++) {
      const block = await this.directory.block(number);
      for (const transaction of block.transactions) yield this.#posted(block, transaction);
    }
  }

  #posted(block: L1Block, { hash, from, to, input, blobHashes }: L1Transaction): PostedTransaction {
    return {
      txHash: hash,
      sender: from,
      to,
      input,
      blobHashes,
      block,
      blobs: () => Promise.all(blobHashes.map((blobHash) => this.directory.blob(blobHash))),
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Opens the L1 in a directory, and with `wait` until there is one. */
export async function openDirectoryL1(
  path: string,
  wait?: AbortSignal,
): Promise<DirectoryL1 | undefined> {
  for (let looks = 1;; looks++) {
    try {
      return new DirectoryL1(await L1Directory.open(path));
    } catch (error) {
      const isMissing = error instanceof SourceError && error.code === "NotFound";
      if (!isMissing || !wait) throw error;
      if (wait.aborted) return undefined;
      if (looks === 1) writeStderr(`waiting for an L1 in ${path}: there is none yet`);
      await systemClock.sleep(200, wait);
    }
  }
}
