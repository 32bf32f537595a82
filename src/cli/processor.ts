/**
 * `montana processor`: operations from lines, HTTP and sockets, in batches to files, a command, a server
 * or standard output.
 *
 * @module
 */
import { join } from "node:path";
import { describeError, MontanaError, ProcessorError, WalError } from "../errors.ts";
import { CommandHandler } from "../local/command_handler.ts";
import { readError } from "../local/disk.ts";
import { HttpHandler } from "../local/http_handler.ts";
import type { BatchHandler, Log, Storage } from "../ports.ts";
import {
  onUserSignal,
  stdinChunks,
  systemClock,
  systemRandom,
  writeStderr,
  writeStdout,
} from "../runtime.ts";
import type { Listening } from "../service/http_server.ts";
import { serve } from "../service/processor_api.ts";
import { DeadLetters } from "../wal/dead_letters.ts";
import { Wal } from "../wal/log.ts";
import { BatchProcessor } from "../wal/processor.ts";
import { fieldKey } from "../wal/shard_key.ts";
import { ShardHandler } from "../wal/shards.ts";
import { sourceIdentity } from "../wal/source_identity.ts";
import { toLines } from "../wire/operation_lines.ts";
import { AckPrinter } from "./acks.ts";
import { EXIT, type FlagValues } from "./command.ts";
import { LOG_FLAGS, logFrom } from "./log.ts";
import { METRICS_FLAG } from "./monitor.ts";
import { ProcessorHealth } from "./processor_health.ts";
import {
  controlPath,
  PROCESSOR_FLAGS,
  type ProcessorSettings,
  processorSettings,
} from "./processor_flags.ts";
import { asRole, type RoleContext, type RoleSpec } from "./role.ts";
import type { RoleWatch } from "./service_watch.ts";
import { addLines } from "./stdin_operations.ts";
import { countOf } from "./text.ts";

/** The processor. */
export const processor: RoleSpec = asRole({
  name: "processor",
  summary: "Take operations, and hand them over in batches; none is lost",
  flags: [...PROCESSOR_FLAGS, METRICS_FLAG, ...LOG_FLAGS],
  examples: [
    "processor --data-dir ./data --to ./shards --shards 8 < operations.txt",
    "processor --data-dir ./data --http http://localhost:8080/batches --listen 9000",
    "processor --data-dir ./data --exec 'cat >> all.txt' --ack < operations.txt",
  ],
  read: (flags) => {
    processorSettings(flags);
    logFrom(flags);
  },
  runRole: runProcessor,
});

async function runProcessor(flags: FlagValues, context: RoleContext): Promise<number> {
  const settings = processorSettings(flags);
  const health = new ProcessorHealth(context.monitor);
  const log = health.counting(logFrom(flags));
  const stop = context.onStop((why) =>
    `${why}: handling what was taken; once more stops at once, and nothing is lost`
  );
  // Before anything takes long: unheard, the signal would end the program.
  const flushes = new FlushRequests();
  onUserSignal(() => flushes.ask());
  const closers: (() => Promise<void> | undefined)[] = [];
  try {
    return await runOpened(
      settings,
      log,
      { stop, flushes, health, watch: context.watch },
      (close) => closers.push(close),
    );
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

/** @param onEnd takes what is to be closed, the last first */
async function runOpened(
  settings: ProcessorSettings,
  log: Log,
  { stop, flushes, health, watch }: {
    readonly stop: AbortSignal;
    readonly flushes: FlushRequests;
    readonly health: ProcessorHealth;
    readonly watch: RoleWatch;
  },
  onEnd: (close: () => Promise<void> | undefined) => void,
): Promise<number> {
  const storage = health.storage();
  const { dataDir } = settings;
  const wal = await Wal.open({ storage, directory: join(dataDir, "wal"), log });
  onEnd(() => wal.close());
  const source = await sourceIdentity(storage, dataDir, wal.nextSequence, systemRandom);
  const handler = await openHandler(settings, storage, source);
  onEnd(() => handler.close?.());
  const acks = new AckPrinter();
  const fatal = Promise.withResolvers<never>();
  // It may come before anyone waits for it.
  fatal.promise.catch(() => {});
  const running: BatchProcessor = new BatchProcessor({
    wal,
    handler,
    deadLetters: new DeadLetters(storage, join(dataDir, "dead"), systemClock),
    clock: watch.loop(() => hasNothingToDo(running)),
    random: systemRandom,
    log: (event) => {
      log(event);
      // What waits for the log would wait for ever.
      const isLog = event.event === "processor.stopped" && event.error instanceof WalError;
      if (isLog) fatal.reject(event.error);
    },
    ...(settings.isAck && { onSynced: (sequence) => acks.print(sequence) }),
  }, settings.config);
  await running.start();
  health.begin(running);
  flushes.serve(() => void running.flushNow().catch(tellFlush));
  for (const server of await listen(settings, running)) onEnd(() => server.close());
  watch.looked();

  const failure = await Promise.race([
    takeOperations(settings, running, acks, stop),
    fatal.promise,
    acks.failed,
  ]).then(() => undefined, (error) => ({ error }));
  const code = await end(settings, running, failure);
  await acks.settled();
  return code;
}

/** Nothing waits, or nothing may go on; a batch under way has a timeout of its own. */
function hasNothingToDo(running: BatchProcessor): boolean {
  const { state, pendingOperations, current } = running.stats();
  return state !== "running" || pendingOperations === 0 || current !== undefined;
}

/** Resolves when nothing more is to be taken. */
async function takeOperations(
  { addresses, config }: ProcessorSettings,
  running: BatchProcessor,
  acks: AckPrinter,
  stop: AbortSignal,
): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    stop.addEventListener("abort", () => resolve());
  });
  const lines = addLines(stdinOf(acks), {
    add: (operation) => running.add(operation),
    clock: systemClock,
    maxOperationBytes: config.maxOperationBytes,
    signal: stop,
    onWait: (error) => writeStderr(`warning: standard input waits: ${describeError(error)}`),
  });
  await Promise.race([lines, aborted]);
  // Whoever listens goes on when standard input, of which a service has none, has ended.
  if (addresses.length > 0) await aborted;
}

/** Whoever does not read what is acknowledged sends no more. */
async function* stdinOf(acks: AckPrinter): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stdinChunks()) {
      await acks.settled();
      yield chunk;
    }
  } catch (cause) {
    throw readError("operations from", "standard input", cause);
  }
}

/** Handles what is left, and says how it went. */
async function end(
  { shutdownTimeoutMs, dataDir }: ProcessorSettings,
  running: BatchProcessor,
  failure: { readonly error: unknown } | undefined,
): Promise<number> {
  const ended = await running.shutdown({ deadlineMs: shutdownTimeoutMs })
    .then(() => undefined, (error: unknown) => ({ error }));
  const { pendingOperations, handledOperations, handledBatches, deadBatches } = running.stats();
  if (ended && !(ended.error instanceof MontanaError)) throw ended.error;
  const done = `${countOf(handledOperations, "operation")} in ${countOf(handledBatches, "batch")}`;
  if (pendingOperations > 0) {
    writeStderr(`error: ${describeError(failure?.error ?? ended?.error)}`);
    const left = countOf(pendingOperations, "operation");
    writeStderr(`stopped with ${left} in ${dataDir}, after ${done}; start again`);
    return EXIT.workLeft;
  }
  writeStderr(`handled ${done}`);
  if (failure) throw failure.error;
  if (deadBatches === 0) return EXIT.done;
  throw new ProcessorError(
    "Dead",
    `Cannot say that all is well: ${countOf(deadBatches, "batch")} found no taker, and ` +
      `${deadBatches === 1 ? "is" : "are"} kept in ${join(dataDir, "dead")}`,
  );
}

/** Requests to flush, kept until there is something to flush. */
class FlushRequests {
  #flush: (() => void) | undefined;
  #isAsked = false;

  ask(): void {
    if (this.#flush) this.#flush();
    else this.#isAsked = true;
  }

  serve(flush: () => void): void {
    this.#flush = flush;
    if (this.#isAsked) flush();
  }
}

type ClosableHandler = BatchHandler & { close?(): Promise<void> };

async function openHandler(
  { target }: ProcessorSettings,
  storage: Storage,
  source: string,
): Promise<ClosableHandler> {
  switch (target.kind) {
    case "shards": {
      const { directory, shards, keyField } = target;
      const keyOf = keyField === undefined ? {} : { keyOf: fieldKey(keyField) };
      return await ShardHandler.open({ storage, directory, shards, source, ...keyOf });
    }
    case "command": {
      const decoder = new TextDecoder();
      let begun = "";
      return new CommandHandler(target.command, (data) => {
        const lines = (begun + decoder.decode(data, { stream: true })).split("\n");
        begun = lines.pop()!;
        for (const line of lines) writeStderr(line);
      });
    }
    case "http":
      return new HttpHandler({ url: target.url, source });
    case "stdout":
      return { handle: (batch) => writeStdout(toLines(batch, batch.operations)) };
  }
}

async function listen(
  { dataDir, addresses, maxBodyBytes }: ProcessorSettings,
  running: BatchProcessor,
): Promise<Listening[]> {
  const control = { path: controlPath(dataDir), mode: 0o600, isOurs: true };
  const servers: Listening[] = [];
  try {
    servers.push(await serve(running, control, { maxBodyBytes, isControl: true }));
    for (const address of addresses) {
      const server = await serve(running, address, { maxBodyBytes, isControl: false });
      servers.push(server);
      writeStderr(`listening on ${server.name}`);
    }
    return servers;
  } catch (error) {
    for (const server of servers) await server.close();
    throw error;
  }
}

function tellFlush(error: unknown): void {
  writeStderr(`warning: SIGUSR1: ${describeError(error)}`);
}
