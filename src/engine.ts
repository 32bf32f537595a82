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
