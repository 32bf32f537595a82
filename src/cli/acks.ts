/**
 * Prints sequence numbers, each on a line of its own, in order. Many that come together are one write.
 *
 * @module
 */
import { describeError, SinkError } from "../errors.ts";
import { writeStdout } from "../runtime.ts";

/** Prints what it is told. */
export class AckPrinter {
  /** Rejects when standard output takes no more. */
  readonly failed: Promise<never>;
  readonly #fail: (error: unknown) => void;
  #text = "";
  #hasFailed = false;
  #writing: Promise<void> | undefined;

  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.#fail = reject;
    promise.catch(() => {});
  }

  print(sequence: bigint): void {
    if (this.#hasFailed) return;
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
      this.#hasFailed = true;
      this.#text = "";
      // Not as its cause: a reader that went away is no success here, as it is where we only print.
      const message = `Cannot acknowledge: ${describeError(error)}; what was taken is in the log`;
      this.#fail(new SinkError("Unwritable", message, { kind: "critical" }));
      return;
    }
    this.#writing = undefined;
  }
}
