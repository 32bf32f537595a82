/**
 * The words of Ethereum: what the sending and the reading edge in `l1/` share, and the ports they are
 * built on (design `ethereum.md`). Addresses are 20 bytes, hashes 32; fees are wei for one gas.
 *
 * @module
 */
import type { RpcError } from "./errors.ts";
import type { TxCost } from "./types.ts";

/** A transaction before it is signed: EIP-1559, or EIP-4844 where it has blobs. */
export interface UnsignedTransaction {
  readonly chainId: bigint;
  readonly nonce: bigint;
  readonly to: Uint8Array;
  readonly input: Uint8Array;
  readonly gas: bigint;
  readonly fees: FeeCaps;
  /** Versioned hashes in blob order; empty for a transaction without blobs. */
  readonly blobHashes: readonly Uint8Array[];
}

/** What a transaction offers at the most, in wei for one gas. */
export interface FeeCaps {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
  /** Of blob gas; 0 for a transaction without blobs. */
  readonly maxFeePerBlobGas: bigint;
}

/** A signed transaction without its blobs. */
export interface SignedTransaction {
  /** `0x02 ‖ rlp([…])` or `0x03 ‖ rlp([…])`, as it stands in a block. */
  readonly raw: Uint8Array;
  /** keccak256 of `raw`. */
  readonly hash: Uint8Array;
}

/** What travels beside a blob transaction, and is not in its hash. All in blob order. */
export interface BlobSidecar {
  /** 131072 bytes each. */
  readonly blobs: readonly Uint8Array[];
  /** 48 bytes each. */
  readonly commitments: readonly Uint8Array[];
  /** 48 bytes each: one a blob in the legacy form, 128 a blob, one after the other, in the form with cells. */
  readonly proofs: readonly Uint8Array[];
}

/** How blobs travel: with cell proofs since Osaka (EIP-7594), with one proof a blob before (EIP-4844). */
export type SidecarForm = "cells" | "legacy";

/** KZG commitments of blobs, and their proofs. */
export interface Kzg {
  /** Which engine this is: `native`, `c-kzg` or `portable`. */
  readonly engine: string;
  /**
   * The commitment of a blob, 48 bytes.
   *
   * @throws {CodecError} `InvalidBlobSize`, `InvalidFieldElement`
   */
  commitment(blob: Uint8Array): Promise<Uint8Array>;
  /** The 128 cell proofs of a blob (EIP-7594), 48 bytes each. */
  cellProofs(blob: Uint8Array): Promise<readonly Uint8Array[]>;
  /** The one proof of a blob (EIP-4844), 48 bytes. */
  blobProof(blob: Uint8Array, commitment: Uint8Array): Promise<Uint8Array>;
}

/** Holds a key, or knows who does. */
export interface Signer {
  readonly address: Uint8Array;
  /**
   * Signs; a remote answer is verified: it is the very transaction, and `address` signed it.
   *
   * @throws {SignerError}
   */
  sign(transaction: UnsignedTransaction): Promise<SignedTransaction>;
}

/** Errors of JSON-RPC 2.0 (section 5.1), as they stand in `details.rpcCode` of an `RpcError`. */
export const RPC_CODES: Readonly<
  Record<
    "parseError" | "invalidRequest" | "methodNotFound" | "invalidParams" | "internalError",
    number
  >
> = Object.freeze({
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
});

/** A node's JSON-RPC interface, or several of them behind one. */
export interface JsonRpc {
  /** For people and logs: hosts only, never a path, which may hold a key. */
  readonly name: string;
  /** @throws {RpcError} */
  request(method: string, params: readonly unknown[]): Promise<unknown>;
  /**
   * Asks several things at once, where that saves round trips: reads only, as they may be asked again.
   *
   * @returns what came of each, in the order of the calls; an error stands in its place
   */
  requestAll?(calls: readonly RpcCall[]): Promise<readonly RpcOutcome[]>;
  /**
   * Does something with one node of several, and with the next where that throws what may be the node's
   * fault: for reads whose answers are checked.
   */
  ask?<T>(action: (rpc: JsonRpc) => Promise<T>): Promise<T>;
}

/** What a node is asked for. */
export interface RpcCall {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** What came of a call. */
export type RpcOutcome = { readonly result: unknown } | { readonly error: RpcError };

/** Which block: a number, or one of the heads. */
export type BlockTag = bigint | "latest" | "safe" | "finalized" | "pending";

/** A header of L1, as far as it matters here. */
export interface L1Header {
  readonly number: bigint;
  readonly hash: Uint8Array;
  readonly parentHash: Uint8Array;
  /** Unix seconds. */
  readonly timestamp: bigint;
  /** 0 before London; what follows, before Cancun. */
  readonly baseFeePerGas: bigint;
  readonly blobGasUsed: bigint;
  readonly excessBlobGas: bigint;
}

/** A transaction in an L1 block, as a node tells it: nothing of it is verified yet. */
export interface L1BlockTransaction {
  readonly hash: Uint8Array;
  /** None where it makes a contract. */
  readonly to: Uint8Array | undefined;
  readonly input: Uint8Array;
  readonly blobHashes: readonly Uint8Array[];
  /**
   * Checks that `hash` is of these fields, and recovers the sender from the signature over them;
   * `undefined` for a type that is not known here, and where nobody can have signed it.
   *
   * @throws {RpcError} `Invalid` where the node contradicts itself: its fields make another hash
   */
  sender(): Promise<Uint8Array | undefined>;
}

/** What became of a transaction. */
export interface TxReceipt {
  readonly txHash: Uint8Array;
  readonly blockNumber: bigint;
  readonly blockHash: Uint8Array;
  readonly isSuccess: boolean;
  readonly gasUsed: bigint;
  readonly effectiveGasPrice: bigint;
  /** 0 without blobs. */
  readonly blobGasUsed: bigint;
  readonly blobGasPrice: bigint;
}

/** Ethereum as read through JSON-RPC, with its answers checked for form. */
export interface Chain {
  readonly name: string;
  chainId(): Promise<bigint>;
  /** `undefined` where there is no such block (yet). */
  header(tag: BlockTag): Promise<L1Header | undefined>;
  /**
   * With its transactions; `undefined` where there is no such block (yet).
   *
   * @param inbox transactions to this address are what their hashes say, or another node is asked
   */
  block(
    number: bigint,
    inbox?: Uint8Array,
  ): Promise<
    | { readonly header: L1Header; readonly transactions: readonly L1BlockTransaction[] }
    | undefined
  >;
  /** `undefined` where it is in no block of the canonical chain. */
  receipt(txHash: Uint8Array): Promise<TxReceipt | undefined>;
  /** Whether the node knows the transaction at all, in a block or in its pool. */
  knows(txHash: Uint8Array): Promise<boolean>;
  /** How many transactions of the account are in the chain up to the tag. */
  nonce(address: Uint8Array, tag: BlockTag): Promise<bigint>;
  /** Wei. */
  balance(address: Uint8Array): Promise<bigint>;
  /** `eth_maxPriorityFeePerGas`. */
  tip(): Promise<bigint>;
  /** `eth_blobBaseFee`, or what the head's header says where that is missing. */
  blobBaseFee(): Promise<bigint>;
  /** Sends as it is, and resolves with the hash that the node answered. */
  send(raw: Uint8Array): Promise<Uint8Array>;
}

/** Blobs by their versioned hash: an archive, a beacon node, or several sources in a row. */
export interface BlobSource {
  readonly name: string;
  /**
   * The blobs with these hashes, in the order asked for, each checked against its hash.
   *
   * @param block the L1 block that includes them, which tells the slot
   * @throws {SourceError} `BlobMissing`, `Connection`
   */
  blobs(
    block: Pick<L1Header, "number" | "hash" | "timestamp">,
    hashes: readonly Uint8Array[],
  ): Promise<readonly Uint8Array[]>;
}

/** Keeps blobs under their versioned hashes. */
export interface BlobStore {
  /** Resolves when the blob would survive a crash. */
  put(hash: Uint8Array, blob: Uint8Array): Promise<void>;
  /** `undefined` where it is not kept. */
  get(hash: Uint8Array): Promise<Uint8Array | undefined>;
}

/** One transaction that an account signed. */
export interface TxAttempt {
  /** Which batch it carries; `undefined` for one that only takes the nonce from another. */
  readonly batchNumber: bigint | undefined;
  readonly nonce: bigint;
  readonly signed: SignedTransaction;
  readonly fees: FeeCaps;
  /** Empty where the batch is in calldata. */
  readonly blobHashes: readonly Uint8Array[];
  /** Milliseconds since 1970. */
  readonly signedAtMs: number;
  /** The last L1 block that may include the batch, where that is known. */
  readonly deadlineL1Block?: bigint;
}

/** What came of a nonce for good. */
export interface LandedTx {
  readonly nonce: bigint;
  /** `undefined` for one that only took the nonce from another. */
  readonly batchNumber: bigint | undefined;
  readonly isSuccess: boolean;
  readonly txHash: Uint8Array;
  readonly l1Block: bigint;
  readonly l1BlockHash: Uint8Array;
  readonly blobHashes: readonly Uint8Array[];
  readonly cost: TxCost;
  /** The last L1 block in which readers accept the batch, where that is known. */
  readonly deadlineL1Block?: bigint;
  /** Milliseconds since 1970: of the block. */
  readonly landedAtMs: number;
}

/** What an account signed, kept over crashes: attempts until they are final, then what came of them. */
export interface TxJournal {
  /** What is not final, in the order in which it was signed. */
  readonly attempts: readonly TxAttempt[];
  /** What is final, oldest first: of the last 24 hours at least, and the newest 64 however old. */
  readonly landed: readonly LandedTx[];
  /** Resolves when the attempt would survive a crash: only then is it sent. */
  signed(attempt: TxAttempt): Promise<void>;
  /** Forgets the attempts of nonces below `nonce`, and keeps what came of them instead. */
  forget(nonce: bigint, landed: readonly LandedTx[]): Promise<void>;
}

/** What the Ethereum edge tells. */
export type EthereumEvent =
  | {
    /** Signed and written down; it is sent next. */
    readonly event: "tx.signed";
    readonly attempt: TxAttempt;
    /** Why there is one more: the first, a better price, after a restart, or to free the nonce. */
    readonly reason: "first" | "bump" | "cancel" | "fallback";
  }
  | {
    /** What the node answered. */
    readonly event: "tx.sent";
    readonly attempt: TxAttempt;
    readonly answer: string;
  }
  | { readonly event: "tx.included"; readonly attempt: TxAttempt; readonly receipt: TxReceipt }
  | { readonly event: "tx.final"; readonly attempt: TxAttempt; readonly receipt: TxReceipt }
  | {
    /** The block that included it is not in the chain any more. */
    readonly event: "tx.reorganised";
    readonly attempt: TxAttempt;
    readonly l1Block: bigint;
  }
  | {
    /** It waits, and nothing is lost meanwhile. */
    readonly event: "tx.waits";
    readonly batchNumber: bigint | undefined;
    readonly reason:
      | "blob fee"
      | "base fee"
      | "spend"
      | "funds"
      | "nonce"
      | "signer"
      | "node"
      | "archive"
      | "window";
    readonly error: unknown;
  }
  | {
    /** How long the account lasts at the rate of the last 24 hours; told once an hour. */
    readonly event: "account.runway";
    readonly address: Uint8Array;
    readonly balanceWei: bigint;
    readonly spentWei: bigint;
    /** What was spent in so many milliseconds. */
    readonly overMs: number;
    /** `undefined` where nothing was spent. */
    readonly lastsMs: number | undefined;
    /** It should be funded. */
    readonly isLow: boolean;
  }
  | {
    /** Data goes another way from here on. */
    readonly event: "da.switched";
    readonly from: "blobs" | "calldata";
    readonly to: "blobs" | "calldata";
    readonly blobsWei: bigint;
    readonly calldataWei: bigint;
  }
  | {
    /** A batch was fetched again from the network and is, or is not, what was posted. */
    readonly event: "batch.audited";
    readonly batchNumber: bigint;
    readonly isSame: boolean;
    readonly error?: unknown;
  }
  | {
    readonly event: "endpoint.failed";
    /** Host only. */
    readonly endpoint: string;
    readonly error: unknown;
    /** Which is asked instead. */
    readonly next: string | undefined;
  }
  | { readonly event: "endpoint.recovered"; readonly endpoint: string }
  | {
    /** A source answered with another blob than it was asked for, and is asked no more. */
    readonly event: "blobs.quarantined";
    readonly source: string;
    readonly error: unknown;
  }
  | {
    readonly event: "blobs.missing";
    readonly source: string;
    readonly l1Block: bigint;
    readonly why: "orphaned" | "pruned" | "not yet" | "columns" | "unknown";
  }
  | {
    /** L1 went another way: everything above `ancestor` is read again. */
    readonly event: "l1.reorganised";
    readonly ancestor: bigint;
    readonly depth: bigint;
  }
  | {
    /** L2 went another way: so many blocks above `ancestor` that were given are no more. */
    readonly event: "l2.reorganised";
    readonly ancestor: bigint;
    readonly depth: bigint;
    /** The node that said so, where there are several. */
    readonly endpoint?: string;
  }
  | {
    /** No node of L2 has told a newer block for so long. */
    readonly event: "l2.stands";
    /** Host only. */
    readonly endpoint: string;
    readonly number: bigint;
    readonly forMs: number;
  }
  | {
    /** Transactions of these blocks that L1 made, and that are in no batch. */
    readonly event: "deposits.left_out";
    readonly firstBlock: bigint;
    readonly lastBlock: bigint;
    readonly deposits: number;
  };

/** What driving an execution client tells. */
export type EngineEvent =
  | {
    /** Where an execution client was found. */
    readonly event: "engine.opened";
    /** Host only. */
    readonly client: string;
    /** The L2 block that derivation goes on behind. */
    readonly number: bigint;
    readonly hash: Uint8Array;
    /** The client's own head: what it has above is looked at before it is built again. */
    readonly head: bigint;
  }
  | {
    readonly event: "engine.payload";
    readonly number: bigint;
    readonly hash: Uint8Array;
    readonly transactions: number;
    /** The client had that very block already. */
    readonly wasThere: boolean;
  }
  | {
    /** The client is asked again, and nothing is lost meanwhile. */
    readonly event: "engine.waits";
    readonly method: string;
    readonly status: string;
  }
  | {
    /** The client's blocks from `number` on are not what L1 gives: others take their places. */
    readonly event: "engine.reorganised";
    readonly number: bigint;
    readonly hash: Uint8Array;
    readonly why: string;
  }
  | {
    /** The client lost blocks that it was handed: they are handed over again, behind its head. */
    readonly event: "engine.lost";
    readonly head: bigint;
    readonly blocks: number;
  }
  | {
    /** What the client was told of the chain. */
    readonly event: "engine.heads";
    readonly head: bigint;
    readonly safe: bigint | undefined;
    readonly finalized: bigint | undefined;
  };
