/**
 * A machine whose disk fails, and the lives of the program that runs on it. A life ends when the program
 * does, when it is killed, or when the power goes away at any call of the disk. What a dead program has
 * still under way never comes back: it does nothing more.
 *
 * @module
 */
import {
  FaultyStorage,
  type StorageCall,
  type StorageFault,
} from "../../src/local/faulty_storage.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { AppendFile, Clock, Storage, StorageLock } from "../../src/ports.ts";
import { withMembers } from "../helpers.ts";
import { nameOf, type Run } from "./run.ts";

/** Calls of the disk in one life: whoever makes more goes round in circles. */
const MOST_CALLS = 50_000;

/** How a machine is. */
export interface MachineOptions {
  readonly name: string;
  /** Around the disk that a program sees, for planted defects. */
  readonly wrap?: (disk: Storage) => Storage;
  /** What it may fail with besides, also in the calm. */
  readonly mayFail?: (error: unknown) => boolean;
}

/** What happens to the disk in one life, by the number of the call. */
interface Weather {
  readonly crashAt: number;
  /** There is no room for a while, or for single calls. */
  readonly full: readonly [from: number, to: number];
  readonly fullShare: number;
  readonly brokenShare: number;
  readonly failingSyncShare: number;
}

const CALM: Weather = {
  crashAt: Infinity,
  full: [Infinity, Infinity],
  fullShare: 0,
  brokenShare: 0,
  failingSyncShare: 0,
};

/** A disk, and the lives on it, one after the other. */
export class Machine {
  readonly run: Run;
  readonly name: string;
  disk = new MemoryStorage();
  /** The last life ended by itself, without an error, on a disk that did as it was told. */
  endedWell = false;
  readonly #wrap: (disk: Storage) => Storage;
  readonly #mayFail: (error: unknown) => boolean;
  /** How rough it is here at all, and how slow the disk. */
  readonly #crashShare: number;
  readonly #roughShare: number;
  readonly #callsOfLife: number;
  readonly #slowShare: number;

  constructor(
    run: Run,
    { name, wrap = (disk) => disk, mayFail = () => false }: MachineOptions,
  ) {
    this.#mayFail = mayFail;
    this.run = run;
    this.name = name;
    this.#wrap = wrap;
    this.#crashShare = run.pick([0, 0.4, 0.8]);
    this.#roughShare = run.pick([0, 0.2, 0.6]);
    this.#callsOfLife = run.around(20, 600);
    this.#slowShare = run.pick([0, 0.1, 0.5]);
  }

  /**
   * Runs a program until it ends, one way or another, and says how.
   *
   * @param main rejects where the program fails
   */
  async live(main: (life: Life) => Promise<void>): Promise<void> {
    const { run, name } = this;
    const isCalm = run.isCalm;
    const life = new Life(run, this.disk, this.#weather(), {
      who: name,
      wrap: this.#wrap,
      slowShare: this.#slowShare,
    });
    run.note(name, "starts");
    const ended = main(life).then(() => "ends", (error) => {
      if (this.#mayFail(error)) return `stops with ${nameOf(error)}`;
      run.check(!isCalm, `${name} failed though nothing went wrong: ${nameOf(error)}: ${error}`);
      run.check(isHonest(error), `${name} failed with ${nameOf(error)}: ${error.message}`);
      return `fails with ${nameOf(error)}`;
    });
    const how = await Promise.race([ended, life.over]);
    life.end();
    run.note(name, how);
    this.endedWell = how === "ends" && !life.hadFaults;
    if (how === "power loss") this.disk.crash(run.random);
    else this.disk.kill();
  }

  /** Another takes its place, with nothing on its disk. */
  replace(): void {
    this.run.note(this.name, "is replaced");
    this.disk = new MemoryStorage();
  }

  #weather(): Weather {
    const { run } = this;
    if (run.isCalm) return CALM;
    const isRough = run.chance(this.#roughShare);
    const fullFrom = isRough && run.chance(0.6) ? run.below(this.#callsOfLife) : Infinity;
    return {
      crashAt: run.chance(this.#crashShare) ? 1 + run.below(this.#callsOfLife) : Infinity,
      full: [fullFrom, fullFrom + run.around(1, 60)],
      fullShare: isRough && run.chance(0.4) ? 0.05 : 0,
      brokenShare: isRough && run.chance(0.4) ? 0.01 : 0,
      failingSyncShare: isRough && run.chance(0.4) ? 0.02 : 0,
    };
  }
}

/** What a program may end with while its disk and its world fail: it must be able to start again. */
function isHonest(error: unknown): boolean {
  const { name, code } = (error ?? {}) as { readonly name?: string; readonly code?: string };
  const codes = FAILURES[name ?? ""] ?? [];
  return codes.includes(code ?? "");
}

const FAILURES: Readonly<Record<string, readonly string[]>> = {
  WalError: ["NoSpace", "Unreadable", "Unwritable", "SyncFailed"],
  StorageError: ["NoSpace", "Unreadable", "Unwritable"],
  SinkError: [
    "NoSpace",
    "Unwritable",
    "Connection",
    "Timeout",
    "GasTooExpensive",
    "BlobGasTooExpensive",
    "InsufficientFunds",
  ],
  SourceError: ["Connection", "Unreadable", "BlobMissing"],
  RpcError: ["Unreachable", "Timeout", "Busy", "Invalid"],
  CompressionError: ["Failed"],
  ProcessorError: ["Deadline"],
};

interface LifeOptions {
  readonly who: string;
  readonly wrap: (disk: Storage) => Storage;
  readonly slowShare: number;
}

/** From a start of a program to its end. */
export class Life {
  readonly run: Run;
  readonly who: string;
  /** The disk, as the program sees it. */
  readonly storage: Storage;
  readonly clock: Clock;
  /** Resolves when it ended otherwise than by the end of the program. */
  readonly over: Promise<string>;
  readonly #weather: Weather;
  readonly #slowShare: number;
  readonly #end: (how: string) => void;
  #isOver = false;
  #hadFaults = false;
  /** Directories of logs in which a sync failed. */
  readonly #unknown = new Set<string>();

  constructor(run: Run, disk: Storage, weather: Weather, options: LifeOptions) {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.run = run;
    this.who = options.who;
    this.over = promise;
    this.#end = resolve;
    this.#weather = weather;
    this.#slowShare = options.slowShare;
    const faulty = new FaultyStorage(options.wrap(disk), (call) => this.#plan(call));
    this.storage = this.#gateStorage(faulty);
    this.clock = {
      now: () => run.clock.now(),
      sleep: (ms, signal) => this.lasting(run.clock.sleep(ms, signal)),
    };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The disk did not do what it was told. */
  get hadFaults(): boolean {
    return this.#hadFaults;
  }

  /** Ends it: nothing that is under way comes back. */
  end(how = ""): void {
    this.#isOver = true;
    this.#end(how);
  }

  /** `kill -9`: the disk keeps all that was written. */
  kill(): void {
    if (!this.#isOver) this.end("is killed");
  }

  /** The machine stops. */
  crash(): void {
    if (!this.#isOver) this.end("power loss");
  }

  /**
   * A signal that asks the program to end: when its work is done and nothing goes wrong any more, or
   * before, now and then. And now and then it is killed instead.
   */
  stopSignal(isDone: () => boolean): AbortSignal {
    const { run } = this;
    const stop = new AbortController();
    const end = run.pick(["stop", "stop", "kill", "never"]);
    const endMs = run.clock.elapsedMs + run.around(10, 60_000);
    void (async () => {
      while (!this.#isOver && !stop.signal.aborted) {
        await run.clock.sleep(run.isCalm ? 1000 : run.around(10, 5000));
        const isTime = !run.isCalm && run.clock.elapsedMs >= endMs;
        if (isTime && end === "kill") this.kill();
        if (isTime && end === "stop" || run.isCalm && isDone()) {
          run.note(this.who, "is asked to stop");
          stop.abort();
        }
      }
    })();
    return stop.signal;
  }

  /** A port whose calls come back in this life only. */
  gate<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, key) => {
        const member = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        return (...values: unknown[]) => {
          if (this.#isOver) return new Promise(() => {});
          const result = member.apply(target, values);
          return result instanceof Promise ? this.lasting(result) : result;
        };
      },
    });
  }

  #gateStorage(storage: Storage): Storage {
    const disk = this.gate(this.#slowly(storage));
    return withMembers(disk, {
      openAppend: async (path) => this.gate<AppendFile>(this.#slowly(await disk.openAppend(path))),
      lock: async (path) => this.gate<StorageLock>(await disk.lock(path)),
    });
  }

  /** What comes of a call, in this life. */
  lasting<T>(call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      call.then(
        (value) => this.#isOver || resolve(value),
        (error) => this.#isOver || reject(error),
      );
    });
  }

  /** Now and then a call takes its time, and others come between. */
  #slowly<Port extends object>(port: Port): Port {
    if (this.#slowShare === 0) return port;
    const { run } = this;
    return new Proxy(port, {
      get: (target, key) => {
        const member = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        return async (...values: unknown[]) => {
          if (run.chance(this.#slowShare)) await this.clock.sleep(run.around(1, 200));
          return await member.apply(target, values);
        };
      },
    });
  }

  #plan(call: StorageCall): StorageFault | undefined {
    const { number, method, path, bytes } = call;
    const { run, who } = this;
    // A name that no other process has is another one in each run.
    const name = path.replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/, "…");
    run.whisper(() => `${who}: ${number} ${method} ${name}${bytes ? `, ${bytes} bytes` : ""}`);
    run.check(number < MOST_CALLS, `${who} goes round in circles: ${method} ${path}`);
    const directory = path.slice(0, path.lastIndexOf("/"));
    const isLog = path.includes(".wal");
    run.check(
      !(isLog && method === "write" && this.#unknown.has(directory)),
      `${who} writes to ${path} after a sync that failed`,
    );
    const fault = this.#fault(call);
    if (!fault) return undefined;
    this.#hadFaults = true;
    if (isLog && method === "sync") this.#unknown.add(directory);
    if ("crash" in fault) this.crash();
    else run.note(who, `${method} ${fault.error}`);
    return fault;
  }

  #fault({ number, method, bytes = 0 }: StorageCall): StorageFault | undefined {
    const { run } = this;
    const { crashAt, full, fullShare, brokenShare, failingSyncShare } = this.#weather;
    if (run.isCalm) return undefined;
    if (number === crashAt) return { crash: true, written: run.below(bytes + 1) };
    // A name takes room more seldom than bytes do.
    const isGrowing = method === "write" ||
      ["openAppend", "rename", "makeDirectory"].includes(method) && run.chance(0.2);
    const isFull = number >= full[0] && number < full[1] || run.chance(fullShare);
    if (isGrowing && isFull) {
      return { error: "NoSpace", written: run.below(bytes + 1) };
    }
    const isSync = method === "sync" || method === "syncDirectory";
    if (isSync && run.chance(failingSyncShare)) return { error: "Unwritable" };
    if (brokenShare === 0 || method === "lock" || !run.chance(brokenShare)) return undefined;
    const isReading = method === "read" || method === "list" || method === "size";
    return isReading
      ? { error: "Unreadable" }
      : { error: "Unwritable", written: run.below(bytes + 1) };
  }
}

/**
 * A node, at whose calls a life may end: before they are made, or when they have had their effect.
 *
 * @param share how often it ends at a send; at other calls it is twenty times as seldom
 */
export function mortal<Node extends object>(node: Node, life: Life, share: number): Node {
  const { run } = life;
  return new Proxy<Node>(node, {
    get: (target, key) => {
      const member = Reflect.get(target, key, target);
      if (typeof member !== "function") return member;
      const here = key === "send" ? share : share / 20;
      return async (...values: unknown[]) => {
        if (run.mishap(here)) life.kill();
        if (life.isOver) return await new Promise(() => {});
        const result = await member.apply(target, values);
        if (run.mishap(here)) life.kill();
        return result;
      };
    },
  });
}
