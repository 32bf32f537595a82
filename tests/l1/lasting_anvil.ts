/**
 * An anvil that is stopped and started again, with its chain, where it was.
 *
 * @module
 */
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Anvil, type AnvilOptions, startAnvil } from "./anvil.ts";

/** Runs until it is disposed of, but between {@link LastingAnvil.stop} and {@link LastingAnvil.start}. */
export class LastingAnvil implements AsyncDisposable {
  readonly url: string;
  readonly #options: AnvilOptions;
  readonly #directory: string;
  #anvil: Anvil;

  private constructor(anvil: Anvil, options: AnvilOptions, directory: string) {
    this.#anvil = anvil;
    this.url = anvil.url;
    this.#options = { ...options, port: Number(new URL(anvil.url).port) };
    this.#directory = directory;
  }

  static async begin(options: AnvilOptions): Promise<LastingAnvil> {
    const directory = await mkdtemp(join(tmpdir(), "montana-lasting-anvil-"));
    try {
      // Without the states of old blocks it could not reorganise what was made before it was stopped.
      const args = [...options.args ?? [], "--preserve-historical-states"];
      const lasting = { ...options, args, state: stateIn(directory) };
      return new LastingAnvil(await startAnvil(lasting), lasting, directory);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** The result of a call. @throws {AnvilError} */
  // deno-lint-ignore no-explicit-any -- what a test asks for it knows the shape of
  rpc(method: string, params: readonly unknown[] = []): Promise<any> {
    return this.#anvil.rpc(method, params);
  }

  /** Makes blocks, with what waits in the pool in the first. */
  mine(blocks = 1): Promise<void> {
    return this.#anvil.mine(blocks);
  }

  /** Number of the newest block. */
  head(): Promise<bigint> {
    return this.#anvil.head();
  }

  async stop(): Promise<void> {
    await this.#anvil.stop();
  }

  async start(): Promise<void> {
    this.#anvil = await startAnvil(this.#options);
  }

  /** Starts it again, and keeps the chain as it is now for {@link LastingAnvil.bringBack}. */
  async keep(): Promise<void> {
    await this.stop();
    await copyFile(stateIn(this.#directory), join(this.#directory, "kept.json"));
    await this.start();
  }

  /** Starts it again, with the chain that was kept. */
  async bringBack(): Promise<void> {
    await this.stop();
    await copyFile(join(this.#directory, "kept.json"), stateIn(this.#directory));
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#anvil[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function stateIn(directory: string): string {
  return join(directory, "state.json");
}
