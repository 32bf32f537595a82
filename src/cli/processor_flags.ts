/**
 * The flags of `montana processor`, and what they say.
 *
 * @module
 */
import { MAX_SOCKET_PATH_BYTES } from "../service/http_server.ts";
import { join } from "node:path";
import { ConfigError } from "../errors.ts";
import { RETRY_DEFAULTS } from "../retry.ts";
import type { Address } from "../service/http_server.ts";
import {
  PROCESSOR_DEFAULTS,
  type ProcessorConfig,
  processorConfig,
} from "../wal/processor_config.ts";
import { MAX_SHARDS } from "../wal/shards.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import {
  parseChoice,
  parseCount,
  parseDuration,
  parseListen,
  parseSize,
  usage,
} from "./options.ts";

/** The directory of a processor. */
export const PROCESSOR_DIR_FLAG: Flag = {
  flags: "--data-dir <dir>",
  help: "the log, dead letters, control socket; made if missing",
  isRequired: true,
};

const BATCH_SIZES = ["adaptive", "fixed"] as const;
const WHEN_FULL = ["wait", "reject"] as const;
const WHEN_DEAD = ["continue", "stop"] as const;

const TARGET_FLAGS: readonly Flag[] = [
  { flags: "--to <dir>", help: "append each operation to one of some files, by its key" },
  { flags: "--shards <n>", help: "with --to: how many files, 1 to 1024 (default: 4)" },
  {
    flags: "--key-field <name>",
    help: "with --to: the key is this field of a JSON object, not what is before the first tab",
  },
  { flags: "--exec <command>", help: "give each batch to a command, lines on its standard input" },
  { flags: "--http <url>", help: "POST each batch, as lines" },
  { flags: "--stdout", help: "write operations as lines; so it is without the three above" },
];

const BATCH_FLAGS: readonly Flag[] = [
  {
    flags: "--interval <time>",
    help: "longest wait of an operation for its batch",
    value: "100ms",
  },
  { flags: "--max-batch <n>", help: "operations that make a batch at most", value: "1000" },
  { flags: "--min-batch <n>", help: "what an adaptive size does not fall below", value: "10" },
  { flags: "--max-batch-bytes <size>", help: "bytes that make a batch", value: "1MiB" },
  {
    flags: "--batch-size <how>",
    help: "adaptive or fixed",
    value: "adaptive",
    choices: BATCH_SIZES,
  },
  { flags: "--latency-goal <time>", help: "how long a batch may take", value: "1s" },
];

const QUEUE_FLAGS: readonly Flag[] = [
  { flags: "--max-queue <n>", help: "operations in the log", value: "1000000" },
  { flags: "--max-queue-bytes <size>", help: "bytes of those", value: "1024MiB" },
  {
    flags: "--when-full <policy>",
    help: "requests wait, or are rejected",
    value: "wait",
    choices: WHEN_FULL,
  },
  { flags: "--max-operation <size>", help: "the largest operation", value: "1MiB" },
];

const FAILURE_FLAGS: readonly Flag[] = [
  { flags: "--retries <n>", help: "tries after the first, then a batch is dead", value: "5" },
  { flags: "--retry-delay <time>", help: "before the first; each next doubles it", value: "1s" },
  { flags: "--handler-timeout <time>", help: "for one try; 0s is for ever", value: "60s" },
  {
    flags: "--when-dead <policy>",
    help: "continue with the next batch, or stop",
    value: "continue",
    choices: WHEN_DEAD,
  },
];

const INTAKE_FLAGS: readonly Flag[] = [
  { flags: "--ack", help: "print the sequence number of each operation once it is synced" },
  { flags: "--listen <port>", help: "take operations over HTTP; 127.0.0.1:PORT, or HOST:PORT" },
  { flags: "--socket <path>", help: "take operations over HTTP on a unix socket" },
  { flags: "--max-body <size>", help: "of a request", value: "8MiB" },
  { flags: "--shutdown-timeout <time>", help: "for handling what is left", value: "60s" },
];

/** All but those of the log. */
export const PROCESSOR_FLAGS: readonly Flag[] = [
  PROCESSOR_DIR_FLAG,
  ...TARGET_FLAGS,
  ...BATCH_FLAGS,
  ...QUEUE_FLAGS,
  ...FAILURE_FLAGS,
  ...INTAKE_FLAGS,
];

/** Where batches go. */
export type Target =
  | {
    readonly kind: "shards";
    readonly directory: string;
    readonly shards: number;
    readonly keyField: string | undefined;
  }
  | { readonly kind: "command"; readonly command: string }
  | { readonly kind: "http"; readonly url: string }
  | { readonly kind: "stdout" };

/** What the flags say. */
export interface ProcessorSettings {
  readonly dataDir: string;
  readonly target: Target;
  readonly config: ProcessorConfig;
  readonly isAck: boolean;
  /** Besides the control socket. */
  readonly addresses: readonly Address[];
  readonly maxBodyBytes: number;
  readonly shutdownTimeoutMs: number;
}

/** The socket in a data directory. */
export function controlPath(dataDir: string): string {
  return join(dataDir, "control.sock");
}

/**
 * Before it is made: a directory whose control socket cannot be named is of no use.
 *
 * @throws {ConfigError} `Usage`
 */
export function dataDirOf(dataDir: string): string {
  const bytes = new TextEncoder().encode(controlPath(dataDir)).length;
  if (bytes <= MAX_SOCKET_PATH_BYTES) return dataDir;
  throw new ConfigError(
    "Usage",
    `Cannot use --data-dir ${dataDir}: the path of its control socket would have ${bytes} bytes, ` +
      `${MAX_SOCKET_PATH_BYTES} are allowed; use a shorter path, or one relative to where it starts`,
  );
}

/** @throws {ConfigError} `Usage` naming what cannot be, or cannot be together */
export function processorSettings(flags: FlagValues): ProcessorSettings {
  const text = (name: string) => textOf(flags, name) ?? "";
  const target = targetOf(flags);
  const isAck = flags["ack"] === true;
  if (isAck && target.kind === "stdout") {
    throw usage("Cannot use --ack with standard output as the target: name --to, --exec or --http");
  }
  return {
    dataDir: dataDirOf(text("dataDir")),
    target,
    isAck,
    addresses: addressesOf(flags),
    maxBodyBytes: parseSize("--max-body", text("maxBody")),
    shutdownTimeoutMs: parseDuration("--shutdown-timeout", text("shutdownTimeout")),
    config: checked({
      ...PROCESSOR_DEFAULTS,
      intervalMs: parseDuration("--interval", text("interval")),
      maxBatchOperations: parseCount("--max-batch", text("maxBatch"), 1, 10_000_000),
      minBatchOperations: leastOf(flags),
      maxBatchBytes: parseSize("--max-batch-bytes", text("maxBatchBytes")),
      batchSize: parseChoice("--batch-size", text("batchSize"), BATCH_SIZES),
      latencyGoalMs: parseDuration("--latency-goal", text("latencyGoal")),
      maxQueuedOperations: parseCount("--max-queue", text("maxQueue"), 1, 2 ** 40),
      maxQueuedBytes: parseSize("--max-queue-bytes", text("maxQueueBytes")),
      maxOperationBytes: parseSize("--max-operation", text("maxOperation")),
      whenFull: parseChoice("--when-full", text("whenFull"), WHEN_FULL),
      handlerTimeoutMs: parseDuration("--handler-timeout", text("handlerTimeout")),
      whenDead: parseChoice("--when-dead", text("whenDead"), WHEN_DEAD),
      retry: {
        ...RETRY_DEFAULTS,
        maxAttempts: parseCount("--retries", text("retries"), 0, 1_000_000),
        baseDelayMs: parseDuration("--retry-delay", text("retryDelay")),
      },
    }),
  };
}

/** Which flag gives a setting: whoever typed it does not know the name within. */
const FLAG_OF: Readonly<Partial<Record<keyof ProcessorConfig, string>>> = {
  intervalMs: "--interval",
  minBatchOperations: "--min-batch",
  maxBatchOperations: "--max-batch",
  maxBatchBytes: "--max-batch-bytes",
  latencyGoalMs: "--latency-goal",
  maxQueuedOperations: "--max-queue",
  maxQueuedBytes: "--max-queue-bytes",
  maxOperationBytes: "--max-operation",
  handlerTimeoutMs: "--handler-timeout",
};

/** Settings that cannot be, refused by the names of their flags. */
function checked(config: ProcessorConfig): ProcessorConfig {
  try {
    return processorConfig(config);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const key = `${error.details["key"]}`;
    const flag = (FLAG_OF as Readonly<Record<string, string>>)[key];
    throw flag === undefined ? error : usage(error.message.replace(key, flag));
  }
}

/** Whoever lowers the most below the least of all does not mean to be told of it. */
function leastOf(flags: FlagValues): number {
  const least = parseCount("--min-batch", textOf(flags, "minBatch") ?? "", 1, 10_000_000);
  const most = Number(textOf(flags, "maxBatch"));
  return least === PROCESSOR_DEFAULTS.minBatchOperations ? Math.min(least, most) : least;
}

function targetOf(flags: FlagValues): Target {
  const named = ["to", "exec", "http", "stdout"].filter((name) => flags[name] !== undefined);
  if (named.length > 1) {
    throw usage(`Cannot use ${named.map((name) => `--${name}`).join(" and ")} together: name one`);
  }
  for (const [name, flag] of [["shards", "--shards"], ["keyField", "--key-field"]] as const) {
    if (flags[name] !== undefined && named[0] !== "to") {
      throw usage(`Cannot use ${flag} without --to`);
    }
  }
  const value = textOf(flags, named[0] ?? "") ?? "";
  switch (named[0]) {
    case "to": {
      const shards = parseCount("--shards", textOf(flags, "shards") ?? "4", 1, MAX_SHARDS);
      return { kind: "shards", directory: value, shards, keyField: textOf(flags, "keyField") };
    }
    case "exec":
      return { kind: "command", command: value };
    case "http":
      if (!URL.canParse(value) || !/^https?:/.test(value)) {
        throw usage(
          `Cannot use --http "${value}": need a URL that begins with http:// or https://`,
        );
      }
      return { kind: "http", url: value };
    default:
      return { kind: "stdout" };
  }
}

function addressesOf(flags: FlagValues): readonly Address[] {
  const addresses: Address[] = [];
  const listen = textOf(flags, "listen");
  if (listen !== undefined) addresses.push(parseListen("--listen", listen));
  const path = textOf(flags, "socket");
  if (path === "") throw usage(`Cannot use --socket "": need a path`);
  if (path !== undefined) addresses.push({ path });
  return addresses;
}
