/**
 * `montana superblock`: batches by the clock of Ethereum, proved and handed to the Shared Publisher.
 *
 * @module
 */
import type { Log } from "../ports.ts";
import { writeStderr } from "../runtime.ts";
import { productionConcerns } from "../superblock/config.ts";
import { slotsPerBatch } from "../superblock/clock.ts";
import { EXIT, type FlagValues } from "./command.ts";
import { LOG_FLAGS, logFrom } from "./log.ts";
import { METRICS_FLAG } from "./monitor.ts";
import { type OpenedSuperblock, openSuperblock, serveSuperblock } from "./open_superblock.ts";
import { asRole, type RoleContext, type RoleSpec } from "./role.ts";
import {
  REPORTED_L2_FLAGS,
  SUPERBLOCK_FLAGS,
  type SuperblockSettings,
  superblockSettings,
} from "./superblock_flags.ts";
import { countOf } from "./text.ts";

/** Synchronized batch proving. */
export const superblock: RoleSpec = asRole({
  name: "superblock",
  summary: "Cut batches by the clock of Ethereum, have them proved, hand the proofs on",
  flags: [...SUPERBLOCK_FLAGS, METRICS_FLAG, ...LOG_FLAGS],
  examples: [
    "superblock --config montana.yaml --l2 http://127.0.0.1:9545",
    "superblock --config montana.yaml --listen 9000",
    "superblock --config montana.yaml --l2 http://127.0.0.1:9545 --proof-type execute --prover http://127.0.0.1:3000 --superblock-prover http://127.0.0.1:3000 --publisher http://127.0.0.1:3000",
    "superblock --set batch_manager.chain_id=1001 --preset test --listen 9000",
    "superblock --config montana.yaml --l2 http://127.0.0.1:9545 --prover http://127.0.0.1:3001 --superblock-prover http://127.0.0.1:3000 --publisher http://127.0.0.1:8081 --rollup-config-hash $CONFIG_HASH --multi-block-vkey $RANGE_VKEY --prover-address $PROVER --aggregation-vkey agg.json",
  ],
  without: { batcher: REPORTED_L2_FLAGS },
  isServer: true,
  isAwaited: true,
  read: async (flags, beside) => {
    await superblockSettings(flags, beside, { readsKey: false });
    logFrom(flags);
  },
  check: (flags, beside) => superblockSettings(flags, beside),
  runRole: runSuperblock,
});

async function runSuperblock(flags: FlagValues, context: RoleContext): Promise<number> {
  const settings = await superblockSettings(flags, context.beside);
  const log = logFrom(flags);
  const signal = context.onStop((why) =>
    `${why}: ending; once more stops at once, and nothing is lost`
  );
  const isReportedInOrder = "batcher" in context.beside;
  const noting: Log = (event) => {
    if (event.event === "epoch") context.watch.looked();
    log(event);
  };
  const { metrics } = context.monitor;
  const opened = await openSuperblock(settings, { log: noting, metrics, isReportedInOrder });
  context.monitor.begin(opened.readiness);
  try {
    tellStart(settings, opened, isReportedInOrder);
    const stopServing = await serveSuperblock(settings, opened);
    try {
      context.ties.superblock = { opened, config: settings.config };
      context.onOpened();
      if (!opened.isActive) context.watch.looked();
      await opened.run(signal);
    } finally {
      await stopServing();
    }
    await tellEnd(opened);
    return EXIT.done;
  } finally {
    await opened.close();
  }
}

/** What it will do, and what it will not. */
function tellStart(
  { config, preset, dataDir, l2, proving, listen }: SuperblockSettings,
  { manager }: OpenedSuperblock,
  isReportedInOrder: boolean,
): void {
  const { l1Clock, l1Listener, batchManager: { chainId } } = config;
  const { beaconRpc, l1Rpc } = l1Listener;
  if (!config.enabled) {
    writeStderr("warning: nothing is collected and nothing is proved: batch.enabled is false");
    return;
  }
  if (!config.integration.enableBatchSync) {
    writeStderr("warning: no batch is cut: batch.integration.enable_batch_sync is false");
    return;
  }
  const slots = slotsPerBatch(l1Clock);
  const sources = [...(beaconRpc ? ["the beacon node"] : []), ...(l1Rpc ? ["L1's blocks"] : [])];
  writeStderr(
    `chain ${chainId}: batches of ${slots} slots, ${slots * l1Clock.slotSeconds} s; epochs by ` +
      [...sources, "the clock"].join(", then ") + `; all is kept in ${dataDir}`,
  );
  const newest = manager.batches.findLast(({ blocks }) => blocks.length > 0)?.blocks.at(-1);
  if (newest) writeStderr(`goes on behind block ${newest.number}`);
  if (preset === "production") {
    for (const concern of productionConcerns(config)) writeStderr(`warning: ${concern}`);
  }
  if (!config.integration.blockReporting) {
    writeStderr("warning: all batches stay empty: batch.integration.block_reporting is false");
  } else if (!l2 && !listen && !isReportedInOrder) {
    writeStderr("warning: no blocks will come: neither --l2 nor --listen is given");
  }
  if (!proving) {
    writeStderr(
      "warning: nothing is proved: no --prover is given; whole batches are kept, and wait",
    );
  } else if (proving.proofType === "execute") {
    writeStderr(
      "warning: nothing is proved: --proof-type execute takes execution checks in the place of proofs",
    );
  }
}

/** What is left for the next start. */
async function tellEnd({ manager, pipeline }: OpenedSuperblock): Promise<void> {
  const { collecting, proving, failed } = manager.stats.batches_by_state;
  const { active_jobs } = await pipeline.stats();
  writeStderr(
    `ended; kept for the next start: ${countOf(collecting, "batch")} that collect${
      collecting === 1 ? "s" : ""
    } blocks, ${countOf(proving, "batch")} to be proved (${
      countOf(active_jobs, "job")
    } under way), ` +
      `${failed} failed`,
  );
}
