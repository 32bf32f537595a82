/**
 * Bodies of requests, none above a bound, and all that are under way together not above another.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";

/** Of all bodies that are read or being answered: what is parsed takes several times that. */
export const MAX_BYTES_UNDER_WAY: number = 256 * 2 ** 20;

/** How long the rest of a body is read that nobody wants: who still sends does not read the answer yet. */
const DRAIN_MS = 5000;

/** A whole body may take so many times what may pass without a byte of it. */
const WHOLE_TIMES = 10;

/** Room that all requests of a server share. */
export class BodyRoom {
  #left: number;

  constructor(maxBytes: number = MAX_BYTES_UNDER_WAY) {
    this.#left = maxBytes;
  }

  /** Whether there was room for so many bytes. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** The body of a request. */
export class RequestBody {
  readonly #message: IncomingMessage;
  readonly #room: BodyRoom;
  readonly #stalledMs: number;
  #taken = 0;
  #isCrowded = false;
  #isLate = false;

  /** @param stalledMs how long its sender may be silent */
  constructor(message: IncomingMessage, room: BodyRoom, stalledMs = 30_000) {
    this.#message = message;
    this.#room = room;
    this.#stalledMs = stalledMs;
  }

  /** Whether it was not read because others took the room. */
  get isCrowded(): boolean {
    return this.#isCrowded;
  }

  /** Whether it was not read because it came too slowly. */
  get isLate(): boolean {
    return this.#isLate;
  }

  /**
   * All of it; `undefined` where it has more bytes, or where {@link RequestBody.isCrowded} or
   * {@link RequestBody.isLate}.
   */
  async read(maxBytes: number): Promise<Uint8Array | undefined> {
    const told = Number(this.#message.headers["content-length"] ?? 0);
    if (told > maxBytes || !this.#take(told)) return undefined;
    const parts: Uint8Array[] = [];
    let size = 0;
    // The message stays whole when this ends early: who sent it is answered.
    const iterator = this.#message.iterator({ destroyOnReturn: false });
    const until = performance.now() + WHOLE_TIMES * this.#stalledMs;
    for (;;) {
      const next = await this.#inTime(iterator.next(), until);
      if (!next) return undefined;
      if (next.done) return new Uint8Array(Buffer.concat(parts));
      const part: Uint8Array = next.value;
      size += part.length;
      if (size > maxBytes || !this.#take(size - this.#taken)) {
        await iterator.return?.();
        return undefined;
      }
      parts.push(part);
    }
  }

  /** `undefined` where it took too long: then {@link RequestBody.isLate}. */
  async #inTime<T>(next: Promise<T>, until: number): Promise<T | undefined> {
    const waitMs = Math.min(this.#stalledMs, until - performance.now());
    let limit: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      limit = setTimeout(() => resolve(undefined), Math.max(0, waitMs));
    });
    try {
      const first = await Promise.race([next, late]);
      this.#isLate = first === undefined;
      // Whoever waits no longer hears of no fault.
      if (this.#isLate) next.catch(() => {});
      return first;
    } finally {
      clearTimeout(limit);
    }
  }

  /** Reads what is left, and keeps none of it; resolves too when that takes long. */
  async drain(): Promise<void> {
    const message = this.#message;
    if (message.complete || message.destroyed) return;
    await new Promise<void>((resolve) => {
      const limit = setTimeout(resolve, DRAIN_MS);
      const end = () => {
        clearTimeout(limit);
        resolve();
      };
      message.once("end", end).once("close", end).once("error", end);
      message.resume();
    });
  }

  /** The answer is made. */
  letGo(): void {
    this.#room.giveBack(this.#taken);
    this.#taken = 0;
  }

  #take(bytes: number): boolean {
    if (bytes <= 0) return true;
    this.#isCrowded = !this.#room.take(bytes);
    if (!this.#isCrowded) this.#taken += bytes;
    return !this.#isCrowded;
  }
}
