/**
 * An account on a simulated Ethereum, in virtual time, whose process can end at any step and begin anew.
 *
 * @module
 */
import { RpcError } from "../../src/errors.ts";
import type { BlobStore, Chain, TxJournal } from "../../src/ethereum.ts";
import { TxManager, type TxRequest } from "../../src/l1/tx_manager.ts";
import type { TxManagerConfig, TxManagerParts } from "../../src/l1/tx_config.ts";
import { MemoryTxJournal } from "../../src/local/memory_tx_journal.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { LogEvent } from "../../src/ports.ts";
import type { SubmissionReceipt } from "../../src/types.ts";
import { toBlobs } from "../../src/wire/blob.ts";
import { toHex } from "../../src/wire/hex.ts";
import { batchCalldata, blobCalldata } from "../../src/wire/inbox.ts";
import { noise } from "../helpers.ts";
import { SimulatedClock } from "../simulation/clock.ts";
import { type EthereumOptions, SimulatedEthereum } from "../simulation/ethereum.ts";
import { type NodeOptions, SimulatedNode } from "../simulation/ethereum_node.ts";
import { SentRecord } from "../simulation/ethereum_record.ts";
import { decodeFake, FakeKzg, FakeSigner } from "../simulation/ethereum_transactions.ts";

export const GWEI = 1_000_000_000n;
export const ETHER = GWEI * GWEI;
export const INBOX: Uint8Array = new Uint8Array(20).fill(0x42);
export const ADDRESS: Uint8Array = new Uint8Array(20).fill(0x77);
const START_MS = 1_767_225_600_000;

/** Blobs that outlive a process. */
export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<string, Uint8Array>();

  put(hash: Uint8Array, blob: Uint8Array): Promise<void> {
    this.#blobs.set(toHex(hash), blob);
    return Promise.resolve();
  }

  get(hash: Uint8Array): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#blobs.get(toHex(hash)));
  }

  clear(): void {
    this.#blobs.clear();
  }
}

/** How a world is; each has a default. */
export interface WorldOptions {
  readonly ethereum?: EthereumOptions;
  readonly node?: NodeOptions;
  readonly config?: Partial<TxManagerConfig>;
  readonly balance?: bigint;
  readonly journal?: TxJournal;
  /** Changes what the manager talks to. */
  readonly chain?: (chain: Chain) => Chain;
}

/** What all lives of the account share. */
export class TxWorld {
  readonly clock = new SimulatedClock(START_MS);
  readonly ethereum: SimulatedEthereum;
  readonly node: SimulatedNode;
  readonly chain: Chain;
  readonly blobs = new MemoryBlobs();
  readonly events: LogEvent[] = [];
  readonly record: SentRecord;
  readonly violations: string[] = [];
  readonly config: Partial<TxManagerConfig>;
  journal: TxJournal;
  readonly #ended = new AbortController();

  constructor(options: WorldOptions = {}) {
    this.ethereum = new SimulatedEthereum({ random: new SeededRandom(1), ...options.ethereum });
    this.ethereum.fund(ADDRESS, options.balance ?? 100n * ETHER);
    this.config = options.config ?? {};
    this.journal = options.journal ?? new MemoryTxJournal();
    const blockTimeMs = this.config.blockTimeMs ?? 12_000;
    this.record = new SentRecord({
      ethereum: this.ethereum,
      address: ADDRESS,
      inbox: INBOX,
      leastBumpMs: this.config.bumpIntervalMs ?? 4 * blockTimeMs,
      check: (isKept, message) => {
        if (!isKept) this.violations.push(message);
      },
    });
    this.node = new SimulatedNode(this.ethereum, {
      clock: this.clock,
      ...options.node,
      onSend: async (raw) => {
        this.record.see(await decodeFake(raw), this.clock.elapsedMs);
        await options.node?.onSend?.(raw);
      },
    });
    this.chain = options.chain?.(this.node) ?? this.node;
    void this.ethereum.keepGoing(this.clock, this.#ended.signal);
  }

  open(
    parts: Partial<Pick<TxManagerParts, "chain" | "blobs" | "journal">> = {},
  ): Promise<TxManager> {
    return this.run(TxManager.open({
      chain: this.chain,
      signer: new FakeSigner(ADDRESS),
      journal: this.journal,
      kzg: new FakeKzg(),
      blobs: this.blobs,
      clock: this.clock,
      random: new SeededRandom(2),
      log: (event) => void this.events.push(event),
      ...parts,
    }, this.config));
  }

  /** Lets time pass until it is done. */
  async run<T>(work: Promise<T>, limitMs = 12 * 60 * 60 * 1000): Promise<T> {
    let isDone = false;
    const settle = () => void (isDone = true);
    work.then(settle, settle);
    await this.clock.run(() => isDone, this.clock.elapsedMs + limitMs);
    return await work;
  }

  /** Lets so much time pass. */
  pass(ms: number): Promise<void> {
    return this.run(this.clock.sleep(ms));
  }

  /** Lets time pass until it is so. */
  async until(isSo: () => boolean, limitMs = 12 * 60 * 60 * 1000): Promise<void> {
    await this.clock.run(isSo, this.clock.elapsedMs + limitMs);
  }

  close(): void {
    this.#ended.abort();
  }

  /** Events of one kind. */
  told<K extends LogEvent["event"]>(kind: K): Extract<LogEvent, { event: K }>[] {
    return this.events.filter((event): event is Extract<LogEvent, { event: K }> =>
      event.event === kind
    );
  }
}

/** A batch as sinks hand it over. */
export function request(number: number, { blobs = 1, deadline }: {
  readonly blobs?: number;
  readonly deadline?: bigint;
} = {}): TxRequest {
  const batchNumber = BigInt(number);
  const data = noise(Math.max(400, (blobs - 1) * 130_044 + 100), number);
  const deadlineL1Block = deadline === undefined ? {} : { deadlineL1Block: deadline };
  if (blobs === 0) {
    const input = batchCalldata({ batchNumber, data });
    return { batchNumber, to: INBOX, input, blobs: [], ...deadlineL1Block };
  }
  const input = blobCalldata(batchNumber);
  return { batchNumber, to: INBOX, input, blobs: toBlobs(data), ...deadlineL1Block };
}

export function answered(text: string): RpcError {
  return new RpcError("Answered", text, { details: { rpcCode: -32000 } });
}

/** Where each landed, or why not. */
export function landed(outcomes: readonly PromiseSettledResult<SubmissionReceipt>[]): string[] {
  return outcomes.map((each) =>
    each.status === "fulfilled"
      ? `${each.value.batchNumber}`
      : String(each.reason.code ?? each.reason)
  );
}
