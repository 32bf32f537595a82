/**
 * What a service tells systemd: that it is ready, how it stands, that it ends, that it is alive
 * (sd_notify(3)).
 *
 * @module
 */
import process from "node:process";
import { type SendDatagram, unixDatagrams } from "../runtime.ts";

/** Tells systemd. What it does not take is lost, and no reason to stop. */
export class SystemdNotifier {
  /** Milliseconds after which systemd takes us for dead; nothing where it does not look. */
  readonly watchdogMs: number | undefined;
  readonly #send: SendDatagram;

  /** @param send where it goes */
  constructor(send: SendDatagram, watchdogMs?: number) {
    this.#send = send;
    this.watchdogMs = watchdogMs;
  }

  /**
   * To whoever started this process and asks to be told, by `NOTIFY_SOCKET` and `WATCHDOG_USEC`. Both are
   * taken out of the environment: a process that this one starts is no service.
   *
   * @returns nothing where nobody asks; `"deaf"` where this runtime cannot tell
   *
   * @example
   * ```ts
   * import { SystemdNotifier } from "https://example.com/montana/v0.1.0/mod.ts";
   *
   * const systemd = await SystemdNotifier.fromEnvironment();
   * if (systemd && systemd !== "deaf") systemd.ready("taking blocks");
   * ```
   */
  static async fromEnvironment(): Promise<SystemdNotifier | "deaf" | undefined> {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: us, WATCHDOG_PID: pid } = process.env;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) {
      delete process.env[name];
    }
    if (!socket) return undefined;
    const send = await unixDatagrams(socket);
    if (!send) return "deaf";
    const isForUs = pid === undefined || Number(pid) === process.pid;
    const watchdogMs = Number(us) / 1000;
    return new SystemdNotifier(send, isForUs && watchdogMs > 0 ? watchdogMs : undefined);
  }

  /** What depends on us may start. */
  ready(status: string): boolean {
    return this.#tell("READY=1", status);
  }

  /** How it stands, in one line. */
  status(status: string): boolean {
    return this.#tell(undefined, status);
  }

  /** It ends by itself, or because it was told to. */
  stopping(status: string): boolean {
    return this.#tell("STOPPING=1", status);
  }

  /** It is alive: within {@link watchdogMs} it has to say so again. */
  alive(): boolean {
    return this.#send("WATCHDOG=1");
  }

  #tell(state: string | undefined, status: string): boolean {
    const lines = [
      ...(state === undefined ? [] : [state]),
      `STATUS=${status.replace(/\s+/g, " ")}`,
    ];
    return this.#send(lines.join("\n"));
  }
}
