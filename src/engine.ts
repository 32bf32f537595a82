/**
 * The words of the Engine API: what a consensus client hands to an execution client, as seen from either
 * side. Hashes and roots are 32 bytes, addresses 20.
 * (https://github.com/ethereum/execution-apis/tree/main/src/engine)
 *
 * @module
 */
import { MontanaError, type MontanaErrorOptions } from "./errors.ts";

/** A version of the structures and of `engine_newPayload`: Paris, Shanghai, Cancun, Prague. */
export type EngineVersion = 1 | 2 | 3 | 4;

/** A withdrawal of a validator. */
export interface Withdrawal {
  readonly index: bigint;
  readonly validatorIndex: bigint;
  readonly address: Uint8Array;
  /** Gwei. */
  readonly amount: bigint;
}

/** A block, as `engine_newPayload` carries it. What a fork brought is missing before that fork. */
export interface ExecutionPayload {
  readonly parentHash: Uint8Array;
  readonly feeRecipient: Uint8Array;
  readonly stateRoot: Uint8Array;
  readonly receiptsRoot: Uint8Array;
  /** 256 bytes. */
  readonly logsBloom: Uint8Array;
  readonly prevRandao: Uint8Array;
  readonly blockNumber: bigint;
  readonly gasLimit: bigint;
  readonly gasUsed: bigint;
  /** Unix seconds. */
  readonly timestamp: bigint;
  /** At most 32 bytes. */
  readonly extraData: Uint8Array;
  readonly baseFeePerGas: bigint;
  readonly blockHash: Uint8Array;
  /** EIP-2718 bytes in block order; on OP chains deposits (0x7e) come first. */
  readonly transactions: readonly Uint8Array[];
  /** Since Shanghai. */
  readonly withdrawals?: readonly Withdrawal[];
  /** Since Cancun. */
  readonly blobGasUsed?: bigint;
  /** Since Cancun. */
  readonly excessBlobGas?: bigint;
  /** Of OP chains since Isthmus, where it stands in the header instead of the root of `withdrawals`. */
  readonly withdrawalsRoot?: Uint8Array;
}

/** A payload with what travels beside it and is in its hash. */
export interface PayloadEnvelope {
  readonly payload: ExecutionPayload;
  /** Since Cancun. */
  readonly parentBeaconBlockRoot?: Uint8Array;
  /** Since Prague: each is a type and its data (EIP-7685). */
  readonly executionRequests?: readonly Uint8Array[];
}

/** A block, by its hash and its place. */
export interface BlockRef {
  readonly number: bigint;
  readonly hash: Uint8Array;
}

/** Which chain a consensus client follows. */
export interface Forkchoice {
  readonly head: Uint8Array;
  /** `undefined` where no block is safe yet, or none that is known here. */
  readonly safe: Uint8Array | undefined;
  readonly finalized: Uint8Array | undefined;
  /** The block that the oldest payload in hand follows, or one above it that is in hand too. */
  readonly root: BlockRef;
}

/** What a journal of payloads holds, in the order in which it was taken. */
export type PayloadRecord =
  & { readonly sequence: bigint }
  & (
    | { readonly envelope: PayloadEnvelope }
    | { readonly forkchoice: Forkchoice }
  );

/** What a consensus client handed over, kept over crashes until it is needed no more. */
export interface PayloadJournal {
  /** What is kept, oldest first. */
  read(): AsyncIterable<PayloadRecord>;
  /** Resolves with its sequence when the payload would survive a crash: only then is it answered. */
  taken(envelope: PayloadEnvelope): Promise<bigint>;
  /** Resolves with its sequence when the choice would survive a crash. */
  chosen(forkchoice: Forkchoice): Promise<bigint>;
  /** Forgets what is below a sequence. */
  forget(sequence: bigint): Promise<void>;
}

/** What a payload is said to be. `ACCEPTED`: in hand, beside the chain that was chosen. */
export type PayloadState = "VALID" | "INVALID" | "SYNCING" | "ACCEPTED";

/** What a payload, or a choice of one, is answered with. */
export interface PayloadStatus {
  readonly status: PayloadState;
  /** The newest valid block of its branch, where that is known. */
  readonly latestValidHash?: Uint8Array;
  readonly validationError?: string;
  /** Whether its hash is not that of its parts: `INVALID_BLOCK_HASH` in the first version. */
  readonly isWrongHash?: boolean;
}

/** What a consensus client chooses: hashes, zeros where there is none. */
export interface ForkchoiceUpdate {
  readonly head: Uint8Array;
  readonly safe: Uint8Array;
  readonly finalized: Uint8Array;
}

/**
 * | code                | JSON-RPC | kind      |                                                    |
 * | ------------------- | -------: | --------- | -------------------------------------------------- |
 * | `UnknownPayload`    |   -38001 | critical  | no such payload is built                           |
 * | `InvalidForkchoice` |   -38002 | critical  | a safe or final block is not below the head        |
 * | `InvalidAttributes` |   -38003 | critical  | attributes of a payload are not what they must be  |
 * | `TooLarge`          |   -38004 | critical  | more was asked for than is answered at once        |
 * | `UnsupportedFork`   |   -38005 | critical  | the method is not that of the payload's fork       |
 * | `Unavailable`       |   -32000 | temporary | no room on the disk or in memory, or it ends       |
 */
export type EngineErrorCode =
  | "UnknownPayload"
  | "InvalidForkchoice"
  | "InvalidAttributes"
  | "TooLarge"
  | "UnsupportedFork"
  | "Unavailable";

/** A consensus client's call cannot be answered with a status. */
export class EngineError extends MontanaError {
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, code === "Unavailable" ? "temporary" : "critical", options);
    this.code = code;
  }
}

/** What the L2 edge tells of a consensus client. */
export type ConsensusEvent =
  | {
    readonly event: "consensus.payload";
    readonly number: bigint;
    readonly hash: Uint8Array;
    readonly status: PayloadState;
    /** Why it is not valid. */
    readonly reason?: string;
  }
  | {
    readonly event: "consensus.forkchoice";
    readonly status: PayloadState;
    readonly head: Uint8Array;
    /** Numbers, where the blocks are known. */
    readonly headNumber?: bigint;
    readonly safeNumber?: bigint;
    readonly finalizedNumber?: bigint;
    readonly reason?: string;
  }
  | {
    /** What was chosen does not lead down to what is in hand: told once, and then at times. */
    readonly event: "consensus.not_followed";
    /** In a row, for the same reason. */
    readonly choices: number;
    readonly reason: string;
  }
  | {
    /** The consensus client asked for a block to be built, and will get none. */
    readonly event: "consensus.asked_to_build";
    readonly headNumber: bigint;
  }
  | {
    /** A request was not let in, or was none. */
    readonly event: "consensus.refused";
    readonly error: unknown;
  };

/**
 * | code             |                                                                  |
 * | ---------------- | ---------------------------------------------------------------- |
 * | `Missing`        | there is none                                                    |
 * | `Malformed`      | it is no token                                                   |
 * | `WrongAlgorithm` | it is not signed with HS256; `none` is none that is taken        |
 * | `WrongSignature` | it is signed with another secret                                 |
 * | `NoTime`         | it does not say when it was issued                               |
 * | `TooOld`         | it was issued more than 60 s ago                                 |
 * | `TooNew`         | it was issued more than 60 s from now: the clocks are apart      |
 */
export type TokenErrorCode =
  | "Missing"
  | "Malformed"
  | "WrongAlgorithm"
  | "WrongSignature"
  | "NoTime"
  | "TooOld"
  | "TooNew";

/** A request to the Engine API has no token that lets it in. Always critical. */
export class TokenError extends MontanaError {
  readonly code: TokenErrorCode;

  constructor(code: TokenErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, "critical", options);
    this.code = code;
  }
}
