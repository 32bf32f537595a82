/**
 * A real L1 for tests: anvil, out of its npm package or off the PATH, each on a port of its own and gone
 * with the test.
 *
 * What anvil 1.7.1 does, tried out; `anvil_test.ts` holds what others build on:
 *
 * | subject            |                                                                             |
 * | ------------------ | --------------------------------------------------------------------------- |
 * | fork               | `Bpo1` unless told; `osaka`, `prague`, `cancun` by `--hardfork`             |
 * | `eth_config`       | there, `current` only; `P256VERIFY` tells Osaka; 9 blobs at most (Cancun 6) |
 * | `safe` `finalized` | 32 and 64 blocks behind, block 0 before; `pending` is there                 |
 * | sidecars           | both forms under each fork from Cancun on; none: -32003                     |
 * | blobs              | 6 a transaction at most, 9 a block, so at most one full transaction a block |
 * | request size       | 2 MB: 6 blobs fit (1.65 MB); above that -32600, but `--no-request-size-limit` |
 * | answer size        | a block with transactions repeats blobs and proofs: 275 kB a blob           |
 * | genesis            | `/eth/v1/beacon/genesis` is the time of block 0; `config/spec` is 404       |
 * | state of block 0   | its root is that of no account at all, and `eth_getProof` has the accounts  |
 * | blobs by slot      | `/eth/v1/beacon/blobs/N` takes a block number; unknown block 404            |
 * | their order        | of the block. Of repeated `versioned_hashes` the last counts, of a list with |
 * |                    | commas all; a blob that is there twice comes twice; unknown hash: `[]`      |
 * | `blob_sidecars`    | 410                                                                         |
 * | time               | blocks of one `anvil_mine` have the same timestamp                          |
 * | automatic mining   | answers the hash before the block is there                                  |
 * | replacing          | any higher fee does, by either type; the same transaction: already imported |
 * | types              | blob and other transactions of an account stand side by side in the pool    |
 * | a gap              | is taken, and waits                                                         |
 * | pool               | forgets a transaction when a block's base fee is above its cap              |
 * | sent again         | once mined: nonce too low                                                   |
 * | `anvil_reorg`      | `[depth, []]`: new empty blocks, same times; what was in the old is gone    |
 * | blob base fee      | 1 wei for ever, as 9 blobs are below the target it reckons with (10). From a  |
 * |                    | genesis with `excessBlobGas` it rises with full blocks while the base fee is |
 * |                    | high (EIP-7918), and falls with empty ones once that is low: 16 times the    |
 * |                    | price by the update fraction of `Bpo1`, far below what it really is          |
 * | `eth_blobBaseFee`  | of the next block; at block 0 by another update fraction than later         |
 * | first blobs        | take seconds, as it loads the trusted setup: see `loadTrustedSetup()`         |
 * | receipts           | tell `blobGasPrice` without blobs too, by the update fraction of Cancun: what |
 * |                    | was paid only under `cancun`, from an `excessBlobGas`                       |
 * | tips               | `eth_maxPriorityFeePerGas` follows what the last blocks paid                |
 * | paths              | JSON-RPC at `/` only                                                        |
 * | `--state`          | written at SIGTERM: the chain comes back as it was, with blobs, without the |
 * |                    | pool; older blocks can be reorganised by `--preserve-historical-states` only |
 * | `transactionsRoot` | of transactions with their sidecars, where they have blobs, as it keeps its    |
 * |                    | blocks in the form of the pool (EIP-4844 has no sidecar in a block); so do    |
 * |                    | `debug_getRawTransaction` and `eth_getRawTransactionByHash` give them: with   |
 * |                    | blobs `--verify-l1` refuses its blocks                                        |
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { accessSync, constants, rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { fromHex } from "../../src/wire/hex.ts";

/** A start that takes longer hangs. */
const START_LIMIT_MS = 30_000;

/** Accounts that anvil funds with 10000 ether, by its well-known mnemonic; keys that all the world knows. */
export const ANVIL_ACCOUNTS: readonly AnvilAccount[] = [
  [
    "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
  ],
  [
    "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
  ],
  [
    "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
  ],
  [
    "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
  ],
].map(([address, key]) => ({
  address: fromHex(address, "address", 20),
  key: fromHex(key, "key", 32),
}));

/** Who holds money on anvil. */
export interface AnvilAccount {
  /** 20 bytes. */
  readonly address: Uint8Array;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** How anvil is started. */
export interface AnvilOptions {
  /** Seconds between blocks; without it each transaction makes a block at once. */
  readonly blockTimeS?: number;
  /** Makes no block but by {@link Anvil.mine}. */
  readonly noMining?: boolean;
  /** As in `osaka`, `prague`, `cancun`. */
  readonly hardfork?: string;
  readonly chainId?: number;
  /** 32 unless told; a block is final two epochs later. */
  readonly slotsInAnEpoch?: number;
  /** In block 0: blob gas is dear from the first block on, and its price moves. */
  readonly excessBlobGas?: bigint;
  /** A free one unless told. */
  readonly port?: number;
  /** A file: its chain is read from there, and written when it ends by {@link Anvil.stop}. */
  readonly state?: string;
  /** More flags. */
  readonly args?: readonly string[];
}

/** A JSON-RPC error as anvil answered it. */
export class AnvilError extends Error {
  override readonly name = "AnvilError";
  readonly rpcCode: number;
  constructor(method: string, rpcCode: number, message: string) {
    super(`${method}: ${message}`);
    this.rpcCode = rpcCode;
  }
}

/** An anvil that runs; disposing of it kills it and removes what it wrote. */
export class Anvil implements AsyncDisposable {
  /** JSON-RPC and the beacon endpoints, both. Without a slash at its end. */
  readonly url: string;
  readonly accounts = ANVIL_ACCOUNTS;
  /** The one directory it writes to. */
  readonly home: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(child: ChildProcess, url: string, home: string, ended: Promise<void>) {
    this.#child = child;
    this.url = url;
    this.home = home;
    this.#ended = ended;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The result of a call. @throws {AnvilError} */
  // deno-lint-ignore no-explicit-any -- what a test asks for it knows the shape of
  async rpc(method: string, params: readonly unknown[] = []): Promise<any> {
    const response = await fetch(this.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await response.json();
    if (error) throw new AnvilError(method, error.code, error.message);
    return result;
  }

  /** Makes blocks, with what waits in the pool in the first. */
  async mine(blocks = 1): Promise<void> {
    await this.rpc("anvil_mine", [`0x${blocks.toString(16)}`]);
  }

  /** Number of the newest block. */
  async head(): Promise<bigint> {
    return BigInt(await this.rpc("eth_blockNumber"));
  }

  /** Ends it as an operator does. It has written its state by then, if it has one. */
  async stop(): Promise<void> {
    kill(this.#child, "SIGTERM");
    await this.#ended;
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    kill(this.#child);
    await this.#ended;
    await rm(this.home, { recursive: true, force: true });
  }
}

/** Starts anvil on a free port of 127.0.0.1. */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil> {
  const path = findAnvil();
  if (path === undefined) throw new Error("Cannot start anvil: there is none here");
  const home = await mkdtemp(join(tmpdir(), "montana-anvil-"));
  const genesis = join(home, "genesis.json");
  if (options.excessBlobGas !== undefined) await writeFile(genesis, genesisOf(options));
  const init = options.excessBlobGas === undefined ? [] : ["--init", genesis];
  const child = spawn(path, ["--host", "127.0.0.1", ...init, ...flags(options)], {
    // It keeps states and caches under its home, and temporary files: both go with it.
    env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home, NO_COLOR: "1" },
    cwd: home,
    stdio: ["ignore", "pipe", "pipe"],
  });
  // A test run that ends half way must not leave it behind.
  const killAtExit = () => {
    kill(child);
    rmSync(home, { recursive: true, force: true });
  };
  process.once("exit", killAtExit);
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => {
      process.off("exit", killAtExit);
      resolve();
    });
  });
  try {
    return new Anvil(child, await listening(child), home, ended);
  } catch (error) {
    kill(child);
    await ended;
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

/** For `{ skip }` of a test that needs anvil; prints why it is skipped without it. */
export function skipWithoutAnvil(test: string): string | false {
  if (findAnvil() !== undefined) return false;
  const why = "there is no anvil here, neither its npm package nor one on the PATH";
  process.stdout.write(`skipped: ${test}: ${why}\n`);
  return why;
}

let found: { readonly path: string | undefined } | undefined;

/**
 * Where anvil is, or `anvil` for the one on the PATH. The pinned package is Linux on x64; elsewhere whoever
 * has Foundry has it on the PATH.
 */
export function findAnvil(): string | undefined {
  if (found) return found.path;
  const name = "../../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
  const packaged = fileURLToPath(new URL(name, import.meta.url));
  const path = [packaged, "anvil"].find(runs);
  found = { path };
  return path;
}

function runs(path: string): boolean {
  if (path.includes("/")) {
    try {
      accessSync(path, constants.X_OK);
    } catch {
      return false;
    }
  }
  return spawnSync(path, ["--version"], { stdio: "ignore" }).status === 0;
}

function flags(options: AnvilOptions): string[] {
  const { blockTimeS, noMining, hardfork, chainId, slotsInAnEpoch, port = 0, state, args = [] } =
    options;
  return [
    ...["--port", `${port}`],
    ...(state === undefined ? [] : ["--state", state]),
    ...(blockTimeS === undefined ? [] : ["--block-time", `${blockTimeS}`]),
    ...(noMining ? ["--no-mining"] : []),
    ...(hardfork === undefined ? [] : ["--hardfork", hardfork]),
    ...(chainId === undefined ? [] : ["--chain-id", `${chainId}`]),
    ...(slotsInAnEpoch === undefined ? [] : ["--slots-in-an-epoch", `${slotsInAnEpoch}`]),
    ...args,
  ];
}

/** Block 0, with all forks active from there. */
function genesisOf({ excessBlobGas = 0n, chainId = 31337 }: AnvilOptions): string {
  const blocks = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople"]
    .concat("petersburg", "istanbul", "berlin", "london").map((fork) => [`${fork}Block`, 0]);
  const times = ["shanghai", "cancun", "prague", "osaka"].map((fork) => [`${fork}Time`, 0]);
  return JSON.stringify({
    config: { chainId, terminalTotalDifficulty: 0, ...Object.fromEntries([...blocks, ...times]) },
    nonce: "0x0",
    timestamp: `0x${Math.floor(Date.now() / 1000).toString(16)}`,
    extraData: "0x",
    gasLimit: "0x1c9c380",
    difficulty: "0x0",
    mixHash: "0x" + "00".repeat(32),
    coinbase: "0x" + "00".repeat(20),
    alloc: {},
    baseFeePerGas: "0x3b9aca00",
    blobGasUsed: "0x0",
    excessBlobGas: `0x${excessBlobGas.toString(16)}`,
  });
}

/** The URL, once it has said that it listens. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (why: string) => {
      clearTimeout(limit);
      reject(new Error(`Cannot start anvil: ${why}: ${said.trim()}`));
    };
    const limit = setTimeout(() => fail(`no word in ${START_LIMIT_MS} ms`), START_LIMIT_MS);
    const read = (chunk: Uint8Array) => {
      // Once it listens, what it says is only kept from filling the pipe.
      if (said.length < 100_000) said += new TextDecoder().decode(chunk);
      const address = /Listening on (\S+:\d+)/.exec(said)?.[1];
      if (address === undefined) return;
      clearTimeout(limit);
      resolve(`http://${address}`);
    };
    child.stdout!.on("data", read);
    child.stderr!.on("data", read);
    child.once("error", (error) => fail(error.message));
    child.once("close", (code) => fail(`it ended with ${code}`));
  });
}

function kill(child: ChildProcess, signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): void {
  try {
    // Not by `kill()` of the child: under Deno its exit code would then be lost.
    if (child.exitCode === null && child.pid !== undefined) process.kill(child.pid, signal);
  } catch {
    // It has ended by itself.
  }
}
