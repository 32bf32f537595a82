/**
 * Users of an L2 that is an anvil: transfers, calls of a contract and new contracts, in transactions of
 * all types, so many a second. What they do follows from a seed; when it stands in which block does not.
 *
 * @module
 */
import { getContractAddress, keccak256, type TransactionSerializable } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { SeededRandom } from "../../src/local/memory.ts";
import { toHex } from "../../src/wire/hex.ts";
import { type Anvil, ANVIL_ACCOUNTS } from "../l1/anvil.ts";
import { type Signed, signedBlob } from "./anvil_l2.ts";

type Hex = `0x${string}`;

/** Between two requests. */
const TICK_MS = 100;
/** Transactions of one request. */
const MAX_CALLS = 100;
const FEES = { maxFeePerGas: 100n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n };
/** Puts the second word of what it is called with where the first says. */
const STORE = "0x6007600c60003960076000f36020355f355500";

/** What they do. */
export interface LoadOptions {
  readonly chainId: number;
  readonly seed: number;
  readonly perSecond: number;
  /** Each so many transactions one carries a blob: those are large, so they are few. */
  readonly perBlob: number;
}

interface User {
  readonly account: PrivateKeyAccount;
  nonce: number;
}

/** Signs and sends from {@link Load.start} to {@link Load.pause}. */
export class Load {
  /** Signed bytes by hash, of all that were ever sent. */
  readonly raws: Map<string, string> = new Map();
  readonly #l2: Pick<Anvil, "rpc"> & { readonly url: string };
  readonly #options: LoadOptions;
  readonly #random: SeededRandom;
  readonly #users: readonly User[] = ANVIL_ACCOUNTS.map(({ key }) => ({
    account: privateKeyToAccount(toHex(key) as Hex),
    nonce: 0,
  }));
  /** Lets others put code behind its address. */
  readonly #authority: PrivateKeyAccount;
  #contract: Hex | undefined;
  #running: Promise<void> | undefined;
  #sent = 0;
  #isPaused = true;

  constructor(l2: Pick<Anvil, "rpc"> & { readonly url: string }, options: LoadOptions) {
    this.#l2 = l2;
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#authority = privateKeyToAccount(
      keccak256(`0x${options.seed.toString(16).padStart(4, "0")}`),
    );
  }

  /**
   * Transactions that were sent so far: one that a reorganisation took away may be made a second time, byte
   * for byte, and counts twice.
   */
  get sent(): number {
    return this.#sent;
  }

  start(): void {
    this.#isPaused = false;
    this.#running = this.#run();
    // Told by `pause()`.
    this.#running.catch(() => {});
  }

  /** Resolves when all that was sent stands in blocks. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#running;
    for (;;) {
      const { pending, queued } = await this.#l2.rpc("txpool_status");
      if (Number(pending) + Number(queued) === 0) return;
      await wait(TICK_MS);
    }
  }

  async #run(): Promise<void> {
    // What a reorganisation took away is not done again.
    for (const user of this.#users) {
      const nonce = await this.#l2.rpc("eth_getTransactionCount", [user.account.address, "latest"]);
      user.nonce = Number(nonce);
    }
    const beganMs = performance.now();
    let done = 0;
    while (!this.#isPaused) {
      const due = Math.floor((performance.now() - beganMs) * this.#options.perSecond / 1000);
      const count = Math.min(due - done, MAX_CALLS);
      if (count > 0) await this.#send(count);
      done += count;
      if (due - done <= 0) await wait(TICK_MS);
    }
  }

  async #send(count: number): Promise<void> {
    const signed: Signed[] = [];
    while (signed.length < count) signed.push(await this.#next(this.raws.size + signed.length));
    const hashes = signed.map(({ raw }) => keccak256(raw));
    for (const [index, hash] of hashes.entries()) this.raws.set(hash, signed[index]!.raw);
    const calls = signed.map(({ sent }, id) => ({
      jsonrpc: "2.0",
      id,
      method: "eth_sendRawTransaction",
      params: [sent],
    }));
    const response = await fetch(this.#l2.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(calls),
    });
    for (const { id, result, error } of await response.json()) {
      if (result === hashes[id]) continue;
      throw new Error(`Cannot send a transaction: ${JSON.stringify(error ?? result)}`);
    }
    this.#sent += count;
  }

  /** Transaction `index` of all. */
  async #next(index: number): Promise<Signed> {
    const { chainId, perBlob } = this.#options;
    const user = this.#users[this.#below(this.#users.length)]!;
    const { account } = user;
    const nonce = user.nonce++;
    if (this.#contract && index % perBlob === perBlob - 1) {
      return await signedBlob(chainId, nonce, account);
    }
    const creation = { chainId, nonce, gas: 100_000n, data: STORE } as const;
    const raw = this.#contract
      ? await account.signTransaction(await this.#work(creation, this.#contract))
      : await account.signTransaction({ ...creation, ...FEES });
    this.#contract ??= getContractAddress({ from: account.address, nonce: BigInt(nonce) });
    return { sent: raw, raw };
  }

  /** Of all types but that of blobs, transfers and calls more often than others. */
  async #work(
    creation: { readonly chainId: number; readonly nonce: number },
    contract: Hex,
  ): Promise<TransactionSerializable> {
    const { chainId, nonce } = creation;
    const to = this.#users[this.#below(this.#users.length)]!.account.address;
    const value = BigInt(1 + this.#below(1_000_000));
    const key = word(this.#below(64));
    const data = `0x${key}${word(this.#below(2 ** 32))}` as Hex;
    const transfer = { nonce, to, value, gas: 21_000n };
    const call = { chainId, nonce, to: contract, data, gas: 80_000n };
    const gasPrice = FEES.maxFeePerGas;
    const kind = this.#below(20);
    if (kind < 6) return { ...transfer, ...FEES, chainId, type: "eip1559" };
    if (kind < 9) return { ...transfer, gasPrice, chainId, type: "legacy" };
    if (kind < 10) return { ...transfer, gasPrice, type: "legacy" };
    if (kind < 15) return { ...call, ...FEES, type: "eip1559" };
    if (kind < 17) {
      const accessList = [{ address: contract, storageKeys: [`0x${key}` as Hex] }];
      return { ...call, gasPrice, accessList, type: "eip2930" };
    }
    if (kind < 18) return { ...creation, ...FEES, type: "eip1559" };
    // Only the first of them has the nonce that it must have: the others stand in blocks as well.
    const authorization = { chainId, contractAddress: contract, nonce: 0 };
    const authorizationList = [await this.#authority.signAuthorization(authorization)];
    return { ...call, ...FEES, gas: 150_000n, authorizationList, type: "eip7702" };
  }

  /** A whole number from 0 on, below `limit`. */
  #below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }
}

/** 32 bytes of hexadecimal digits. */
function word(number: number): string {
  return number.toString(16).padStart(64, "0");
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
