/**
 * The blocks of a batcher, reported to the batches that the same process has proved.
 *
 * @module
 */
import { FileBlockSource } from "../local/file_block_source.ts";
import type { Log } from "../ports.ts";
import { systemClock as clock, systemRandom as random, writeStderr } from "../runtime.ts";
import type { ChainStart, FollowedChain } from "../superblock/block_follower.ts";
import { BlockTap, type BlockTapParts } from "../superblock/block_tap.ts";
import type { L2Place } from "./l2.ts";
import { usage } from "./options.ts";
import type { RoleTies } from "./role.ts";
import { NO_ORIGINS, openReportedL2 } from "./superblock_parts.ts";

type TiedSuperblock = NonNullable<RoleTies["superblock"]>;

/** Reports to it what is taken from an L2; `undefined` where it takes no reports. */
export function tapFor(
  { opened: { manager, sequencer }, config }: TiedSuperblock,
  place: L2Place,
  log: Log,
): BlockTap | undefined {
  const { enableBatchSync, blockReporting } = config.integration;
  if (!config.enabled || !enableBatchSync || !blockReporting) return undefined;
  const again = openerOf(place, config, log);
  let told = -1n;
  const open: typeof again = again && ((start, last) => {
    if (last > told) {
      writeStderr(
        `reading blocks up to ${last} once more, which were posted while nobody reported them`,
      );
    }
    told = last;
    return again(start, last);
  });
  return new BlockTap({ manager, sequencer, ...(open && { open }), clock, random, log });
}

/** The same L2, of the chain whose batches are proved. */
export function ofSameChain(place: L2Place, { config }: TiedSuperblock): L2Place {
  const { chainId } = config.batchManager;
  if (place.kind === "file") return place;
  if (place.chainId === undefined || place.chainId === chainId) return { ...place, chainId };
  throw usage(
    `Cannot use --l2-chain-id ${place.chainId}: batches of chain ${chainId} are proved ` +
      `(batch_manager.chain_id)`,
  );
}

/** How its blocks can be had once more; a consensus client and standard input give each once. */
function openerOf(
  place: L2Place,
  config: TiedSuperblock["config"],
  log: Log,
): BlockTapParts["open"] {
  if (place.kind === "node") return (start) => openReportedL2(place, config, start, log);
  if (place.kind === "engine" || place.path === "-") return undefined;
  return (start) => openFile(place.path, start);
}

async function openFile(
  path: string,
  { reported, notBefore }: ChainStart,
): Promise<FollowedChain> {
  const last = reported.at(-1);
  const source = await FileBlockSource.open(path, {
    l1: NO_ORIGINS,
    follow: true,
    ...(last && { resume: { blocks: 0, lastBlock: { ...last, transactions: [] } } }),
  });
  return {
    async pendingBlocks() {
      const blocks = await source.pendingBlocks();
      return last ? blocks : blocks.filter(({ timestamp }) => timestamp >= notBefore);
    },
    rewind() {
      // A file that is another one is refused by its source.
    },
    close: () => source.close(),
  };
}
