/**
 * How full the blobs of a backlog are, and how often its bytes are compressed for that.
 *
 * @module
 */
import { NO_BLOCKS, realBlocks } from "./blocks.ts";
import { batchAll, fillOf } from "./pipelines.ts";
import { type BenchOptions, type Group, inDigits, type Row } from "./rows.ts";

/** The group. */
export const packing: Group = {
  name: "packing",
  title: "a backlog of all blocks of Base, at level 11",
  run,
};

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const blocks = realBlocks();
  if (blocks.length === 0) return [{ what: "all blocks of Base", missing: NO_BLOCKS }];
  const rows: Row[] = [];
  for (const maxBlobs of isShort ? [1] : [6, 1]) {
    const some = isShort ? blocks.slice(0, 10) : blocks;
    const { batches, passes, planningPasses } = await batchAll(some, { maxBlobs });
    // The last is whatever was left.
    const fills = batches.map(fillOf).slice(0, Math.max(1, batches.length - 1));
    const name = `up to ${maxBlobs} blob${maxBlobs > 1 ? "s" : ""} a batch`;
    rows.push({
      what: `least fill of all batches but the last, ${name}`,
      value: Math.min(...fills),
      // Blocks are not cut, and of these some take half a blob: one blob cannot be full.
      ...(maxBlobs > 1 ? { mark: { of: "value", least: 0.99 } } : {}),
      detail: {
        batches: batches.length,
        "blocks a batch": some.length / batches.length,
        fills: batches.map(fillOf).map((fill) => inDigits(fill)).join(" "),
      },
    }, {
      what: `level-11 passes over the raw bytes, ${name}`,
      value: passes,
      mark: { of: "value", most: 1.3 },
      detail: { reasons: [...new Set(batches.map((batch) => batch.reason))].join(" ") },
    }, {
      what: `passes at a low level to plan, ${name}`,
      value: planningPasses,
    });
  }
  return rows;
}
