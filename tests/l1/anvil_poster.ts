/**
 * Posts to an anvil by hand: what a test wants there, good or bad, in the block that it says.
 *
 * @module
 */
import { makeSidecar, networkForm, versionedHash } from "../../src/l1/sidecar.ts";
import { signWith } from "../../src/l1/transaction.ts";
import type { Kzg, UnsignedTransaction } from "../../src/ethereum.ts";
import { toHex } from "../../src/wire/hex.ts";
import type { Anvil, AnvilAccount } from "./anvil.ts";
import type { FakeTransaction } from "./fake_chain.ts";
import { INBOX } from "./fake_chain.ts";

const GWEI = 1_000_000_000n;
/** It takes both, and the proofs of this one are made faster. */
const FORM = "legacy";

/** An account of an anvil that mines when it is told to. */
export class AnvilPoster {
  readonly #anvil: Anvil;
  readonly #account: AnvilAccount;
  readonly #kzg: Kzg;

  constructor(anvil: Anvil, account: AnvilAccount, kzg: Kzg) {
    this.#anvil = anvil;
    this.#account = account;
    this.#kzg = kzg;
  }

  /** Puts transactions into the pool, in order; `from` is not heeded. */
  async send(...transactions: readonly FakeTransaction[]): Promise<void> {
    for (const transaction of transactions) {
      const raw = await this.#raw(transaction);
      await this.#anvil.rpc("eth_sendRawTransaction", [toHex(raw)]);
    }
  }

  /** Puts them into one block, and resolves with its number. */
  async post(...transactions: readonly FakeTransaction[]): Promise<bigint> {
    await this.send(...transactions);
    await this.#anvil.mine();
    return await this.#anvil.head();
  }

  async #raw({ to = INBOX, input, blobs = [] }: FakeTransaction): Promise<Uint8Array> {
    const address = toHex(this.#account.address);
    const nonce = await this.#anvil.rpc("eth_getTransactionCount", [address, "pending"]);
    const sidecar = await makeSidecar(this.#kzg, blobs, FORM);
    const transaction: UnsignedTransaction = {
      chainId: BigInt(await this.#anvil.rpc("eth_chainId")),
      nonce: BigInt(nonce),
      to,
      input,
      gas: 21_000n + 40n * BigInt(input.length),
      fees: {
        maxFeePerGas: 100n * GWEI,
        maxPriorityFeePerGas: GWEI,
        maxFeePerBlobGas: blobs.length > 0 ? 100n * GWEI : 0n,
      },
      blobHashes: sidecar.commitments.map(versionedHash),
    };
    const signed = await signWith(this.#account.key, transaction);
    return blobs.length > 0 ? await networkForm(signed, sidecar, FORM) : signed.raw;
  }
}
