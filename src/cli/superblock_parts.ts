/**
 * What a coordinator reads and asks: L1 for its epochs, a sequencer's L2 for blocks, provers, the publisher.
 *
 * @module
 */
import { PipelineError, SourceError } from "../errors.ts";
import { RpcChain } from "../l1/chain.ts";
import { RpcEndpoints } from "../l1/endpoints.ts";
import { BeaconEpochs, ClockEpochs, ExecutionEpochs } from "../l1/epoch_sources.ts";
import { HttpJsonRpc } from "../l1/json_rpc.ts";
import { OutputRoots } from "../l2/output_roots.ts";
import { RpcBlockSource } from "../l2/rpc_block_source.ts";
import type { OriginL1 } from "../local/inbox.ts";
import type { Log } from "../ports.ts";
import { OpSuccinctProver } from "../provers/op_succinct.ts";
import { L2OutputSource, RpcOutputSource } from "../provers/rpc_outputs.ts";
import { SharedPublisher } from "../provers/shared_publisher.ts";
import { SuperblockProver } from "../provers/superblock_prover.ts";
import { type NetworkProver, type Prover, ProvingError, type Publisher } from "../proving.ts";
import { systemClock as clock, systemRandom as random } from "../runtime.ts";
import type { EpochSource } from "../superblock.ts";
import type { ChainStart, FollowedChain } from "../superblock/block_follower.ts";
import { slotAt } from "../superblock/clock.ts";
import type { SuperblockConfig } from "../superblock/config.ts";
import type { StageParts } from "../superblock/stage_run.ts";
import type { ReportedL2, SuperblockSettings } from "./superblock_flags.ts";

/** Epochs do not wait for one who hangs: the next source is asked, and the clock always answers. */
const EPOCH_TIMEOUT_MS = 4000;
/** Beyond all slots that ever are. */
const LAST_SLOT = 2n ** 62n;

/** Those that are configured, in the order in which they are believed; the clock at last. */
export function epochSources({ l1Clock, l1Listener }: SuperblockConfig): readonly EpochSource[] {
  const { l1Rpc, beaconRpc } = l1Listener;
  const chain = l1Rpc === undefined
    ? undefined
    : new RpcChain(new HttpJsonRpc({ url: l1Rpc, clock, timeoutMs: EPOCH_TIMEOUT_MS }));
  const beacon = { clock, l1Clock, timeoutMs: EPOCH_TIMEOUT_MS, ...(chain && { chain }) };
  return [
    ...(beaconRpc === undefined ? [] : [new BeaconEpochs({ url: beaconRpc, ...beacon })]),
    ...(chain ? [new ExecutionEpochs(chain, l1Clock)] : []),
    new ClockEpochs(l1Clock, clock),
  ];
}

/** Batches of the clock name no block of L1. */
export const NO_ORIGINS: OriginL1 = {
  head: () => Promise.reject(new PipelineError("Closed", "Cannot name an L1 block: none is read")),
  block: () => Promise.reject(new PipelineError("Closed", "Cannot name an L1 block: none is read")),
};

/** Opens the chain whose blocks are reported, behind what was, or at the window that is open. */
export async function openReportedL2(
  { urls, head, trustsHashes }: ReportedL2,
  { batchManager: { chainId, l1Clock } }: SuperblockConfig,
  { reported, notBefore }: ChainStart,
  log: Log,
): Promise<FollowedChain> {
  const endpoints = urls.map((url) => new HttpJsonRpc({ url, clock }));
  const options = { endpoints, chainId, clock, random, log };
  let startBlock = 0n;
  if (reported.length === 0) {
    const nodes = new RpcEndpoints(options);
    const source = new ExecutionEpochs(new RpcChain(nodes), l1Clock);
    const first = await source.firstBlock(slotAt(l1Clock, notBefore), LAST_SLOT);
    if (!first) {
      throw new SourceError(
        "Empty",
        `Cannot follow ${nodes.name}: it has no block of this batch yet`,
      );
    }
    startBlock = first.number;
  }
  const source = new RpcBlockSource({
    ...options,
    l1: NO_ORIGINS,
    head,
    trustsHashes,
    follow: true,
    startBlock,
    taken: reported.map(({ number, hash, timestamp }) => ({
      number,
      hash,
      timestamp,
      transactions: [],
    })),
  });
  return source;
}

/** Provers, publisher and output roots, as the stages of a job take them. */
export function provingParts(
  config: SuperblockConfig,
  { proving, l2 }: Pick<SuperblockSettings, "proving" | "l2">,
): Pick<StageParts, "prover" | "networkProver" | "publisher" | "outputs" | "rollup"> {
  if (!proving) return NOBODY_PROVES;
  const { prover, superblockProver, publisher, rollupNode, proofType, rollup } = proving;
  const l1 = new HttpJsonRpc({ url: config.l1Listener.l1Rpc!, clock });
  return {
    prover: new OpSuccinctProver({
      url: prover,
      clock,
      acceptsExecutionChecks: proofType === "execute",
    }),
    networkProver: new SuperblockProver({ url: superblockProver, clock, proofType }),
    publisher: new SharedPublisher({ url: publisher, clock }),
    outputs: rollupNode === undefined
      ? new L2OutputSource({ roots: outputRoots(l2!, config), l1 })
      : new RpcOutputSource({ rollup: new HttpJsonRpc({ url: rollupNode, clock }), l1 }),
    rollup,
  };
}

function outputRoots({ urls, trustsHashes }: ReportedL2, config: SuperblockConfig): OutputRoots {
  const endpoints = urls.map((url) => new HttpJsonRpc({ url, clock }));
  const { chainId } = config.batchManager;
  return new OutputRoots({
    l2: new RpcEndpoints({ endpoints, chainId, clock, random }),
    trustsHashes,
  });
}

const nobody = () =>
  Promise.reject(new ProvingError("Refused", "Cannot prove: no prover is named (--prover)"));

/** Jobs of earlier runs can be looked at and looked after all the same. */
const NOBODY_PROVES: ReturnType<typeof provingParts> = {
  prover: { requestRange: nobody, requestAggregation: nobody, status: nobody } satisfies Prover,
  networkProver: { seal: nobody, request: nobody, status: nobody } satisfies NetworkProver,
  publisher: { submit: nobody, hasReceived: nobody } satisfies Publisher,
  outputs: { l1Head: nobody, outputRoot: nobody },
  rollup: {
    rollupConfigHash: new Uint8Array(32),
    multiBlockVKey: new Uint8Array(32),
    proverAddress: new Uint8Array(20),
    aggregationVKey: null,
  },
};
