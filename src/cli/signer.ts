/**
 * `montana signer`: makes a key, takes one over, tells its address, tries whether it signs.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { ConfigError, describeError, SignerError, SinkError } from "../errors.ts";
import { readPasswordFile, refuseKeyAsPath } from "../l1/key_file.ts";
import { makeKeystore } from "../l1/keystore.ts";
import { type KeySource, openSigner, readPrivateKey } from "../l1/signers.ts";
import { trySigner } from "../l1/signer_trial.ts";
import { addressOf } from "../l1/transaction.ts";
import { createFile, writeError } from "../local/disk.ts";
import { writeStdout } from "../runtime.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import {
  type CommandGroup,
  type CommandSpec,
  EXIT,
  type Flag,
  type FlagValues,
  JSON_FLAG,
  textOf,
} from "./command.ts";
import { parseAddress, parseChoice, parseCount } from "./options.ts";
import { KEY_FLAGS, keySource, SIGNER_FLAGS, signerFrom } from "./signer_flags.ts";
import { toJson } from "./text.ts";

const OUT_FLAG: Flag = {
  flags: "--out <file>",
  help: "where the key is written, mode 0600; never over a file that is there",
  isRequired: true,
};

const create: CommandSpec = {
  name: "new",
  summary: "Make a key by chance, and write it to a file",
  flags: [
    OUT_FLAG,
    {
      flags: "--password-file <file>",
      help: "write a keystore under the password in this file, not the bare key",
    },
    JSON_FLAG,
  ],
  examples: [
    "signer new --out batcher.key",
    "signer new --out batcher.json --password-file password",
  ],
  run: async (flags) => {
    const privateKey = new Uint8Array(randomBytes(32));
    return await writeKey(flags, privateKey, textOf(flags, "passwordFile"));
  },
};

const take: CommandSpec = {
  name: "import",
  summary: "Take over a key that there is, into a file of its own",
  flags: [
    ...KEY_FLAGS,
    OUT_FLAG,
    {
      flags: "--out-password-file <file>",
      help: "write a keystore under the password in this file, not the bare key",
    },
    JSON_FLAG,
  ],
  examples: [
    "signer import --key-file old.key --out batcher.json --out-password-file password",
    "signer import --keystore UTC--2026.json --password-file password --out batcher.key",
  ],
  run: async (flags) => {
    const privateKey = await readPrivateKey(await keySource(flags));
    return await writeKey(flags, privateKey, textOf(flags, "outPasswordFile"));
  },
};

const address: CommandSpec = {
  name: "address",
  summary: "Tell the address of a key",
  flags: [...SIGNER_FLAGS, JSON_FLAG],
  examples: [
    "signer address --key-file batcher.key",
    "signer address --keystore batcher.json --password-file password --json",
  ],
  run: async (flags) => {
    const signer = await signerFrom(flags);
    signer.close();
    const text = toHex(signer.address);
    await writeStdout(flags.json ? toJson({ address: text }) : `${text}\n`);
    return EXIT.done;
  },
};

const SIGNED_DA = ["blobs", "calldata", "auto"] as const;

const check: CommandSpec = {
  name: "check",
  summary: "Have a transaction signed that no chain will ever take, and look at the signature",
  flags: [
    ...SIGNER_FLAGS,
    {
      flags: "--da <how>",
      help: "what is to be signed: blobs, calldata or auto",
      value: "auto",
      choices: SIGNED_DA,
    },
    {
      flags: "--chain-id <n>",
      help: "chain that it is for, where a remote signer takes no other",
      value: "1",
    },
    {
      flags: "--inbox <address>",
      help: "whom it goes to, where a remote signer takes nobody else (default: itself)",
    },
    JSON_FLAG,
  ],
  examples: [
    "signer check --key-file batcher.key",
    "signer check --signer-url https://signer:9000 --signer-cert me.pem --signer-key me.key",
  ],
  run: runCheck,
};

/** All of them. */
export const signer: CommandGroup = {
  name: "signer",
  summary: "Make, take over and try the key that signs: new, import, address, check",
  commands: [create, take, address, check],
};

async function writeKey(
  flags: FlagValues,
  privateKey: Uint8Array,
  passwordPath: string | undefined,
): Promise<number> {
  const path = textOf(flags, "out")!;
  if (path === "-") {
    throw new ConfigError(
      "Usage",
      "Cannot use --out -: a key does not go to standard output, where terminals and logs keep it; " +
        "name a file (./- for one that is called so)",
    );
  }
  try {
    refuseKeyAsPath("--out", path);
    const address = await addressOf(privateKey);
    const text = passwordPath === undefined
      ? toHex(privateKey).slice(2)
      : await makeKeystore(privateKey, await readPasswordFile(passwordPath));
    await writeSecret(path, text + "\n");
    await checkWritten(path, passwordPath, address);
    const form = passwordPath === undefined ? "key" : "keystore";
    const said = { address: toHex(address), path, form };
    await writeStdout(flags.json ? toJson(said) : `${said.address}\n`);
    return EXIT.done;
  } finally {
    privateKey.fill(0);
  }
}

async function writeSecret(path: string, text: string): Promise<void> {
  const isNew = await createFile(path, text, 0o600).catch((cause) => {
    throw writeError("the key to", path, cause);
  });
  if (isNew) return;
  const why = "it exists already, and a key is never overwritten";
  throw new SinkError("Unwritable", `Cannot write the key to ${path}: ${why}`);
}

/** What cannot be opened again is found now, and not when there is money at the address. */
async function checkWritten(
  path: string,
  passwordPath: string | undefined,
  address: Uint8Array,
): Promise<void> {
  const source: KeySource = passwordPath === undefined
    ? { kind: "key-file", path }
    : { kind: "keystore", path, passwordPath };
  const signer = await openSigner(source);
  signer.close();
  if (equalBytes(signer.address, address)) return;
  throw new SignerError("Invalid", `Cannot trust ${path}: it does not hold what was written to it`);
}

/** What became of one kind of transaction. */
interface Trial {
  readonly type: "EIP-1559" | "EIP-4844";
  /** `undefined` where it was signed. */
  readonly error: unknown;
}

async function runCheck(flags: FlagValues): Promise<number> {
  const da = parseChoice("--da", textOf(flags, "da")!, SIGNED_DA);
  const chainId = parseCount("--chain-id", textOf(flags, "chainId")!, 1, 2 ** 53 - 1);
  const inbox = textOf(flags, "inbox");
  const to = inbox === undefined ? undefined : parseAddress("--inbox", inbox);
  const signer = await signerFrom(flags);
  const trial = { chainId: BigInt(chainId), ...(to === undefined ? {} : { to }) };
  const attempt = (hasBlobs: boolean): Promise<unknown> =>
    trySigner(signer, { ...trial, hasBlobs }).then(() => undefined, (error) => error);
  const trials: Trial[] = [];
  if (da !== "blobs") trials.push({ type: "EIP-1559", error: await attempt(false) });
  if (da !== "calldata") trials.push({ type: "EIP-4844", error: await attempt(true) });
  signer.close();
  const failed = trials.find(({ error }) => error !== undefined);
  // Where nothing else can be said, it is said as any other command does.
  if (failed && !flags.json && trials.length === 1) throw failed.error;
  const said = trials.map(({ type, error }) => ({
    type,
    ok: error === undefined,
    error: error === undefined ? undefined : describeError(error),
  }));
  const address = toHex(signer.address);
  await writeStdout(
    flags.json
      ? toJson({ ok: failed === undefined, address, signs: said })
      : `address   ${address}\n` +
        said.map(({ type, ok, error }) => `${type}  ${ok ? "signed" : error}\n`).join(""),
  );
  if (!failed) return EXIT.done;
  const isPassing = failed.error instanceof SignerError && failed.error.isRetryable;
  return isPassing ? EXIT.tryLater : EXIT.failed;
}
