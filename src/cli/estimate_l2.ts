/**
 * The blocks of an estimate: a range of an L2, read once for all that are reckoned with them.
 *
 * @module
 */
import type { OriginL1 } from "../local/inbox.ts";
import type { BatchSource, Log } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { type FlagValues, listOf, textOf } from "./command.ts";
import { l2Place, mustBeThere, openL2 } from "./l2.ts";
import { parseWhole, usage } from "./options.ts";

/** Which blocks, where they are numbered. */
export interface Range {
  readonly from: bigint | undefined;
  readonly to: bigint | undefined;
}

/** Blocks that are read. */
export interface RangeOfL2 {
  readonly blocks: BlockRange;
  close(): Promise<void>;
}

/** The range of `--from` and `--to`. */
export function rangeFrom(flags: FlagValues): Range {
  const numberOf = (name: string) => {
    const text = textOf(flags, name);
    return text === undefined ? undefined : parseWhole(`--${name}`, text);
  };
  const [from, to] = [numberOf("from"), numberOf("to")];
  if (from !== undefined && to !== undefined && to < from) {
    throw usage(`Cannot use --from ${from} with --to ${to}: need a block that is not before it`);
  }
  return { from, to };
}

/** Opens the L2 of `--l2` and the flags around it; what is there now is all there is. */
export async function openRange(
  flags: FlagValues,
  { l1, log, signal }: {
    readonly l1: OriginL1;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<RangeOfL2> {
  const engine = listOf(flags, "l2").find((text) => text.startsWith("engine:"));
  if (engine !== undefined) {
    throw usage(`Cannot estimate by --l2 ${engine}: its blocks are to come; need a file or a node`);
  }
  const range = rangeFrom(flags);
  const place = l2Place(flags);
  await mustBeThere(place);
  const options = { l1, journal: undefined, dataDir: undefined, log, once: true, signal };
  const startsAtFrom = place.kind === "node" && range.from !== undefined;
  const opened = await openL2(
    startsAtFrom ? { ...place, startBlock: range.from } : place,
    options,
  );
  return {
    blocks: new BlockRange(opened.patient, range),
    close: () => opened.close(),
  };
}

/** Blocks of a source from one number to another. */
export class BlockRange implements BatchSource {
  readonly #source: BatchSource;
  readonly #range: Range;
  #isOver = false;
  #first: L2Block | undefined;
  #last: L2Block | undefined;
  /** Blocks that were given. */
  given = 0;

  constructor(source: BatchSource, range: Range) {
    this.#source = source;
    this.#range = range;
  }

  get isExhausted(): boolean {
    return this.#isOver || (this.#source.isExhausted ?? true);
  }

  /** The last that was given. */
  get last(): L2Block | undefined {
    return this.#last;
  }

  /** Blocks that will be given still, as far as that is known. */
  get left(): number | undefined {
    const { to } = this.#range;
    if (this.#isOver) return 0;
    if (to === undefined) return this.#source.blocksLeft;
    return this.#last === undefined ? undefined : Number(to - this.#last.number!);
  }

  /** @throws {ConfigError} `Usage` where the blocks have no numbers, or begin behind the range's first */
  async pendingBlocks(): Promise<readonly L2Block[]> {
    if (this.#isOver) return [];
    const blocks = (await this.#source.pendingBlocks()).filter((block) => this.#isIn(block));
    this.given += blocks.length;
    this.#last = blocks.at(-1) ?? this.#last;
    return blocks;
  }

  #isIn(block: L2Block): boolean {
    const { from, to } = this.#range;
    if (from === undefined && to === undefined) return true;
    const { number, timestamp } = block;
    if (number === undefined) {
      throw usage(`Cannot use --from or --to: the block of timestamp ${timestamp} has no number`);
    }
    this.#first ??= block;
    if (from !== undefined && this.#first.number! > from) {
      throw usage(`Cannot begin at --from ${from}: the L2 begins with block ${number}`);
    }
    this.#isOver ||= to !== undefined && number >= to;
    return (from === undefined || number >= from) && (to === undefined || number <= to);
  }

  l1Origin(): Promise<bigint> {
    return this.#source.l1Origin();
  }

  l1OriginHash(number: bigint): Promise<Uint8Array> {
    return this.#source.l1OriginHash(number);
  }

  parentHash(): Promise<Uint8Array> {
    return this.#source.parentHash();
  }
}

/** Who asked, and is to be given the next blocks. */
interface Asker {
  readonly resolve: (blocks: readonly L2Block[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One source for several who all take each of its blocks. The next are read when all have asked for them:
 * none gets ahead, and nothing is kept for those behind.
 */
export class SharedBlocks {
  readonly #source: BatchSource;
  readonly #readers: number;
  #askers: Asker[] = [];

  /** @param readers how many take blocks */
  constructor(source: BatchSource, readers: number) {
    this.#source = source;
    this.#readers = readers;
  }

  /** One of the readers. */
  reader(): BatchSource {
    const source = this.#source;
    return {
      get isExhausted() {
        return source.isExhausted ?? true;
      },
      pendingBlocks: () => this.#next(),
      l1Origin: () => source.l1Origin(),
      l1OriginHash: (number) => source.l1OriginHash(number),
      parentHash: () => source.parentHash(),
    };
  }

  #next(): Promise<readonly L2Block[]> {
    // Others may be done, and ask no more.
    if (this.#source.isExhausted ?? false) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#askers.push({ resolve, reject });
      if (this.#askers.length === this.#readers) void this.#serve();
    });
  }

  async #serve(): Promise<void> {
    const askers = this.#askers;
    this.#askers = [];
    try {
      const blocks = await this.#source.pendingBlocks();
      for (const { resolve } of askers) resolve(blocks);
    } catch (error) {
      for (const { reject } of askers) reject(error);
    }
  }
}
