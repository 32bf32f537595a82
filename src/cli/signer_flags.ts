/**
 * The flags that say who signs. None of them takes a key or a password, which every user of the machine
 * would see in the list of processes: they name files, variables and hosts.
 *
 * @module
 */
import { DEFAULT_KEY_VARIABLE, parseKey } from "../l1/key_file.ts";
import { type KeySource, type OpenSigner, openSigner, type SignerSource } from "../l1/signers.ts";
import { readStdin, writeStderr } from "../runtime.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { outOfEnvironment, parseAddress, parseDuration, usage } from "./options.ts";

/** Where a key is. */
export const KEY_FLAGS: readonly Flag[] = [
  {
    flags: "--key-file <file>",
    help: "private key: 64 hexadecimal digits in a file of mode 0600; - reads standard input",
  },
  { flags: "--keystore <file>", help: "private key under a password (Ethereum keystore V3)" },
  {
    flags: "--password-file <file>",
    help: "with --keystore: its password, in a file of mode 0600",
  },
  {
    flags: "--key-env [name]",
    help: `private key in an environment variable (${DEFAULT_KEY_VARIABLE} where none is named)`,
  },
];

/** Who signs: a key, or a signer that keeps it elsewhere. */
export const SIGNER_FLAGS: readonly Flag[] = [
  ...KEY_FLAGS,
  {
    flags: "--signer-url <url>",
    help: "a remote signer (or env:NAME): eth_signTransaction over HTTPS",
  },
  {
    flags: "--signer-address <address>",
    help: "with --signer-url: whose key signs (default: the one that the signer has)",
  },
  { flags: "--signer-cert <file>", help: "with --signer-url: certificate to show, PEM" },
  { flags: "--signer-key <file>", help: "with --signer-cert: its key, PEM, mode 0600" },
  { flags: "--signer-ca <file>", help: "with --signer-url: certificates to trust, PEM" },
  { flags: "--signer-timeout <time>", help: "with --signer-url: for an answer (default: 10s)" },
];

/** Flags that name who signs: one of them is given. */
const CHOICES = [
  ["keyFile", "--key-file"],
  ["keystore", "--keystore"],
  ["keyEnv", "--key-env"],
  ["signerUrl", "--signer-url"],
] as const;

/** Flags that are of use only beside another. */
const COMPANIONS = [
  ["passwordFile", "--password-file", "keystore", "--keystore"],
  ["signerAddress", "--signer-address", "signerUrl", "--signer-url"],
  ["signerCert", "--signer-cert", "signerKey", "--signer-key"],
  ["signerKey", "--signer-key", "signerCert", "--signer-cert"],
  ["signerCert", "--signer-cert", "signerUrl", "--signer-url"],
  ["signerCa", "--signer-ca", "signerUrl", "--signer-url"],
  ["signerTimeout", "--signer-timeout", "signerUrl", "--signer-url"],
] as const;

/**
 * Opens who signs; warns on standard error of what is less safe than it could be.
 *
 * @throws {ConfigError} `Usage`
 * @throws {SignerError}
 */
export async function signerFrom(flags: FlagValues): Promise<OpenSigner> {
  return await openSigner(await signerSource(flags));
}

/**
 * Where the key is that the flags name.
 *
 * @throws {ConfigError} `Usage`, for a remote signer too
 */
export async function keySource(flags: FlagValues): Promise<KeySource> {
  const source = await signerSource(flags);
  if (source.kind !== "remote") return source;
  throw usage("Cannot use --signer-url here: a remote signer does not hand out its key");
}

/**
 * The flag that says who signs; neither a key nor a password is looked at.
 *
 * @throws {ConfigError} `Usage` where not exactly one is named, or what is beside it is of no use
 */
export function namedSigner(flags: FlagValues): (typeof CHOICES)[number][0] {
  const given = CHOICES.filter(([name]) => flags[name] !== undefined);
  if (given.length !== 1) {
    const names = (choices: readonly (readonly [string, string])[]) =>
      choices.map(([, flag]) => flag).join(", ");
    throw usage(
      given.length === 0
        ? `Cannot sign: name who does, by one of ${names(CHOICES)}`
        : `Cannot use ${names(given)} together: name one`,
    );
  }
  for (const [name, flag, other, otherFlag] of COMPANIONS) {
    if (flags[name] !== undefined && flags[other] === undefined) {
      throw usage(`Cannot use ${flag} without ${otherFlag}`);
    }
  }
  if (flags["keystore"] !== undefined && flags["passwordFile"] === undefined) {
    throw usage("Cannot use --keystore without --password-file: name the file of its password");
  }
  return given[0]![0];
}

/**
 * Who signs, as the flags say.
 *
 * @throws {ConfigError} `Usage`
 */
export async function signerSource(flags: FlagValues): Promise<SignerSource> {
  const name = namedSigner(flags);
  switch (name) {
    case "keyFile":
      return await keyFileSource(textOf(flags, name)!);
    case "keystore":
      return {
        kind: "keystore",
        path: textOf(flags, name)!,
        passwordPath: textOf(flags, "passwordFile")!,
      };
    case "keyEnv":
      return environmentSource(textOf(flags, name));
    case "signerUrl":
      return remoteSource(flags);
  }
}

async function keyFileSource(path: string): Promise<KeySource> {
  if (path !== "-") return { kind: "key-file", path };
  const text = await readStdin();
  try {
    return { kind: "key", privateKey: parseKey(text, "standard input") };
  } finally {
    text.fill(0);
  }
}

function environmentSource(name: string | undefined): KeySource {
  writeStderr(
    "warning: a key in the environment is seen by whoever may look at this process, and by what " +
      "started it; a key file of mode 0600 or a keystore is not",
  );
  return { kind: "environment", ...(name === undefined ? {} : { name }) };
}

function remoteSource(flags: FlagValues): SignerSource {
  const text = (name: string) => textOf(flags, name);
  const address = text("signerAddress");
  const timeout = text("signerTimeout");
  const files = {
    certPath: text("signerCert"),
    keyPath: text("signerKey"),
    caPath: text("signerCa"),
  };
  const tls = Object.fromEntries(Object.entries(files).filter(([, path]) => path !== undefined));
  const url = outOfEnvironment("--signer-url", text("signerUrl")!);
  if (isOpenToOthers(url)) {
    writeStderr(
      "warning: --signer-url is http to another machine: whoever is on the way reads and changes what is " +
        "asked for, and may ask for signatures of their own; https with --signer-cert is not open to them",
    );
  }
  return {
    kind: "remote",
    url,
    tls,
    ...(address === undefined ? {} : { address: parseAddress("--signer-address", address) }),
    ...(timeout === undefined ? {} : { timeoutMs: parseDuration("--signer-timeout", timeout) }),
  };
}

/** Plain HTTP that leaves the machine. What is no URL is refused elsewhere. */
function isOpenToOthers(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === "http:" &&
    !/^(?:localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname);
}
