/**
 * Metrics of a durable log's way to the disk.
 *
 * @module
 */
import type { AppendFile, Storage } from "../ports.ts";
import { counter, histogram, type MetricChapter } from "./metric_chapter.ts";
import type { Metrics } from "./metrics.ts";

/** From a disk with a cache of its own to one that is about to give up. */
const SYNC_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5];

/** Of logs. */
export const STORAGE_METRICS: MetricChapter = {
  specs: {
    montana_wal_sync_duration_seconds: histogram(
      "Time until what was written survives a power loss",
      SYNC_SECONDS,
    ),
    montana_wal_written_bytes_total: counter("Bytes that were written to logs"),
    montana_wal_failures_total: counter("Writes and syncs that failed", "call", ["write", "sync"]),
  },
};

/** A storage that counts what is appended through it, and how long syncs take. */
export function meteredStorage(storage: Storage, metrics: Metrics): Storage {
  const to = metrics.recorderOf(STORAGE_METRICS);
  const tried = async (call: "write" | "sync", act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      to.inc("montana_wal_failures_total", 1, call);
      throw error;
    }
  };
  const metered = (file: AppendFile): AppendFile => ({
    async write(data) {
      await tried("write", () => file.write(data));
      to.inc("montana_wal_written_bytes_total", data.length);
    },
    async sync() {
      const startMs = performance.now();
      await tried("sync", () => file.sync());
      to.observe("montana_wal_sync_duration_seconds", (performance.now() - startMs) / 1000);
    },
    close: () => file.close(),
  });
  return {
    list: (directory) => storage.list(directory),
    size: (path) => storage.size(path),
    read: (path, offset, length) => storage.read(path, offset, length),
    openAppend: async (path, aheadBytes) => metered(await storage.openAppend(path, aheadBytes)),
    truncate: (path, length) => storage.truncate(path, length),
    rename: (from, to) => storage.rename(from, to),
    remove: (path) => storage.remove(path),
    makeDirectory: (path) => storage.makeDirectory(path),
    syncDirectory: (path) => storage.syncDirectory(path),
    lock: (path) => storage.lock(path),
  };
}
