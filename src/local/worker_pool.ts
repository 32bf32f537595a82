/**
 * Work in other threads, so that this one stays free: a queue, and as many workers behind it as are
 * allowed. A worker does one task at a time; one that dies or falls silent is replaced and its task
 * done again.
 *
 * The worker's module posts anything once, when it listens, since what is posted to it earlier is
 * lost; then one answer for each message. Bytes travel as an `ArrayBuffer`, both ways: a typed array
 * is walked through, element by element, where Deno 2.9.6 receives it (80 ms and 40 MB a megabyte).
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { clearTimeout, setTimeout } from "node:timers";
import { Worker } from "node:worker_threads";
import { ConfigError } from "../errors.ts";

/** How many workers, and what is done about those that are lost. */
export interface WorkerPoolOptions {
  /** Workers at most, from 1; by default as many as the machine runs at once. */
  readonly workers?: number;
  /** Bytes of the tasks in all workers at most; 256 MiB by default. A larger task runs alone. */
  readonly maxBytesInFlight?: number;
  /** How often a task is done again whose worker was lost, from 0; 2 by default. */
  readonly maxRetries?: number;
  /** After how long without an answer a worker counts as lost; by default the task says. */
  readonly taskTimeoutMs?: number;
  /** After how long without work a worker is ended, as it keeps its memory; 60 s by default. */
  readonly idleTimeoutMs?: number;
  /** Told of each worker that died or fell silent. It must not throw. */
  readonly onWorkerLost?: (loss: WorkerLoss) => void;
  /** The worker's module, where a bundler moved it. */
  readonly workerUrl?: URL;
}

/** A worker that is no more. */
export interface WorkerLoss {
  /** `it ended with code 1`, `it threw: …`, `it gave no answer for 60000 ms`. */
  readonly reason: string;
  /** What becomes of its task, if it had one. */
  readonly task: "retried" | "failed" | "none";
}

/** What a worker is to do. */
export interface Task {
  /** Plain data beside the bytes. */
  readonly message: object;
  /**
   * Becomes the field `data` of the message. Copied when that is sent, so it stays whole; it must not
   * change until there is an answer.
   */
  readonly data: Uint8Array;
  /** What it counts for `maxBytesInFlight`. */
  readonly bytes: number;
  /** How long an answer can take at the very most. */
  readonly timeoutMs: number;
}

interface Entry<Answer> {
  readonly task: Task;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  losses: number;
}

interface Member<Answer> {
  readonly worker: Worker;
  isReady: boolean;
  entry?: Entry<Answer> | undefined;
  /** Of the answer while there is a task, of idleness otherwise. */
  timer?: NodeJS.Timeout;
}

const MAX_BYTES_IN_FLIGHT = 256 * 1024 * 1024;
const MAX_RETRIES = 2;
const IDLE_TIMEOUT_MS = 60_000;
/** 25 days. With more, a timer fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Workers that all run the same module. */
export class WorkerPool<Answer> {
  readonly #url: URL;
  readonly #maxWorkers: number;
  readonly #maxBytes: number;
  readonly #maxRetries: number;
  readonly #taskTimeoutMs: number | undefined;
  readonly #idleTimeoutMs: number;
  readonly #onWorkerLost: (loss: WorkerLoss) => void;
  readonly #waiting: Entry<Answer>[] = [];
  /** All workers there are; what others still say is not heard. */
  readonly #members = new Set<Member<Answer>>();
  /** Those without a task. The last to have worked is the first to work again. */
  readonly #idle: Member<Answer>[] = [];
  #bytesInFlight = 0;
  /** A worker was started in this turn of the event loop. */
  #isStarting = false;
  #closing: Promise<void> | undefined;

  /** @throws {ConfigError} `Invalid` for a number that cannot be */
  constructor(url: URL, options: WorkerPoolOptions = {}) {
    const {
      workers = availableParallelism(),
      maxBytesInFlight = MAX_BYTES_IN_FLIGHT,
      maxRetries = MAX_RETRIES,
      taskTimeoutMs,
      idleTimeoutMs = IDLE_TIMEOUT_MS,
    } = options;
    this.#url = options.workerUrl ?? url;
    this.#maxWorkers = atLeast(1, "workers", workers);
    this.#maxBytes = atLeast(1, "maxBytesInFlight", maxBytesInFlight);
    this.#maxRetries = atLeast(0, "maxRetries", maxRetries);
    if (taskTimeoutMs !== undefined) {
      this.#taskTimeoutMs = atLeast(1, "taskTimeoutMs", taskTimeoutMs);
    }
    this.#idleTimeoutMs = atLeast(1, "idleTimeoutMs", idleTimeoutMs);
    this.#onWorkerLost = options.onWorkerLost ?? (() => {});
  }

  /**
   * Does `task` when its turn comes. The process stays alive until it is done.
   *
   * @throws {Error} when no worker can be had, `maxRetries` were lost over it, or the pool is closed;
   * the message says only which of these
   */
  run(task: Task): Promise<Answer> {
    if (this.#closing) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, resolve, reject, losses: 0 });
      this.#pump();
    });
  }

  /**
   * Fails what is not done, ends the workers, and resolves when they have ended. Bun 1.4.5 does not
   * interrupt WASM: neither this nor the end of the process comes before that returns.
   */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    const members = [...this.#members];
    const entries = [...members.map((member) => this.#release(member)), ...this.#waiting];
    this.#members.clear();
    this.#idle.length = 0;
    this.#waiting.length = 0;
    for (const entry of entries) entry?.reject(closed());
    await Promise.all(members.map(({ worker }) => end(worker)));
  }

  /** Hands out what waits, in its order, as long as there are workers and room in bytes. */
  #pump(): void {
    for (let entry = this.#waiting[0]; entry; entry = this.#waiting[0]) {
      const bytesInFlight = this.#bytesInFlight + entry.task.bytes;
      if (this.#bytesInFlight > 0 && bytesInFlight > this.#maxBytes) return;
      if (this.#idle.length === 0 && !this.#mayStart) return;
      this.#waiting.shift();
      try {
        this.#assign(this.#idle.pop() ?? this.#start(), entry);
      } catch (cause) {
        entry.reject(new Error(`no worker can be started: ${textOf(cause)}`, { cause }));
      }
    }
  }

  get #mayStart(): boolean {
    return this.#members.size < this.#maxWorkers && !this.#isStarting;
  }

  /** One in a turn: Deno keeps this thread for 30 ms with each. */
  #start(): Member<Answer> {
    const worker = new Worker(this.#url);
    this.#isStarting = true;
    setTimeout(() => {
      this.#isStarting = false;
      this.#pump();
    }, 0);
    const member: Member<Answer> = { worker, isReady: false };
    worker.on("message", (answer: Answer) => this.#hear(member, answer));
    worker.on("error", (error) => this.#lose(member, `it threw: ${textOf(error)}`));
    worker.on("messageerror", () => this.#lose(member, "its answer cannot be read"));
    worker.on("exit", (code) => this.#lose(member, `it ended with code ${code}`));
    // After the listeners, which count as a reason to stay alive under Bun. The timer of a task is one.
    worker.unref();
    this.#members.add(member);
    return member;
  }

  #assign(member: Member<Answer>, entry: Entry<Answer>): void {
    const { bytes, timeoutMs } = entry.task;
    const ms = this.#taskTimeoutMs ?? timeoutMs;
    const reason = `it gave no answer for ${ms} ms`;
    clearTimeout(member.timer);
    member.timer = after(ms, () => this.#lose(member, reason));
    member.entry = entry;
    this.#bytesInFlight += bytes;
    if (member.isReady) this.#send(member, entry);
  }

  /** One copy, which then moves: the caller keeps its own, for a second try as well. */
  #send(member: Member<Answer>, entry: Entry<Answer>): void {
    const { message, data } = entry.task;
    try {
      const { buffer } = new Uint8Array(data);
      member.worker.postMessage({ ...message, data: buffer }, [buffer]);
    } catch (cause) {
      this.#rest(member);
      entry.reject(new Error(`it cannot be sent to a worker: ${textOf(cause)}`, { cause }));
    }
  }

  #hear(member: Member<Answer>, answer: Answer): void {
    if (!this.#members.has(member)) return;
    if (!member.isReady) {
      member.isReady = true;
      if (member.entry) this.#send(member, member.entry);
    } else {
      const { entry } = member;
      this.#rest(member);
      entry?.resolve(answer);
    }
  }

  /** Takes the task from a worker that is done with it, and gives it the next. */
  #rest(member: Member<Answer>): void {
    this.#release(member);
    this.#idle.push(member);
    member.timer = after(this.#idleTimeoutMs, () => this.#retire(member)).unref();
    this.#pump();
  }

  #lose(member: Member<Answer>, reason: string): void {
    // Told twice, by `error` and `exit`, or ended by us.
    if (!this.#members.has(member)) return;
    const entry = this.#release(member);
    this.#retire(member);
    let task: WorkerLoss["task"] = "none";
    if (entry && ++entry.losses > this.#maxRetries) {
      task = "failed";
      entry.reject(new Error(`its worker was lost ${entry.losses} times, now as ${reason}`));
    } else if (entry) {
      task = "retried";
      this.#waiting.unshift(entry);
    }
    this.#pump();
    this.#onWorkerLost({ reason, task });
  }

  /** Takes the task from a worker. */
  #release(member: Member<Answer>): Entry<Answer> | undefined {
    clearTimeout(member.timer);
    const { entry } = member;
    member.entry = undefined;
    this.#bytesInFlight -= entry?.task.bytes ?? 0;
    return entry;
  }

  #retire(member: Member<Answer>): void {
    this.#members.delete(member);
    const index = this.#idle.indexOf(member);
    if (index >= 0) this.#idle.splice(index, 1);
    void end(member.worker);
  }
}

async function end(worker: Worker): Promise<void> {
  try {
    await worker.terminate();
  } catch {
    // One that is gone already cannot be ended, which is as good.
  }
}

function after(ms: number, action: () => void): NodeJS.Timeout {
  return setTimeout(action, Math.min(ms, MAX_TIMER_MS));
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function closed(): Error {
  return new Error("the pool is closed");
}

function atLeast(least: number, name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigError(
    "Invalid",
    `Cannot use ${name} ${value}: expected a whole number from ${least}`,
    { details: { [name]: value } },
  );
}
