/**
 * Defects to be found: each is put around a port, and the simulation must see what it breaks.
 *
 * @module
 */
import type { BatchHandler, Storage } from "../../src/ports.ts";
import type { BatcherJournal, SealedBatch } from "../../src/pipeline/batcher_journal.ts";
import type { Wal } from "../../src/wal/log.ts";
import type { L2Block } from "../../src/types.ts";
import { withMembers } from "../helpers.ts";

/** A disk that syncs a segment when more is written to it, and says so before. */
export function withLateSync(disk: Storage): Storage {
  return withMembers(disk, {
    openAppend: async (path, aheadBytes) => {
      const file = await disk.openAppend(path, aheadBytes);
      if (!path.endsWith(".wal")) return file;
      return withMembers(file, {
        async write(data) {
          await file.sync();
          await file.write(data);
        },
        sync: () => Promise.resolve(),
      });
    },
  });
}

/** A log whose checkpoints are one too far. */
export function withCheckpointTooFar(wal: Wal): Wal {
  return withMembers(wal, {
    checkpoint(sequence) {
      const next = sequence + 1n;
      return wal.checkpoint(next > wal.nextSequence ? wal.nextSequence : next);
    },
  });
}

/** A handler whose failures nobody hears of: what it did not handle is dropped. */
export function withoutFailures(handler: BatchHandler): BatchHandler {
  return {
    handle: (batch, signal) => Promise.resolve(handler.handle(batch, signal)).catch(() => {}),
  };
}

/** A journal that says that it has written down a block, and does so with those that follow. */
export function withBlockNotWritten(journal: BatcherJournal): BatcherJournal {
  let held: readonly L2Block[] = [];
  return withMembers(journal, {
    async taken(blocks) {
      const all = [...held, ...blocks];
      held = all.slice(-1);
      await journal.taken(all.slice(0, -1));
    },
    async confirmed(receipt, blocks) {
      await journal.taken(held);
      held = [];
      await journal.confirmed(receipt, blocks);
    },
  });
}

/** A journal that writes a sealed batch down when it is on L1 already. */
export function withRecordTooLate(journal: BatcherJournal): BatcherJournal {
  let sealed: SealedBatch | undefined;
  return withMembers(journal, {
    sealed(batch) {
      sealed = batch;
      return Promise.resolve();
    },
    async confirmed(receipt, blocks) {
      if (sealed) await journal.sealed(sealed);
      await journal.confirmed(receipt, blocks);
    },
  });
}

/** A journal that takes one block more for confirmed than is on L1. */
export function withConfirmedTooFar(journal: BatcherJournal): BatcherJournal {
  return withMembers(journal, {
    confirmed(receipt, blocks) {
      const { length: taken } = journal.state.taken;
      return journal.confirmed(receipt, Math.min(blocks + 1, taken));
    },
  });
}
