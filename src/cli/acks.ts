/**
 * Prints sequence numbers, each on a line of its own, in order. Many that come together are one write.
 *
 * @module
 */
import { writeStdout } from "../runtime.ts";

/** Prints what it is told. */
export class AckPrinter {
  /** Rejects when standard output takes no more. */
  readonly failed: Promise<never>;
  readonly #fail: (error: unknown) => void;
  #text = "";
  #writing: Promise<void> | undefined;

  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.#fail = reject;
    promise.catch(() => {});
  }

  print(sequence: bigint): void {
    this.#text += `${sequence}\n`;
    this.#writing ??= this.#write();
  }

  /** Resolves when all is printed, or cannot be. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    try {
      while (this.#text !== "") {
        // What is acknowledged at the same time goes out together.
        await Promise.resolve();
        const text = this.#text;
        this.#text = "";
        await writeStdout(text);
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#writing = undefined;
  }
}
