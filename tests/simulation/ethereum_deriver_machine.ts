/**
 * A deriver that reads from a simulated Ethereum: its states in a log, its blocks in a file, both on a disk
 * that fails; its L1 goes another way now and then.
 *
 * @module
 */
import type { BlobSource, Chain } from "../../src/ethereum.ts";
import { L1Inbox, type ReadHead } from "../../src/l1/inbox.ts";
import type { BlockMark } from "../../src/l1/block_marks.ts";
import { parseBlockLine } from "../../src/local/block_line.ts";
import { FileBlockSink, type FilePosition } from "../../src/local/file_block_sink.ts";
import { MemoryBlockSink } from "../../src/local/memory.ts";
import { DerivationRunner } from "../../src/pipeline/derivation_runner.ts";
import { DerivationPipeline, type Standing } from "../../src/pipeline/deriver.ts";
import type { Compressor, L1BatchSource, Log, Storage } from "../../src/ports.ts";
import type { DerivedBlock } from "../../src/types.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { StateJournal } from "../../src/wal/state_journal.ts";
import { content, withMembers } from "../helpers.ts";
import { openStored } from "../local/stored_block_file.ts";
import type { SimulatedEthereum } from "./ethereum.ts";
import { SimulatedNode } from "./ethereum_node.ts";
import { verifyFlips } from "./flips.ts";
import { type Life, Machine } from "./life.ts";
import type { Run } from "./run.ts";

/** What it lives among. */
export interface EthereumDeriverParts {
  readonly ethereum: SimulatedEthereum;
  /** The nodes that it asks. */
  readonly node: Chain;
  readonly blobs: BlobSource;
  readonly inbox: Uint8Array;
  readonly batchers: readonly Uint8Array[];
  readonly compressors: readonly Compressor[];
  readonly head: ReadHead;
  /** Whether all that is to come has come, from the number of the batch that it waits for. */
  readonly isAll: (nextBatchNumber: bigint) => boolean;
  readonly wrap?: (disk: Storage) => Storage;
  /** Around what it reads from, for planted defects. */
  readonly wrapSource?: (source: L1BatchSource) => L1BatchSource;
}

/** What is saved after each batch. */
interface State {
  readonly standing: Standing;
  readonly written: FilePosition;
  /** The highest L1 block that counts in it, and some below it. */
  readonly known: readonly BlockMark[];
  /** Where it stood before, for a reorganisation that goes deeper. */
  readonly history: readonly Standing[];
}

const OUT = "/out/blocks.jsonl";
const STATES = { keep: 1000, isWhole: ({ written }: Partial<State>) => written !== undefined };

/** A deriver that is started again whenever it ends. */
export class EthereumDeriverMachine {
  readonly #run: Run;
  readonly #parts: EthereumDeriverParts;
  readonly #machine: Machine;
  readonly #config;
  readonly #segmentBytes: number;
  isDone = false;

  constructor(run: Run, parts: EthereumDeriverParts) {
    const { wrap } = parts;
    this.#run = run;
    this.#parts = parts;
    this.#machine = new Machine(run, { name: "deriver", ...(wrap ? { wrap } : {}) });
    this.#segmentBytes = run.around(512, 20_000);
    this.#config = {
      pollIntervalMs: run.around(2000, 30_000),
      maxAheadBytes: run.pick([0, 100 * 1024 * 1024]),
      retry: { maxAttempts: 1e9, baseDelayMs: 100, maxDelayMs: 5000, jitter: 0.2 },
    };
  }

  async keepDeriving(): Promise<void> {
    const run = this.#run;
    while (!this.isDone) {
      await this.#machine.live((life) => this.#derive(life));
      await verifyFlips(this.#machine, "/deriver", readStates);
      await run.clock.sleep(run.around(1, 5000));
    }
  }

  async #derive(life: Life): Promise<void> {
    const run = this.#run;
    const { blobs, inbox, batchers, compressors, head, isAll } = this.#parts;
    const { storage, clock } = life;
    const log = run.log("deriver");
    const states = await StateJournal.open<State>(
      { storage, directory: "/deriver", log },
      STATES,
      { segmentBytes: this.#segmentBytes },
    );
    const state = await this.#latest(states, storage);
    const { standing, history } = state;
    const sink = await FileBlockSink.open(OUT, state.written, (path) => openStored(storage, path));
    const reader = new L1Inbox(
      { chain: this.#parts.node, blobs, log },
      {
        inbox,
        batchers: batchers.map((address) => ({ address })),
        head,
        resumeBlock: standing.readFrom,
        known: state.known,
      },
    );
    let isCaughtUp = false;
    const inner: L1BatchSource = this.#parts.wrapSource?.(reader) ?? reader;
    const source = withMembers(inner, {
      async nextBatch() {
        const isStill = run.isCalm;
        isCaughtUp = false;
        const batch = await inner.nextBatch();
        isCaughtUp = isStill && batch === undefined;
        return batch;
      },
    });
    const runner = new DerivationRunner(
      { source: life.gate(source), compressors, sink, clock, random: run.random, log },
      this.#config,
      standing.position,
      [...history, standing],
    );
    const { pipeline } = runner;
    let line = history;
    let last = standing;
    const save = async () => {
      const next = pipeline.standing;
      const { nextBatchNumber } = next.position;
      line = [...line, last].filter(({ position }) => position.nextBatchNumber < nextBatchNumber);
      last = next;
      const { l1Block, readFrom } = next;
      const known = reader.knownUpTo(l1Block > readFrom ? l1Block : readFrom);
      await states.save({ standing: next, written: sink.position, known, history: line });
    };
    const isDone = () => isCaughtUp && isAll(pipeline.position.nextBatchNumber);
    const stop = life.stopSignal(isDone);
    try {
      // From then on, what is behind an empty file is known to be its own.
      if (states.states.length === 0) await save();
      await runner.run({ signal: stop, onProgress: save });
    } finally {
      await sink.close();
      await states.close();
    }
    this.isDone = run.isCalm && isDone();
  }

  /** The newest state that L1 and the file still agree with. */
  async #latest({ states }: StateJournal<State>, storage: Storage): Promise<State> {
    const size = await storage.size(OUT) ?? 0;
    for (const state of states.toReversed()) {
      const mark = state.known.at(-1);
      if (size >= state.written.bytes && (!mark || await this.#isOnL1(mark))) return state;
    }
    // The file is its own, if it ever wrote that down.
    const written = { blocks: 0, bytes: 0, isOwn: states.length > 0 };
    return { standing: BEGINNING, written, known: [], history: [] };
  }

  async #isOnL1({ number, hash }: BlockMark): Promise<boolean> {
    for (;;) {
      const header = await this.#parts.node.header(number).catch(() => "again" as const);
      if (header !== "again") return header !== undefined && equalBytes(header.hash, hash);
      await this.#run.clock.sleep(1000);
    }
  }

  /** Blocks as they stand in the output. */
  async output(): Promise<readonly DerivedBlock[]> {
    const text = new TextDecoder().decode(await this.#machine.disk.read(OUT));
    return text.split("\n").filter((line) => line !== "").map((line) => {
      const { batchNumber, l1Origin, l1Block } = JSON.parse(line);
      const block = parseBlockLine(line, "the output");
      const numbers = [batchNumber, l1Origin, l1Block].map(BigInt);
      return { ...block, batchNumber: numbers[0]!, l1Origin: numbers[1]!, l1Block: numbers[2]! };
    });
  }

  /** The output is what somebody gets who reads the chain as it is now, once and without a mishap. */
  async verify(): Promise<readonly DerivedBlock[]> {
    const derived = await this.output();
    const expected = await this.#derivedAfresh();
    this.#run.check(
      content(derived).join() === content(expected).join(),
      `${derived.length} derived blocks are not the ${expected.length} that the chain has`,
    );
    const places = (blocks: readonly DerivedBlock[]) =>
      blocks.map(({ batchNumber, l1Origin, l1Block }) => `${batchNumber}/${l1Origin}/${l1Block}`);
    this.#run.check(
      places(derived).join() === places(expected).join(),
      "a derived block is said to be of another batch, or of another L1 block",
    );
    return derived;
  }

  async #derivedAfresh(): Promise<readonly DerivedBlock[]> {
    const { ethereum, inbox, batchers, compressors } = this.#parts;
    const chain = new SimulatedNode(ethereum);
    const source = new L1Inbox(
      { chain, blobs: chain.blobSource() },
      { inbox, batchers: batchers.map((address) => ({ address })), head: "latest" },
    );
    const sink = new MemoryBlockSink();
    const pipeline = new DerivationPipeline({ source, compressors, sink });
    while (await pipeline.step());
    return sink.blocks;
  }
}

/** Before anything was read. */
const BEGINNING: Standing = {
  position: { nextBatchNumber: 0n },
  l1Block: -1n,
  readFrom: 0n,
  blocks: 0,
};

/** All states that are kept. */
async function readStates(storage: Storage, log: Log): Promise<unknown> {
  const journal = await StateJournal.open<State>({ storage, directory: "/deriver", log }, STATES);
  const { states } = journal;
  await journal.close();
  return states;
}
