/**
 * What an execution client is told to build a block of.
 *
 * @module
 */
import { SinkError } from "../errors.ts";
import type { DerivedBlock } from "../types.ts";
import type { EngineBlock } from "./engine_block.ts";
import type { EngineAttributes } from "./engine_client.ts";

/** What does not travel in a batch. */
export interface BlockAttributes {
  /** 32 bytes; zeros otherwise. */
  readonly prevRandao?: Uint8Array;
  /** 20 bytes; zeros otherwise. */
  readonly feeRecipient?: Uint8Array;
  /** 32 bytes; zeros otherwise. */
  readonly parentBeaconBlockRoot?: Uint8Array;
  /** That of the parent otherwise. */
  readonly gasLimit?: bigint;
  /**
   * EIP-1559 parameters of OP-style chains from Holocene on: denominator and elasticity, 4 bytes each. Those
   * in the parent's extra data otherwise.
   */
  readonly eip1559Params?: Uint8Array;
  /** Wei, for OP-style chains from Jovian on; that in the parent's extra data otherwise. */
  readonly minBaseFee?: bigint;
  /** Deposits (type 0x7e), which no batch carries: they come before the derived transactions. */
  readonly deposits?: readonly Uint8Array[];
}

/**
 * All of a block on `parent`.
 *
 * @throws {SinkError} `InvalidBlock` where its timestamp is not above the parent's
 */
export function engineAttributes(
  block: DerivedBlock,
  parent: EngineBlock,
  given: BlockAttributes,
): EngineAttributes {
  if (block.timestamp <= parent.timestamp) {
    throw new SinkError(
      "InvalidBlock",
      `Cannot build block ${parent.number + 1n} of batch ${block.batchNumber}: its timestamp is ` +
        `${block.timestamp}, its parent's ${parent.timestamp}; is this the client of another chain?`,
      { details: { block: parent.number + 1n, batch: block.batchNumber } },
    );
  }
  const params = paramsIn(parent.extraData);
  return {
    timestamp: block.timestamp,
    prevRandao: given.prevRandao ?? new Uint8Array(32),
    feeRecipient: given.feeRecipient ?? new Uint8Array(20),
    parentBeaconBlockRoot: given.parentBeaconBlockRoot ?? new Uint8Array(32),
    transactions: [...given.deposits ?? [], ...block.transactions],
    gasLimit: given.gasLimit ?? parent.gasLimit,
    eip1559Params: given.eip1559Params ?? params.eip1559Params,
    minBaseFee: given.minBaseFee ?? params.minBaseFee,
  };
}

/**
 * The parameters in the extra data of OP-style chains: `0x00 ‖ denominator u32 ‖ elasticity u32` from
 * Holocene on, `0x01 ‖ … ‖ minBaseFee u64` from Jovian on.
 * (https://specs.optimism.io/protocol/jovian/exec-engine.html)
 */
function paramsIn(
  extraData: Uint8Array,
): { readonly eip1559Params: Uint8Array | undefined; readonly minBaseFee: bigint | undefined } {
  const [version] = extraData;
  const isHolocene = version === 0 && extraData.length === 9;
  const isJovian = version === 1 && extraData.length === 17;
  if (!isHolocene && !isJovian) return { eip1559Params: undefined, minBaseFee: undefined };
  const view = new DataView(extraData.buffer, extraData.byteOffset);
  return {
    eip1559Params: extraData.slice(1, 9),
    minBaseFee: isJovian ? view.getBigUint64(9) : undefined,
  };
}
