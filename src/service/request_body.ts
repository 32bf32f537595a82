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
  #taken = 0;
  #isCrowded = false;

  constructor(message: IncomingMessage, room: BodyRoom) {
    this.#message = message;
    this.#room = room;
  }

  /** Whether it was not read because others took the room. */
  get isCrowded(): boolean {
    return this.#isCrowded;
  }

  /** All of it; `undefined` where it has more bytes, or where {@link RequestBody.isCrowded}. */
  async read(maxBytes: number): Promise<Uint8Array | undefined> {
    const told = Number(this.#message.headers["content-length"] ?? 0);
    if (told > maxBytes || !this.#take(told)) return undefined;
    const parts: Uint8Array[] = [];
    let size = 0;
    // The message stays whole when this ends early: who sent it is answered.
    for await (const part of this.#message.iterator({ destroyOnReturn: false })) {
      size += part.length;
      if (size > maxBytes || !this.#take(size - this.#taken)) return undefined;
      parts.push(part);
    }
    return new Uint8Array(Buffer.concat(parts));
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
