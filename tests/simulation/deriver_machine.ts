/**
 * A deriver in a run: its states in a log, its blocks in a file, both on a disk that fails.
 *
 * @module
 */
import { parseBlockLine } from "../../src/local/block_line.ts";
import { FileBlockSink, type FilePosition } from "../../src/local/file_block_sink.ts";
import { InboxSource } from "../../src/local/inbox.ts";
import type { MemoryL1 } from "../../src/local/memory.ts";
import { DerivationRunner } from "../../src/pipeline/derivation_runner.ts";
import type { DeriverPosition } from "../../src/pipeline/deriver.ts";
import type { Compressor, Log, Storage } from "../../src/ports.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { StateJournal } from "../../src/wal/state_journal.ts";
import { content } from "../helpers.ts";
import { openStored } from "../local/stored_block_file.ts";
import { verifyFlips } from "./flips.ts";
import type { Posted } from "./inbox.ts";
import { type Life, Machine } from "./life.ts";
import type { Run } from "./run.ts";
import type { Chain } from "./source.ts";

/** What it lives among. */
export interface DeriverParts {
  readonly l1: MemoryL1;
  readonly compressor: Compressor;
  readonly chain: Chain;
  readonly posted: Posted;
  readonly wrap?: (disk: Storage) => Storage;
}

/** What `montana deriver` saves after each batch, less what there is one of here. */
interface State {
  readonly position: DeriverPosition;
  readonly written: FilePosition;
  readonly l1: { readonly number: bigint; readonly hash: Uint8Array };
}

const OUT = "/out/blocks.jsonl";
const STATES = { keep: 4, isWhole: ({ written }: Partial<State>) => written !== undefined };

/** A deriver that is started again whenever it ends. */
export class DeriverMachine {
  readonly #run: Run;
  readonly #parts: DeriverParts;
  readonly #machine: Machine;
  readonly #config;
  readonly #segmentBytes: number;
  /** What it said was safe. */
  #flushed: FilePosition = { blocks: 0, bytes: 0 };
  isDone = false;

  constructor(run: Run, parts: DeriverParts) {
    const { wrap } = parts;
    this.#run = run;
    this.#parts = parts;
    this.#machine = new Machine(run, { name: "deriver", ...(wrap ? { wrap } : {}) });
    this.#segmentBytes = run.around(512, 20_000);
    this.#config = {
      pollIntervalMs: run.around(10, 5000),
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

  /** As `montana deriver --data-dir` does. */
  async #derive(life: Life): Promise<void> {
    const run = this.#run;
    const { l1, compressor, chain } = this.#parts;
    const { storage, clock } = life;
    const log = run.log("deriver");
    const parts = { storage, directory: "/deriver", log };
    const states = await StateJournal.open<State>(parts, STATES, {
      segmentBytes: this.#segmentBytes,
    });
    const state = await this.#latest(states, storage);
    run.check(
      (state?.written.blocks ?? 0) <= this.#flushed.blocks,
      "the deriver remembers more than it said",
    );
    const sink = await FileBlockSink.open(
      OUT,
      state?.written,
      (path) => openStored(storage, path),
    );
    const runner = new DerivationRunner(
      {
        source: life.gate(new InboxSource(l1, { startBlock: state?.l1.number ?? 0n })),
        compressors: [compressor],
        sink,
        clock,
        random: run.random,
        log,
      },
      this.#config,
      state?.position,
    );
    const isDone = () => sink.position.blocks === chain.blocks.length;
    const stop = life.stopSignal(isDone);
    const save = async () => {
      this.#flushed = sink.position;
      const number = runner.pipeline.l1Position ?? 0n;
      const { hash } = await l1.block(number);
      const { position } = runner.pipeline;
      await states.save({ position, written: sink.position, l1: { number, hash } });
    };
    try {
      if (!state) await save();
      await runner.run({ signal: stop, onProgress: save });
    } finally {
      await sink.close();
      await states.close();
    }
    this.isDone = run.isCalm && isDone();
  }

  /** The newest that L1 and the file still agree with. */
  async #latest(states: StateJournal<State>, storage: Storage): Promise<State | undefined> {
    const { l1 } = this.#parts;
    for (const state of states.states.toReversed()) {
      const { hash } = await l1.block(state.l1.number);
      this.#run.check(equalBytes(hash, state.l1.hash), "a state names a block that L1 has not");
      if ((await storage.size(OUT) ?? 0) >= state.written.bytes) return state;
    }
    return states.states.at(-1);
  }

  /** Every block of the chain, once, in order. */
  async verify(): Promise<void> {
    const { chain, posted } = this.#parts;
    const text = new TextDecoder().decode(await this.#machine.disk.read(OUT));
    const lines = text.trimEnd().split("\n");
    const derived = lines.map((line) => parseBlockLine(line, "the output"));
    this.#run.check(
      content(derived).join() === content(chain.blocks).join(),
      "the derived blocks are not those of the source",
    );
    const numbers = lines.map((line) => JSON.parse(line).batchNumber);
    this.#run.check(
      numbers.every((number, index) => number === posted.batchOf(index)),
      "a derived block is said to be of another batch",
    );
  }
}

/** All states that are kept. */
async function readStates(storage: Storage, log: Log): Promise<unknown> {
  const journal = await StateJournal.open<State>({ storage, directory: "/deriver", log }, STATES);
  const { states } = journal;
  await journal.close();
  return states;
}
