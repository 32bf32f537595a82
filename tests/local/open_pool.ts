/**
 * A program that leaves a pool open, and tells when it ends.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import process from "node:process";
import { CompressorPool } from "../../src/local/compressor_pool.ts";

process.on("exit", () => console.log("ended"));
const pool = new CompressorPool({ format: "brotli", level: 5 }, { workers: 2 });
// Nothing but the pool keeps the process alive meanwhile.
const compressed = await Promise.all([0, 1].map(() => pool.compress(new Uint8Array(1000))));
console.log(`${compressed.length} done`);
