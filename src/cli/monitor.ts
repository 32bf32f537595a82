/**
 * `--metrics-listen`: metrics and health of all roles of a process, on one port.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { LoopHealth } from "../pipeline/tick_health.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import type { Log, Storage } from "../ports.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import { type ReadyCheck, serveHealth } from "../service/health.ts";
import type { Listening } from "../service/http_server.ts";
import { gauge, type MetricChapter } from "../service/metric_chapter.ts";
import { Metrics } from "../service/metrics.ts";
import { meteredStorage } from "../service/storage_metrics.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { NodeHealth } from "./node_health.ts";
import { parseListen } from "./options.ts";
import { timeText } from "./text.ts";

/** Where metrics and health are served; of all roles of a process at once. */
export const METRICS_FLAG: Flag = {
  flags: "--metrics-listen <port>",
  help: "serve /metrics, /livez and /readyz: 127.0.0.1:PORT, or HOST:PORT; 0: any",
};

/** Where that is; `undefined` where it is not. */
export function metricsAddress(flags: FlagValues): ReturnType<typeof parseListen> | undefined {
  const text = textOf(flags, "metricsListen");
  return text === undefined ? undefined : parseListen("--metrics-listen", text);
}

/** Of what `/readyz` tells. */
export const CHECK_METRICS: MetricChapter = {
  specs: { montana_check_ok: gauge("1 where /readyz finds nothing wrong", "role", "check") },
};

/** A loop that is healthy looks each few seconds; one that waits for L1 that long is not. */
const STALLED_MS = 5 * 60 * 1000;

/** Why a role is ready, or not. */
export type RoleChecks = () => readonly ReadyCheck[];

/** Metrics and health of the roles of a process. */
export class Monitor {
  /** Where they are asked for. */
  readonly metrics: Metrics | undefined;
  readonly #roles: readonly RoleMonitor[];
  #server: Listening | undefined;

  private constructor(roles: readonly string[], metrics: Metrics | undefined) {
    this.metrics = metrics;
    this.#roles = roles.map((name) => new RoleMonitor(name, metrics));
  }

  /**
   * Listens where the flags say.
   *
   * @throws {ConfigError} `Usage` or `Invalid` where it cannot
   */
  static async open(roles: readonly string[], flags: FlagValues): Promise<Monitor> {
    const address = metricsAddress(flags);
    if (!address) return new Monitor(roles, undefined);
    const metrics = await Metrics.open(systemClock);
    const monitor = new Monitor(roles, metrics);
    metrics.include(CHECK_METRICS);
    metrics.watch((to) => {
      to.clear("montana_check_ok");
      for (const { role = "", name, ok } of monitor.checks) {
        to.set("montana_check_ok", Number(ok), role, name);
      }
    });
    const parts = { clock: systemClock, metrics, checks: () => monitor.checks };
    monitor.#server = await serveHealth(parts, address);
    writeStderr(`metrics and health on ${monitor.#server.name}`);
    return monitor;
  }

  /** Of a role that it was opened for. */
  of(role: string): RoleMonitor {
    return this.#roles.find(({ name }) => name === role)!;
  }

  /** Of all roles that have not ended. */
  get checks(): readonly ReadyCheck[] {
    return this.#roles.flatMap((role) => role.checks);
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

/** The part of one role. */
export class RoleMonitor {
  readonly name: string;
  readonly metrics: Metrics | undefined;
  readonly #nodes = new NodeHealth();
  #checks: RoleChecks | undefined;
  #stop: AbortSignal | undefined;
  #isOver = false;

  constructor(name: string, metrics: Metrics | undefined) {
    this.name = name;
    this.metrics = metrics;
  }

  /** A log that counts, where metrics are asked for. */
  counting(chapters: readonly MetricChapter[], log: Log): Log {
    if (!this.metrics) return log;
    const counting = this.metrics.counting(chapters, log);
    return (event) => {
      this.#nodes.note(event);
      counting(event);
    };
  }

  /** A disk, whose syncs are timed where metrics are asked for. */
  storage(): Storage {
    const disk = new DiskStorage();
    return this.metrics ? meteredStorage(disk, this.metrics) : disk;
  }

  /** It has begun, and tells from now on how it is. */
  begin(checks: RoleChecks): void {
    this.#checks = checks;
  }

  /** Once told to end, it is not ready. @returns the signal itself */
  endsBy(stop: AbortSignal): AbortSignal {
    this.#stop = stop;
    return stop;
  }

  /** It has ended: whether the others are ready does not depend on it. */
  over(): void {
    this.#isOver = true;
  }

  get checks(): readonly ReadyCheck[] {
    if (this.#isOver) return [];
    const all = [
      checkOf("begin", this.#checks ? undefined : "it has not begun yet"),
      checkOf("nodes", this.#nodes.reason),
      ...this.#checks?.() ?? [],
      checkOf("end", this.#stop?.aborted ? "it ends, and finishes what it took" : undefined),
    ];
    return all.map((each) => ({ role: this.name, ...each }));
  }
}

/** A check that finds nothing wrong without a reason. */
export function checkOf(name: string, reason: string | undefined): ReadyCheck {
  return reason === undefined ? { name, ok: true } : { name, ok: false, reason };
}

/** Whether a loop goes well. */
export function pipelineCheck({ lastGoodAtMs, failure }: LoopHealth, looksAt: string): ReadyCheck {
  const check = (reason?: string) => checkOf("pipeline", reason);
  if (failure !== undefined) return check(describeError(failure));
  if (lastGoodAtMs === undefined) return check(`no look at ${looksAt} went well yet`);
  const stillMs = systemClock.now() - lastGoodAtMs;
  if (stillMs < STALLED_MS) return check();
  return check(`it has stood still for ${timeText(stillMs)}`);
}
