/**
 * `montana deriver --listen`: derived blocks over HTTP, beside `--out`.
 *
 * @module
 */
import { BlockHistory } from "../local/block_history.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import { BlockFeed } from "../service/block_feed.ts";
import { serveBlocks as serve } from "../service/blocks_api.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import type { DerivedOut } from "./derived_out.ts";
import type { DeriverState } from "./deriver_state.ts";
import { parseListen } from "./options.ts";

/** Where blocks are served. */
export const LISTEN_FLAG: Flag = {
  flags: "--listen <port>",
  help: "serve derived blocks too: 127.0.0.1:PORT, or HOST:PORT; 0: any",
};

/** The address of `--listen`. */
export function listenOf(flags: FlagValues): ReturnType<typeof parseListen> | undefined {
  const text = textOf(flags, "listen");
  return text === undefined ? undefined : parseListen("--listen", text);
}

/** What is served. */
export interface BlocksServiceTask {
  readonly listen: ReturnType<typeof parseListen>;
  /** Number of the first block that was ever derived. */
  readonly firstBlock: bigint;
  /** Where an earlier run left the output. */
  readonly state?: DeriverState;
}

/** Serves what goes through {@link BlockFeed}, which stands in front of the output's sink. */
export async function serveBlocks(
  output: DerivedOut,
  { listen, firstBlock, state }: BlocksServiceTask,
): Promise<{ readonly feed: BlockFeed; close(): Promise<void> }> {
  const blocks = state ? blocksIn(state, firstBlock) : 0;
  const history = output.path === undefined
    ? undefined
    : await BlockHistory.open(output.path, blocks);
  const feed = new BlockFeed(output.sink, {
    firstNumber: Number(firstBlock),
    blocks,
    ...(history ? { history } : {}),
    ...(state?.digest === undefined ? {} : { digest: state.digest }),
    ...(state?.l1Block === undefined ? {} : { l1Block: state.l1Block }),
  });
  const server = await serve({ feed, clock: systemClock }, listen);
  writeStderr(`listening on ${server.name}`);
  return { feed, close: () => server.close() };
}

function blocksIn({ written, head, blocks = 0 }: DeriverState, firstBlock: bigint): number {
  if (head) return Number(head.number - firstBlock) + 1;
  return written.blocks > 0 ? written.blocks : blocks;
}
