/**
 * The roles of a process as a service of systemd: ready once each has looked at what it works with, alive
 * as long as their loops turn.
 *
 * @module
 */
import type { BatchSink, Clock } from "../ports.ts";
import { sizesOf } from "../retry.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import { SystemdNotifier } from "../service/systemd.ts";

/** What systemd is told through. */
type Notifier = Pick<SystemdNotifier, "ready" | "stopping" | "alive" | "watchdogMs">;

/** All roles of a process. */
export class ServiceWatch {
  readonly #notifier: Notifier | undefined;
  readonly #clock: Clock;
  readonly #roles: readonly RoleWatch[];
  readonly #ended = new AbortController();
  /** Nobody is to be told that all is ready: it was told, or it ends. */
  #hasToldReady = false;

  constructor(
    roles: readonly string[],
    notifier: Notifier | undefined,
    clock: Clock = systemClock,
  ) {
    this.#notifier = notifier;
    this.#clock = clock;
    this.#roles = roles.map((name) => new RoleWatch(name, clock, () => this.#tellReady()));
    if (notifier?.watchdogMs) void this.#feed(notifier, notifier.watchdogMs);
  }

  /** For whoever started this process, where it asks to be told. */
  static async open(roles: readonly string[]): Promise<ServiceWatch> {
    const notifier = await SystemdNotifier.fromEnvironment();
    if (notifier !== "deaf") return new ServiceWatch(roles, notifier);
    writeStderr(
      "warning: systemd is not told that this is ready, or alive: that takes Linux, and Bun, Deno with " +
        "--allow-ffi, or the executable",
    );
    return new ServiceWatch(roles, undefined);
  }

  /** Of a role that it was made for. */
  of(role: string): RoleWatch {
    return this.#roles.find(({ name }) => name === role)!;
  }

  stopping(why: string): void {
    this.#hasToldReady = true;
    this.#notifier?.stopping(why);
  }

  close(): void {
    this.#ended.abort();
  }

  #tellReady(): void {
    if (this.#hasToldReady || !this.#roles.every(({ hasLooked }) => hasLooked)) return;
    const status = `running ${this.#roles.map(({ name }) => name).join(", ")}`;
    this.#hasToldReady = this.#notifier?.ready(status) ?? true;
  }

  /**
   * It only asks: what is stuck stays silent, and systemd ends it. Where systemd had no room to be told that
   * all is ready, which it waits for, it is told again.
   */
  async #feed(notifier: Notifier, watchdogMs: number): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      this.#tellReady();
      if (this.#roles.every((role) => role.isAlive(watchdogMs / 2))) notifier.alive();
      await this.#clock.sleep(watchdogMs / 4, signal);
    }
  }
}

/** One role. */
export class RoleWatch {
  readonly name: string;
  readonly #clock: Clock;
  readonly #onLooked: () => void;
  readonly #loops: WatchedLoop[] = [];
  #hasLooked = false;
  #isOver = false;

  constructor(name: string, clock: Clock, onLooked: () => void) {
    this.name = name;
    this.#clock = clock;
    this.#onLooked = onLooked;
  }

  /** It does its work, or has done it. */
  get hasLooked(): boolean {
    return this.#hasLooked || this.#isOver;
  }

  /** It had a first good look at all that it works with. */
  looked(): void {
    if (this.#hasLooked) return;
    this.#hasLooked = true;
    this.#onLooked();
  }

  /** It has ended: no loop of it turns any more. */
  over(): void {
    this.#isOver = true;
  }

  /** A loop that has to turn. */
  loop(isExcused: () => boolean = () => false): WatchedLoop {
    const loop = new WatchedLoop(this.#clock, isExcused);
    this.#loops.push(loop);
    return loop;
  }

  isAlive(longestTurnMs: number): boolean {
    return this.#isOver || this.#loops.every((loop) => loop.isAlive(longestTurnMs));
  }
}

/** The clock of a loop: one that sleeps, or has just slept, turns. */
export class WatchedLoop implements Clock {
  readonly #clock: Clock;
  readonly #isExcused: () => boolean;
  #asleep = 0;
  #turnedMs: number;
  #submissions = 0;

  constructor(clock: Clock, isExcused: () => boolean) {
    this.#clock = clock;
    this.#isExcused = isExcused;
    this.#turnedMs = clock.now();
  }

  now(): number {
    return this.#clock.now();
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.#asleep += 1;
    try {
      await this.#clock.sleep(ms, signal);
    } finally {
      this.#asleep -= 1;
      this.turned();
    }
  }

  /** It goes on: something that it waited for has come. */
  turned(): void {
    this.#turnedMs = this.#clock.now();
  }

  /** Not stuck in one turn, unless something else bounds how long that may take. */
  isAlive(longestTurnMs: number): boolean {
    if (this.#asleep > 0 || this.#submissions > 0 || this.#isExcused()) return true;
    return this.#clock.now() - this.#turnedMs < longestTurnMs;
  }

  /** A port, each answer of which is a turn, and the first good one to `method` a good look. */
  watching<Port extends object>(port: Port, method: keyof Port, onGood: () => void): Port {
    const watched = async (ask: (...values: unknown[]) => unknown, values: unknown[]) => {
      try {
        const answer = await ask(...values);
        onGood();
        return answer;
      } finally {
        this.turned();
      }
    };
    return new Proxy(port, {
      get(target, key) {
        const member = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        const ask = member.bind(target);
        return key === method ? (...values: unknown[]) => watched(ask, values) : ask;
      },
    });
  }

  /** A sink that is waited for as long as L1 takes: the account that sends has a loop of its own. */
  waitingFor(sink: BatchSink): BatchSink {
    return {
      submit: async (batch) => {
        this.#submissions += 1;
        try {
          return await sink.submit(batch);
        } finally {
          this.#submissions -= 1;
          this.turned();
        }
      },
      capacity: () => sink.capacity(),
      healthCheck: () => sink.healthCheck(),
      ...sizesOf(sink),
    };
  }
}
