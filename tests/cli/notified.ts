/**
 * Who a service of systemd talks to, for a test: a socket, and what came to it. `node:dgram` has no such
 * sockets, so Python listens.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";

/** What listens; tests are skipped without. */
export const PYTHON = "/usr/bin/python3";

const LISTEN = `
import socket, sys
name = sys.argv[1]
listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listening.bind("\\0" + name[1:] if name.startswith("@") else name)
print("listening", flush=True)
while True:
    print(listening.recv(65536).decode().replace("\\n", " "), flush=True)
`;

/** What came, a line a datagram; disposing of it ends the listener. */
export class Notified implements AsyncDisposable {
  readonly #child: ChildProcess;
  #text = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.setEncoding("utf8").on("data", (text: string) => this.#text += text);
  }

  static async listen(name: string): Promise<Notified> {
    const child = spawn(PYTHON, ["-c", LISTEN, name], { stdio: ["ignore", "pipe", "inherit"] });
    const notified = new Notified(child);
    while (!notified.#text.startsWith("listening\n")) {
      if (child.exitCode !== null) throw new Error("nobody listens");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return notified;
  }

  get told(): string[] {
    return this.#text.split("\n").slice(1, -1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}
