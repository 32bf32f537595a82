import { ok, strictEqual } from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { sha256 } from "./data.ts";

/** Google's test data, beside the repository: a user's clone does not have it. */
const folder = new URL("../../../shared/vectors/brotli/", import.meta.url);
const skip = !existsSync(folder);
if (skip) process.stdout.write(`skipped: no Brotli vectors at ${fileURLToPath(folder)}\n`);

interface Entry {
  readonly file: string;
  readonly bytes: number;
  readonly role: "original" | "compressed";
}

function read(file: string): Uint8Array {
  const bytes = readFileSync(new URL(file, folder));
  return file.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

test("BrotliCompressor.decompress() takes every vector of google/brotli", { skip }, async () => {
  const index: { files: Entry[] } = JSON.parse(String(readFileSync(new URL("INDEX.json", folder))));
  const brotli = new BrotliCompressor();
  let taken = 0;
  for (const { file, role } of index.files) {
    if (role !== "compressed") continue;
    const original = read(file.replace(/\.compressed.*$/, ".gz"));
    const decompressed = await brotli.decompress(read(file));
    strictEqual(sha256(decompressed), sha256(original), file);
    taken++;
  }
  ok(taken >= 40, `${taken} vectors`);
});
