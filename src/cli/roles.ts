/**
 * Roles that run together: they begin one after the other, and end the other way round. The first that
 * fails ends all.
 *
 * @module
 */
import { onShutdownSignal, speakingAs, writeStderr } from "../runtime.ts";
import { EXIT, type FlagValues } from "./command.ts";
import { tellFailure } from "./failure.ts";
import { Monitor } from "./monitor.ts";
import type { RoleContext, RoleSpec, RoleTies } from "./role.ts";
import { ServiceWatch } from "./service_watch.ts";

/** A role, and what it was given. */
export interface RoleTask {
  readonly spec: RoleSpec;
  readonly flags: FlagValues;
}

/**
 * Runs them until they have ended; none where one was given what cannot be. One that ends well leaves the
 * others alone, until servers alone are left.
 *
 * @param tasks in the order in which they begin
 * @returns the exit code of the first that failed
 */
export async function runTogether(tasks: readonly RoleTask[]): Promise<number> {
  for (const task of tasks) {
    const { spec, flags } = task;
    try {
      const beside = besideOf(task, tasks);
      await spec.read(flags, beside);
      await spec.check?.(flags, beside);
    } catch (error) {
      return speakingAs(spec.name, () => tellFailure(error));
    }
  }
  const names = tasks.map(({ spec }) => spec.name);
  // The flag means the same for all that have it.
  const flags = tasks.find((task) => task.flags.metricsListen !== undefined)?.flags ?? {};
  const monitor = await Monitor.open(names, flags);
  const service = await ServiceWatch.open(names);
  try {
    return await runAll(tasks, { monitor, service });
  } finally {
    service.close();
    await monitor.close();
  }
}

async function runAll(
  tasks: readonly RoleTask[],
  { monitor, service }: { readonly monitor: Monitor; readonly service: ServiceWatch },
): Promise<number> {
  const running: RunningRole[] = [];
  const failures: number[] = [];
  const end = Promise.withResolvers<string>();
  let isEnding = false;
  void end.promise.then(() => isEnding = true);
  onShutdownSignal(end.resolve);

  const ties: RoleTies = {};
  for (const task of tasks) {
    const role = new RunningRole(task, {
      beside: besideOf(task, tasks),
      ties,
      monitor: monitor.of(task.spec.name),
      watch: service.of(task.spec.name),
    });
    running.push(role);
    void role.ended.then((code) => {
      if (code !== EXIT.done) failures.push(code);
      const isLeft = running.length < tasks.length ||
        running.some((each) => !each.isOver && !each.isServer);
      if (code !== EXIT.done || role.isServer) end.resolve(`${role.name} failed`);
      else if (!isLeft) end.resolve(`${role.name} is done`);
    });
    await Promise.race([role.opened, role.ended, end.promise]);
    if (isEnding || role.isOver && failures.length > 0) break;
  }

  const why = await end.promise;
  service.stopping(`ending: ${why}`);
  for (const role of running.toReversed()) {
    role.stop(why);
    await role.ended;
  }
  return failures[0] ?? EXIT.done;
}

function besideOf(task: RoleTask, tasks: readonly RoleTask[]): RoleContext["beside"] {
  const others = tasks.filter((each) => each !== task);
  return Object.fromEntries(others.map(({ spec, flags }) => [spec.name, flags]));
}

/** One of them. */
class RunningRole {
  readonly name: string;
  readonly isServer: boolean;
  /** Resolves when others may begin. */
  readonly opened: Promise<void>;
  /** With the exit code; what it failed with is told. */
  readonly ended: Promise<number>;
  isOver = false;
  readonly #stop = new AbortController();
  #tell: ((why: string) => string) | undefined;

  constructor(
    { spec, flags }: RoleTask,
    others: Pick<RoleContext, "beside" | "ties" | "monitor" | "watch">,
  ) {
    this.name = spec.name;
    this.isServer = spec.isServer ?? false;
    const opened = Promise.withResolvers<void>();
    this.opened = opened.promise;
    if (!spec.isAwaited) opened.resolve();
    const context: RoleContext = {
      ...others,
      onOpened: opened.resolve,
      onStop: (tell) => {
        this.#tell = tell;
        return others.monitor.endsBy(this.#stop.signal);
      },
    };
    this.ended = speakingAs(spec.name, () => this.#run(() => spec.runRole(flags, context)));
    void this.ended.then(() => {
      others.monitor.over();
      others.watch.over();
    });
  }

  /** Tells it to end, unless it has. */
  stop(why: string): void {
    if (this.isOver || this.#stop.signal.aborted) return;
    speakingAs(this.name, () => {
      if (this.#tell) writeStderr(this.#tell(why));
      this.#stop.abort();
    });
  }

  async #run(run: () => Promise<number>): Promise<number> {
    try {
      return await run();
    } catch (error) {
      return tellFailure(error);
    } finally {
      this.isOver = true;
    }
  }
}
