/**
 * What must stay secret, looked for in all that the program says and writes: a private key, a password, and
 * what the URL of a provider holds besides its host.
 *
 * @module
 */
import { ok, strictEqual as equal } from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { makeKeystore } from "../../src/l1/keystore.ts";
import { ANVIL_ACCOUNTS, skipWithoutAnvil } from "../l1/anvil.ts";
import type { Fault, FaultProxy } from "../l1/fault_proxy.ts";
import { isWhole } from "./crash.ts";
import { type EthereumPlace, INBOX, run, start, succeeded, withProxy } from "./ethereum.ts";
import { sourceText } from "./files.ts";
import { failed, type Outcome, textOf } from "./montana.ts";

/** Part of each secret but the key, in lower case; none of it is in any word of the program's own. */
const MARK = "zq7xk";
const PASSWORD = `${MARK}-password-of-keystore`;
const USER = `${MARK}-user:${MARK}-pass`;
const KEY = Buffer.from(ANVIL_ACCOUNTS[0]!.key);

/** In all the forms in which they could come to light. */
const SECRETS: readonly Uint8Array[] = [
  MARK,
  KEY.toString("hex"),
  KEY.toString("hex").toUpperCase(),
  KEY.toString("base64").replace(/=+$/, ""),
  Buffer.from(USER).toString("base64").replace(/=+$/, ""),
  Buffer.from(USER).toString("base64url"),
].map((text) => Buffer.from(text)).concat(KEY);

/** Files that are there to hold them. */
const KEPT = ["batcher.key", "password"];

/** A URL as providers give it, with all in it that can be in one. */
const secretUrl = (url: string) =>
  `${url.replace("://", `://${USER}@`)}/v3/${MARK}-path?apikey=${MARK}-query`;

/** A place whose URLs and keys are secret, and what was said there. */
class SecretPlace {
  readonly #place: EthereumPlace;
  readonly #said: string[] = [];

  constructor(place: EthereumPlace) {
    this.#place = place;
  }

  readonly batcher = (flags: string): string[] => [
    ...["batcher", "--l2", "l2.jsonl", "--l1", "env:NODE_URL", "--beacon", "env:NODE_URL"],
    ...["--inbox", INBOX, "--once", "--block-time", "250ms", "--confirmations", "2"],
    ...["--compressor", "none", "--max-blocks-per-batch", "1", "--log-level", "debug"],
    ...flags.split(" "),
  ];

  readonly deriver = (flags: string): string[] => [
    ...["deriver", "--out", "out.jsonl", "--l1", "env:NODE_URL", "--beacon", "env:NODE_URL"],
    ...["--inbox", INBOX, "--batcher", this.#place.batcher, "--once", "--confirmations", "0"],
    ...["--log-level", "debug", ...flags.split(" ")],
  ];

  env(url = this.#place.url): Record<string, string> {
    return { NODE_URL: secretUrl(url), MONTANA_TRACE: "1" };
  }

  async run(args: readonly string[], env = this.env()): Promise<Outcome> {
    return this.hear(await run(args, { cwd: this.#place.cwd, env }));
  }

  hear(outcome: Outcome): Outcome {
    this.#said.push(textOf(outcome), outcome.stderr);
    return outcome;
  }

  /** Makes sure that nothing of it came to light. */
  holdsSecrets(): void {
    const { cwd } = this.#place;
    for (const text of this.#said) noSecretIn(Buffer.from(text), text);
    const paths = readdirSync(cwd, { recursive: true, encoding: "utf8" })
      .filter((path) => !KEPT.includes(path) && !path.includes("node_modules"))
      .filter((path) => statSync(join(cwd, path)).isFile());
    for (const path of paths) noSecretIn(readFileSync(join(cwd, path)), path);
    const names = ["history.jsonl", "transactions", "batcher", "blobs"];
    for (const name of names) ok(paths.some((path) => path.includes(name)), `no ${name} was there`);
  }
}

function noSecretIn(bytes: Uint8Array, what: string): void {
  const haystack = Buffer.from(bytes);
  for (const secret of SECRETS) {
    const at = haystack.indexOf(secret);
    const around = haystack.subarray(Math.max(0, at - 60), at + 60).toString();
    equal(at, -1, `a secret is in ${what.slice(0, 2000)}: ${around}`);
  }
}

/** Opens what a run is to sign with: a keystore under a password. */
async function writeKeystore(cwd: string): Promise<void> {
  await writeFile(join(cwd, "password"), `${PASSWORD}\n`);
  await chmod(join(cwd, "password"), 0o600);
  const keystore = await makeKeystore(ANVIL_ACCOUNTS[0]!.key.slice(), PASSWORD, { n: 4096 });
  await writeFile(join(cwd, "keystore.json"), keystore, { mode: 0o600 });
}

const KEYSTORE = "--keystore keystore.json --password-file password";
const KEY_FILE = "--key-file batcher.key";

/** What nodes do, and what the program says of it then. */
const TROUBLES: readonly (readonly [string, Fault, number, RegExp])[] = [
  ["*", { fault: "status", status: 401 }, 1, /it answered 401/],
  ["*", { fault: "status", status: 500 }, 75, /it answered 500/],
  ["*", { fault: "hang up" }, 75, /the connection broke/],
  ["*", { fault: "cut" }, 75, /no JSON-RPC/],
  ["*", { fault: "status", status: 302 }, 1, /it answered 302/],
];

const NAME =
  "crash: montana shows no key, no password and nothing of a URL but its host, whatever happens";
test(NAME, { skip: skipWithoutAnvil(NAME) }, async () => {
  await withProxy(async (place, proxy) => {
    const { cwd } = place;
    const secret = new SecretPlace(place);
    await writeFile(join(cwd, "l2.jsonl"), sourceText(2));
    await writeKeystore(cwd);
    const post = secret.batcher(`--data-dir data ${KEYSTORE} --log-format json`);
    const derive = secret.deriver("--data-dir back");

    // While nothing is wrong.
    succeeded(await secret.run(post));
    succeeded(await secret.run(derive));
    succeeded(await secret.run(["explain", "batch", "0", "--data-dir", "data"]));

    // While a node is in trouble, or says more than it should.
    await troubles(secret, proxy, [post, secret.deriver("--log-format json")]);
    const url = secretUrl(place.url);
    const text = `${decodeURI(url)} is over its quota (${MARK}-query, ${USER})`;
    proxy.always("eth_getTransactionCount", { fault: "error", message: text });
    await writeFile(join(cwd, "l2.jsonl"), sourceText(3));
    const refused = await secret.run(secret.batcher(`--data-dir other ${KEY_FILE}`));
    ok(refused.code !== 0, refused.stderr);
    proxy.heal();

    // Where nobody is, or somebody else.
    const nowhere = await secret.run(post, secret.env("http://127.0.0.1:1"));
    failed(nowhere, 75, /Cannot ask 127\.0\.0\.1:1 /);
    failed(await secret.run([...post, "--chain-id", "5"]), 78, /chain id is 31337, need 5/);
    for (const wrong of [`ftp://${USER}@h/${MARK}`, `http://${USER}@:9/${MARK}`, `${MARK}`]) {
      const env = { NODE_URL: wrong };
      ok((await secret.run(post, env)).code! >= 2, "a URL that is none was taken");
      if (!wrong.includes("://")) continue;
      // As it would be on the command line, where it is no secret any more.
      ok((await secret.run([...post, "--l1", wrong])).code! >= 2, "a URL that is none was taken");
    }
    secret.holdsSecrets();
  });
});

async function troubles(
  secret: SecretPlace,
  proxy: FaultProxy,
  commands: readonly (readonly string[])[],
): Promise<void> {
  const slow: typeof TROUBLES = isWhole ? [["*", { fault: "hang" }, 75, /no answer within/]] : [];
  for (const [index, [method, fault, code, why]] of [...TROUBLES, ...slow].entries()) {
    proxy.always(method, fault);
    // In turn: each waits for seconds.
    const tried = isWhole ? commands : [commands[index % commands.length]!];
    for (const args of tried) failed(await secret.run(args), code, why);
    proxy.heal();
  }
}

const CORE = "montana leaves no key and no URL in a core file, nor in the list of processes";
test(CORE, { skip: skipWithoutAnvil(CORE) || withoutCores(CORE) }, async () => {
  await withProxy(async (place, proxy) => {
    const { cwd } = place;
    const secret = new SecretPlace(place);
    await writeFile(join(cwd, "l2.jsonl"), sourceText(2));
    const commands = [
      secret.batcher(`--data-dir data --da calldata ${KEY_FILE}`),
      secret.deriver("--data-dir back"),
    ];
    for (const [index, args] of commands.entries()) {
      // It has signed, or read, and asks again and again.
      proxy.always(index === 0 ? "eth_getTransactionReceipt" : "eth_getBlockByNumber", {
        fault: "hang",
      });
      const asked = proxy.calls.length;
      const under = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh"];
      await using running = start(args, { cwd, env: secret.env(), under });
      await running.until("it waits", () => proxy.calls.slice(asked).some(({ fault }) => fault));
      noSecretIn(readFileSync(`/proc/${running.pid}/cmdline`), "the list of processes");
      equal(readFileSync(`/proc/${running.pid}/coredump_filter`, "utf8").trim(), "00000000");
      process.kill(running.pid, "SIGABRT");
      secret.hear(await running.ended);
      proxy.heal();
      const cores = readdirSync(cwd).filter((name) => name.startsWith("core"));
      equal(cores.length, 1, "core files");
      noSecretIn(readFileSync(join(cwd, cores[0]!)), "a core file");
      await rm(join(cwd, cores[0]!));
    }
  });
});

function withoutCores(name: string): string | false {
  const path = "/proc/sys/kernel/core_pattern";
  const pattern = existsSync(path) ? readFileSync(path, "utf8").trim() : "";
  if (/^core[^/|]*$/.test(pattern)) return false;
  const reason = `this machine puts core files elsewhere: ${pattern}`;
  process.stdout.write(`skipped: ${name}: ${reason}\n`);
  return reason;
}
