/**
 * `montana archive`: looks into an archive of blobs, checks it, and serves it as a beacon node would.
 *
 * @module
 */
import { SourceError, StorageError } from "../errors.ts";
import { BlobArchive } from "../l1/blob_archive.ts";
import { openKzg } from "../l1/kzg_pool.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import { onShutdownSignal, writeStderr, writeStdout } from "../runtime.ts";
import { answerBeacon } from "../service/beacon_api.ts";
import { listen } from "../service/http_server.ts";
import { toHex } from "../wire/hex.ts";
import {
  type CommandGroup,
  type CommandSpec,
  EXIT,
  type Flag,
  type FlagValues,
  JSON_FLAG,
  textOf,
} from "./command.ts";
import { parseCount, parseDuration, parseListen, usage } from "./options.ts";
import { countOf, formatTable, toJson } from "./text.ts";

const DIR_FLAG: Flag = {
  flags: "--dir <dir>",
  help: "the archive, as --archive of a batcher or deriver names it",
  isRequired: true,
};

const storage = new DiskStorage();

const serve: CommandSpec = {
  name: "serve",
  summary: "Serve the blobs as a beacon node would, for --beacon of others",
  flags: [
    DIR_FLAG,
    { flags: "--listen <port>", help: "127.0.0.1:PORT, or HOST:PORT; 0: any", value: "0" },
    { flags: "--genesis-time <seconds>", help: "Unix time of slot 0", value: "0" },
    { flags: "--slot-time <time>", help: "from slot to slot", value: "1s" },
  ],
  examples: [
    "archive serve --dir ./batcher/blobs --listen 127.0.0.1:3500",
    "archive serve --dir ./blobs --listen 3500 --genesis-time 1606824023 --slot-time 12s",
  ],
  run: runServe,
};

const ls: CommandSpec = {
  name: "ls",
  summary: "List the L1 blocks whose blobs are kept, and the blobs of no such block",
  flags: [DIR_FLAG, JSON_FLAG],
  examples: ["archive ls --dir ./batcher/blobs"],
  run: runLs,
};

const check: CommandSpec = {
  name: "check",
  summary: "Compare every blob with its hash: exit 0, or 1 where one is damaged",
  flags: [DIR_FLAG, JSON_FLAG],
  examples: ["archive check --dir ./batcher/blobs"],
  run: runCheck,
};

/** All of them. */
export const archive: CommandGroup = {
  name: "archive",
  summary: "Blobs kept on disk: ls, check, and serve as a beacon node would",
  commands: [serve, ls, check],
};

async function runServe(flags: FlagValues): Promise<number> {
  const address = parseListen("--listen", textOf(flags, "listen") ?? "");
  const genesisText = textOf(flags, "genesisTime") ?? "";
  const genesisTime = BigInt(parseCount("--genesis-time", genesisText, 0, 2 ** 40));
  const slotTime = textOf(flags, "slotTime") ?? "";
  const seconds = parseDuration("--slot-time", slotTime) / 1000;
  if (!Number.isInteger(seconds) || seconds < 1) {
    throw usage(`Cannot use --slot-time ${slotTime}: need whole seconds, 1s or more`);
  }
  await checkThere(flags);
  const kzg = await openKzg("auto");
  const parts = {
    archive: archiveOf(flags, kzg),
    kzg,
    genesisTime,
    secondsPerSlot: BigInt(seconds),
  };
  const signal = onShutdownSignal((name) => writeStderr(`${name}: ending`));
  try {
    const server = await listen(address, (request) => answerBeacon(parts, request));
    writeStderr(`listening on ${server.name}`);
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    }
    await server.close();
  } finally {
    await kzg.close();
  }
  return EXIT.done;
}

async function runLs(flags: FlagValues): Promise<number> {
  await checkThere(flags);
  const archive = archiveOf(flags, NO_KZG);
  const kept = new Set((await archive.list()).map((hash) => toHex(hash)));
  const blocks = (await archive.blocks()).map(({ number, hash, timestamp, blobs }) => {
    const hashes = blobs.map((each) => toHex(each));
    return {
      number,
      hash: toHex(hash),
      timestamp,
      blobs: hashes.length,
      kept: hashes.filter((each) => kept.has(each)),
    };
  });
  const noted = new Set(blocks.flatMap((block) => block.kept));
  const others = [...kept].filter((hash) => !noted.has(hash));
  if (flags.json) {
    await writeStdout(toJson({ blobs: kept.size, blocks, others }));
    return EXIT.done;
  }
  const rows = blocks.map((block) => [
    `${block.number}`,
    new Date(Number(block.timestamp) * 1000).toISOString(),
    `${block.kept.length} of ${block.blobs}`,
    block.kept[0] ?? "-",
  ]);
  const table = rows.length > 0 ? formatTable(["L1 block", "time", "kept", "the first"], rows) : "";
  const rest = others.map((hash) => `no block noted: ${hash}\n`).join("");
  await writeStdout(`${table}${rest}${countOf(kept.size, "blob")}\n`);
  return EXIT.done;
}

async function runCheck(flags: FlagValues): Promise<number> {
  await checkThere(flags);
  const kzg = await openKzg("auto", { startsPortable: true });
  try {
    const archive = archiveOf(flags, kzg);
    const hashes = await archive.list();
    const damaged: string[] = [];
    for (const hash of hashes) {
      await archive.get(hash).catch((error) => {
        if (!(error instanceof SourceError) || error.code !== "Damaged") throw error;
        damaged.push(error.message);
      });
    }
    const leftovers = await archive.leftovers();
    if (flags.json) {
      const ok = damaged.length === 0;
      await writeStdout(toJson({ ok, blobs: hashes.length, damaged, leftovers }));
    } else {
      const lines = [
        ...damaged.map((message) => `damaged: ${message}`),
        ...leftovers.map((path) => `left behind by a crash, may be removed: ${path}`),
        `${countOf(hashes.length, "blob")}, ${
          damaged.length === 0 ? "all whole" : `${damaged.length} damaged`
        }`,
      ];
      await writeStdout(lines.join("\n") + "\n");
    }
    return damaged.length === 0 ? EXIT.done : EXIT.failed;
  } finally {
    await kzg.close();
  }
}

/** For what only lists. */
const NO_KZG = { commitment: () => Promise.reject(new Error("nothing is checked here")) };

function archiveOf(
  flags: FlagValues,
  kzg: ConstructorParameters<typeof BlobArchive>[0]["kzg"],
): BlobArchive {
  return new BlobArchive({ storage, directory: textOf(flags, "dir") ?? "", kzg });
}

async function checkThere(flags: FlagValues): Promise<void> {
  const directory = textOf(flags, "dir") ?? "";
  if (await storage.size(`${directory}/blobs`) !== undefined) return;
  throw new StorageError(
    "NotFound",
    `Cannot read an archive of blobs in ${directory}: it has no directory blobs`,
  );
}
