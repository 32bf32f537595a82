/**
 * Compresses natively in all ways that {@link BrotliCompressor} has, for a test that looks at what
 * else comes out.
 *
 * @module
 */
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { transactions } from "./data.ts";

for (const level of [1, 5, 9, 11]) {
  for (const windowSize of [10, 22, 24]) {
    const native = new BrotliCompressor({ level, windowSize, engine: "native" });
    await native.compress(transactions(level === 11 ? 30_000 : 300_000));
  }
}
