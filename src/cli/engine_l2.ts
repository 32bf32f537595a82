/**
 * An L2 behind the Engine API: a consensus client hands its blocks over.
 *
 * @module
 */
import { join } from "node:path";
import { serveEngine } from "../l2/engine_server.ts";
import { EngineApiSource } from "../l2/engine_source.ts";
import { JwtSecret } from "../l2/jwt.ts";
import type { L2Head } from "../l2/l2_nodes.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import type { OriginL1 } from "../local/inbox.ts";
import type { Log } from "../ports.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import type { L2Block } from "../types.ts";
import { LogPayloadJournal } from "../wal/payload_journal.ts";
import { parseListen } from "./options.ts";

/** Where a consensus client is listened for, and what of its blocks is taken. */
export interface EnginePlace {
  readonly host: string;
  readonly port: number;
  readonly secretPath: string;
  /** Where payloads are written down. */
  readonly dataDir: string;
  readonly head: L2Head;
  readonly startBlock: bigint | undefined;
  readonly chainId: bigint | undefined;
}

/** What else it is opened with. */
export interface EngineOptions {
  readonly l1: OriginL1;
  readonly taken: readonly L2Block[];
  readonly log: Log;
}

/** A source that is served. */
export interface OpenedEngine {
  readonly source: EngineApiSource;
  /** Answers nobody any more. Blocks in hand are still given. */
  stopServing(): Promise<void>;
  close(): Promise<void>;
}

/** Of `engine:PORT`, or `engine:HOST:PORT`; `undefined` for anything else. */
export function parseEngineAddress(text: string): { host: string; port: number } | undefined {
  const [, address] = /^engine:(.*)$/.exec(text) ?? [];
  return address === undefined ? undefined : parseListen("--l2 engine:", address);
}

/** Opens the journal, then the source, then the port. */
export async function openEngine(
  place: EnginePlace,
  { l1, taken, log }: EngineOptions,
): Promise<OpenedEngine> {
  const { host, port, secretPath, dataDir, head, startBlock, chainId } = place;
  const jwt = await JwtSecret.read(secretPath, systemClock);
  const directory = join(dataDir, "payloads");
  const journal = await LogPayloadJournal.open({ storage: new DiskStorage(), directory, log });
  try {
    const source = await EngineApiSource.open({
      journal,
      l1,
      head,
      taken,
      log,
      ...(startBlock === undefined ? {} : { startBlock }),
    });
    const chain = chainId === undefined ? {} : { chainId };
    const server = await serveEngine({ source, jwt, host, port, log, ...chain });
    writeStderr(`listening for a consensus client on ${server.name}`);
    let stopping: Promise<void> | undefined;
    const stopServing = () => stopping ??= server.close().then(() => source.close());
    return {
      source,
      stopServing,
      close: async () => {
        await stopServing();
        await journal.close();
      },
    };
  } catch (error) {
    await journal.close();
    throw error;
  }
}
