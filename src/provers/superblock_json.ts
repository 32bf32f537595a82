/**
 * Superblocks as superblock-prover takes them: hashes are arrays of numbers. A request has two forms of the
 * same: `prev_superblock` and `new_superblock`, of which its public server proves the transition, and
 * `input`, with the state roots of each rollup, which the publisher's client sends.
 *
 * @module
 */
import type { NetworkProofInput, Superblock, SuperblockBlock } from "../proving.ts";
import { parseU64 } from "../wire/hex.ts";
import { bytesOf, fieldsOf, jsonNumber, wrong } from "./json.ts";
import { outputsJson } from "./shared_publisher.ts";
import { chainIdBytes } from "./superblock_hash.ts";

/** Where a rollup was before a superblock, and where it is behind it. */
export interface RollupTransition {
  readonly rollupConfigHash: Uint8Array;
  readonly preRoot: Uint8Array;
  readonly postRoot: Uint8Array;
}

/** What was aggregated of a rollup, and what it is said to come to. */
export interface AggregationClaim {
  readonly chainId: bigint;
  readonly preRoot: Uint8Array;
  readonly postRoot: Uint8Array;
  readonly l2BlockNumber: bigint;
  /** A proof, or a report of what was checked. */
  readonly proof: Uint8Array;
}

/** What a prover is to check. */
export interface Transition {
  readonly previous: Superblock;
  readonly next: Superblock;
  readonly previousRollups: readonly RollupTransition[];
  readonly rollups: readonly RollupTransition[];
  readonly aggregations?: readonly AggregationClaim[];
}

/** The body of `POST /proof`, without its `proof_type`. */
export function transitionJson(input: NetworkProofInput): object {
  const { previous, next, previousOutputs, outputs, aggregationProof, chainId } = input;
  return {
    prev_superblock: superblockJson(previous),
    new_superblock: superblockJson(next),
    input: {
      previous_batch: batchJson(previous, previousOutputs),
      new_batch: batchJson(next, outputs),
      aggregation_proofs: outputs && aggregationProof
        ? [{
          chain_id: jsonNumber(chainId, "chain_id"),
          aggregation_outputs: outputsJson(outputs),
          compressed_proof: [...aggregationProof],
          agg_vkey: input.aggregationVKey,
        }]
        : [],
    },
  };
}

/**
 * What {@link transitionJson} wrote, or others who speak so; `input` may be missing.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function transitionOf(body: unknown): Transition {
  const { prev_superblock, new_superblock, input } = fieldsOf(body, "the request");
  const { previous_batch, new_batch, aggregation_proofs } = fieldsOf(input ?? {}, "input");
  return {
    previous: superblockOf(prev_superblock, "prev_superblock"),
    next: superblockOf(new_superblock, "new_superblock"),
    previousRollups: rollupsOf(previous_batch, "previous_batch"),
    rollups: rollupsOf(new_batch, "new_batch"),
    aggregations: aggregation_proofs === undefined
      ? []
      : listOf(aggregation_proofs, "aggregation_proofs").map(claimOf),
  };
}

function superblockJson(superblock: Superblock): object {
  const { number, slot, parentHash, hash, merkleRoot, timestamp, blocks } = superblock;
  return {
    number: jsonNumber(number, "number"),
    slot: jsonNumber(slot, "slot"),
    parent_hash: [...parentHash],
    hash: [...hash],
    merkle_root: [...merkleRoot],
    timestamp: jsonNumber(timestamp, "timestamp"),
    l2_blocks: blocks.map((block) => ({
      slot: jsonNumber(block.slot, "slot"),
      chain_id: [...chainIdBytes(block.chainId)],
      block_number: jsonNumber(block.number, "block_number"),
      block_hash: [...block.hash],
      parent_block_hash: [...block.parentHash],
      included_xts: [],
      block: [],
    })),
    included_xts: [],
    l1_transaction_hash: null,
  };
}

function batchJson(
  { number, parentHash }: Superblock,
  outputs: NetworkProofInput["outputs"],
): object {
  const word = (value: bigint) => [...bytesOf(`0x${value.toString(16).padStart(64, "0")}`, "", 32)];
  return {
    superblock_number: jsonNumber(number, "superblock_number"),
    parent_superblock_batch_hash: [...parentHash],
    rollup_st: outputs
      ? [{
        rollup_config_hash: [...outputs.rollupConfigHash],
        l2_pre_root: [...outputs.l2PreRoot],
        l2_post_root: [...outputs.l2PostRoot],
        l2_block_number: word(outputs.l2BlockNumber),
      }]
      : [],
  };
}

function superblockOf(value: unknown, field: string): Superblock {
  const fields = fieldsOf(value, field);
  return {
    number: parseU64(fields.number, `${field}.number`),
    slot: parseU64(fields.slot, `${field}.slot`),
    parentHash: bytesOf(fields.parent_hash, `${field}.parent_hash`, 32),
    hash: bytesOf(fields.hash, `${field}.hash`),
    merkleRoot: bytesOf(fields.merkle_root, `${field}.merkle_root`, 32),
    timestamp: parseU64(fields.timestamp, `${field}.timestamp`),
    blocks: listOf(fields.l2_blocks, `${field}.l2_blocks`).map(blockOf),
  };
}

function blockOf(value: unknown, at: number): SuperblockBlock {
  const name = `l2_blocks[${at}]`;
  const fields = fieldsOf(value, name);
  const chainId = bytesOf(fields.chain_id, `${name}.chain_id`);
  return {
    chainId: chainId.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n),
    slot: parseU64(fields.slot, `${name}.slot`),
    number: parseU64(fields.block_number, `${name}.block_number`),
    hash: bytesOf(fields.block_hash, `${name}.block_hash`, 32),
    parentHash: bytesOf(fields.parent_block_hash, `${name}.parent_block_hash`),
  };
}

function rollupsOf(batch: unknown, field: string): RollupTransition[] {
  if (batch === undefined) return [];
  const { rollup_st } = fieldsOf(batch, field);
  return listOf(rollup_st, `${field}.rollup_st`).map((each) => {
    const fields = fieldsOf(each, `${field}.rollup_st`);
    return {
      rollupConfigHash: bytesOf(fields.rollup_config_hash, "rollup_config_hash", 32),
      preRoot: bytesOf(fields.l2_pre_root, "l2_pre_root", 32),
      postRoot: bytesOf(fields.l2_post_root, "l2_post_root", 32),
    };
  });
}

function claimOf(value: unknown, at: number): AggregationClaim {
  const name = `aggregation_proofs[${at}]`;
  const { chain_id, aggregation_outputs, compressed_proof } = fieldsOf(value, name);
  const outputs = fieldsOf(aggregation_outputs, `${name}.aggregation_outputs`);
  return {
    chainId: parseU64(chain_id, `${name}.chain_id`),
    preRoot: bytesOf(outputs.l2PreRoot, "l2PreRoot", 32),
    postRoot: bytesOf(outputs.l2PostRoot, "l2PostRoot", 32),
    l2BlockNumber: parseU64(outputs.l2BlockNumber, "l2BlockNumber"),
    proof: bytesOf(compressed_proof, `${name}.compressed_proof`),
  };
}

function listOf(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw wrong(field, "a list", value);
}
