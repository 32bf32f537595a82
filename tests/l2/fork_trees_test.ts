/**
 * Random trees of payloads, given in any order, with choices, polls and restarts between: the source is
 * held against a plain model of what the specification says.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EngineError, type PayloadEnvelope } from "../../src/engine.ts";
import { SourceError } from "../../src/errors.ts";
import { EngineApiSource } from "../../src/l2/engine_source.ts";
import { MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { LogPayloadJournal } from "../../src/wal/payload_journal.ts";
import { BEFORE, payloadAfter } from "./payloads.ts";

const ZERO = new Uint8Array(32);
/** What stands below all trees: a batcher took it. */
const LAST: L2Block = {
  number: BEFORE.blockNumber,
  hash: BEFORE.blockHash,
  timestamp: BEFORE.timestamp,
  transactions: [],
};

/** Index of the parent of each block; -1 is what stands below. */
type Tree = readonly number[];

type Step =
  | { readonly kind: "give"; readonly block: number }
  | { readonly kind: "choose"; readonly head: number; readonly finalized: number | undefined }
  | { readonly kind: "poll" }
  | { readonly kind: "restart"; readonly crash: number | undefined };

/** Each block behind any before it. */
const anyTree: fc.Arbitrary<Tree> = fc.array(fc.nat(), { minLength: 1, maxLength: 14 })
  .map((numbers) => numbers.map((number, index) => number % (index + 1) - 1));

const anySteps = (blocks: number): fc.Arbitrary<Step[]> => {
  const block = fc.nat(blocks - 1);
  return fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("give" as const), block }) },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant("choose" as const),
          head: block,
          finalized: fc.option(block, { nil: undefined }),
        }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("poll" as const) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant("restart" as const),
          crash: fc.option(fc.nat(), { nil: undefined }),
        }),
      },
    ),
    { maxLength: 60 },
  );
};

const any = anyTree.chain((tree) => fc.tuple(fc.constant(tree), anySteps(tree.length)));

async function payloadsOf(tree: Tree): Promise<PayloadEnvelope[]> {
  const payloads: PayloadEnvelope[] = [];
  for (const [index, parent] of tree.entries()) {
    const transactions = [Uint8Array.of(2, index)];
    payloads.push(await payloadAfter(payloads[parent]?.payload ?? BEFORE, { transactions }));
  }
  return payloads;
}

/** What the specification says of a tree without execution. */
class Model {
  readonly #tree: Tree;
  readonly given = new Set<number>();
  #valid = new Set<number>();
  head: number | undefined;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /** From the block down to the first. */
  branch(block: number): number[] {
    return block < 0 ? [] : [block, ...this.branch(this.#tree[block]!)];
  }

  isConnected(block: number): boolean {
    return this.branch(block).every((each) => this.given.has(each));
  }

  give(block: number): string {
    this.given.add(block);
    if (!this.isConnected(block)) return "SYNCING";
    const isNext = this.head === undefined || this.branch(block).includes(this.head);
    if (isNext) this.#callValid(block);
    return this.#valid.has(block) ? "VALID" : "ACCEPTED";
  }

  choose(head: number, finalized: number | undefined): string {
    if (!this.isConnected(head)) return "SYNCING";
    const isKnown = finalized !== undefined && this.given.has(finalized);
    if (isKnown && !this.branch(head).includes(finalized)) return "InvalidForkchoice";
    this.head = head;
    this.#callValid(head);
    return "VALID";
  }

  /** And all below it. */
  #callValid(block: number): void {
    for (const each of this.branch(block)) this.#valid.add(each);
  }

  /** What is beside the head is looked at anew. */
  restart(): void {
    const { head } = this;
    const blocks = [...this.given].filter((each) => this.isConnected(each));
    this.#valid = new Set(
      blocks.filter((each) =>
        head === undefined || this.branch(each).includes(head) || this.branch(head).includes(each)
      ),
    );
  }
}

/** What a batcher does with a source: takes blocks, and drops those that are no more. */
class Batcher {
  readonly taken: L2Block[] = [LAST];

  async poll(source: EngineApiSource): Promise<void> {
    for (let resets = 0; resets < 2;) {
      try {
        const blocks = await source.pendingBlocks();
        this.taken.push(...blocks);
        if (blocks.length === 0) return;
      } catch (error) {
        if (!(error instanceof SourceError) || error.kind !== "reset") throw error;
        resets += 1;
        const number = error.details.block as bigint;
        while (this.taken.at(-1)!.number! > number) this.taken.pop();
        source.rewind(number);
      }
    }
    throw new Error("the branch is chosen, and it steps back again and again");
  }
}

test("any tree in any order: statuses as the model has them, and the blocks of the head", async () => {
  await fc.assert(
    fc.asyncProperty(any, async ([tree, steps]) => {
      const payloads = await payloadsOf(tree);
      const storage = new MemoryStorage();
      const model = new Model(tree);
      const batcher = new Batcher();
      const hash = (block: number | undefined) =>
        block === undefined ? ZERO : payloads[block]!.payload.blockHash;
      const open = async () => {
        const journal = await LogPayloadJournal.open({ storage, directory: "payloads" });
        const { taken } = batcher;
        return {
          journal,
          source: await EngineApiSource.open({ journal, l1: new MemoryL1(), taken }),
        };
      };
      const choose = (source: EngineApiSource, head: number, finalized?: number) =>
        source.forkchoiceUpdated({ head: hash(head), safe: ZERO, finalized: hash(finalized) })
          .then(({ status }) => status, (error: EngineError) => error.code);

      let { source, journal } = await open();
      for (const step of steps) {
        switch (step.kind) {
          case "give": {
            const { status } = await source.newPayload({ envelope: payloads[step.block]! });
            equal(status, model.give(step.block));
            break;
          }
          case "choose": {
            const { head, finalized } = step;
            equal(await choose(source, head, finalized), model.choose(head, finalized));
            break;
          }
          case "poll": {
            await batcher.poll(source);
            break;
          }
          case "restart": {
            await source.close();
            if (step.crash === undefined) await journal.close();
            else storage.crash(new SeededRandom(step.crash));
            ({ source, journal } = await open());
            model.restart();
          }
        }
        equal(source.heldPayloads, model.given.size);
      }
      // In the end all is there, and the newest is chosen.
      for (const [block, envelope] of payloads.entries()) {
        const { status } = await source.newPayload({ envelope });
        equal(status, model.give(block));
      }
      const head = payloads.length - 1;
      equal(await choose(source, head), "VALID");
      await batcher.poll(source);
      deepEqual(
        batcher.taken.slice(1).map((block) => toHex(block.hash!)),
        model.branch(head).reverse().map((block) => toHex(hash(block))),
      );
      await source.close();
      await journal.close();
    }),
    { numRuns: 200 },
  );
});
