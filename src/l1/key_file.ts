/**
 * Private keys and other secrets, out of files that nobody else can read, or out of the environment.
 *
 * Secrets stay bytes on their way, so that they can be overwritten: a text cannot.
 *
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { SignerError } from "../errors.ts";
import { systemReason } from "../local/disk.ts";

/** The environment variable that holds a key where no other is named. */
export const DEFAULT_KEY_VARIABLE = "MONTANA_KEY";

const KEY_BYTES = 32;
/** A keystore has 500 bytes, a certificate with its chain some thousands. */
const MAX_FILE_BYTES = 256 * 1024;
const LOOKS_LIKE_KEY = /^\s*(0x)?[0-9a-f]{64}\s*$/i;

/**
 * Reads a private key: 64 hexadecimal digits on one line, with or without `0x`.
 *
 * @returns 32 bytes, for the caller to overwrite
 * @throws {SignerError} `Unreadable`, `TooOpen`, `Invalid`
 */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  const text = await readSecretFile("the key file", path);
  try {
    return parseKey(text, `the key file ${path}`);
  } finally {
    text.fill(0);
  }
}

/**
 * Takes a private key out of the environment: afterwards neither this process nor those that it starts
 * see it there. What the system shows of the process (`/proc/PID/environ`) stays.
 *
 * @param name of the variable
 * @returns 32 bytes, for the caller to overwrite
 * @throws {SignerError} `Unreadable` where there is no such variable, `Invalid`
 */
export function takeKeyFromEnvironment(name: string = DEFAULT_KEY_VARIABLE): Uint8Array {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name) || LOOKS_LIKE_KEY.test(name)) {
    // Not repeated: it may be a key.
    const need = "need the name of an environment variable: letters, digits and _, 64 at most";
    throw new SignerError("Invalid", `Cannot read a key from the environment: ${need}`);
  }
  const value = process.env[name];
  if (value === undefined) {
    throw new SignerError(
      "Unreadable",
      `Cannot read a key from the environment: ${name} is not set`,
    );
  }
  delete process.env[name];
  return parseKey(new TextEncoder().encode(value), `the environment variable ${name}`);
}

/**
 * Reads the digits of a private key. Whether there is such a key is not looked at.
 *
 * @param text of ASCII, with white space around it
 * @param source where it came from, for the error
 * @returns 32 bytes
 * @throws {SignerError} `Invalid`
 */
export function parseKey(text: Uint8Array, source: string): Uint8Array {
  if (text[skipSpace(text)] === 0x7b) {
    throw notSecret(
      "a private key",
      source,
      "it holds JSON, as a keystore does, which opens with a password",
    );
  }
  return parseSecret(text, "a private key", source);
}

/**
 * Reads 64 hexadecimal digits, with or without `0x`.
 *
 * @param text of ASCII, with white space around it
 * @param what it is, for the error: `a JWT secret`
 * @param source where it came from, for the error
 * @returns 32 bytes
 * @throws {SignerError} `Invalid`
 */
export function parseSecret(text: Uint8Array, what: string, source: string): Uint8Array {
  let [start, end] = [skipSpace(text), text.length];
  while (end > start && isSpace(text[end - 1]!)) end--;
  if (text[start] === 0x30 && (text[start + 1]! | 0x20) === 0x78) start += 2;
  const secret = new Uint8Array(KEY_BYTES);
  let isHex = end - start === 2 * KEY_BYTES;
  for (let index = 0; isHex && index < KEY_BYTES; index++) {
    const high = digitOf(text[start + 2 * index]!);
    const low = digitOf(text[start + 2 * index + 1]!);
    isHex = high >= 0 && low >= 0;
    secret[index] = 16 * high + low;
  }
  if (isHex) return secret;
  secret.fill(0);
  throw notSecret(what, source, "need 64 hexadecimal digits, and nothing else");
}

/**
 * Reads a file that holds a secret, and that its owner alone may read. A symbolic link is followed, and
 * what it leads to is looked at. An access list shows in the bits of the group, so it is seen too; that of
 * a credential of systemd is the only one that is taken.
 *
 * @param what it is, for the error: `the key file`
 * @returns its bytes, for the caller to overwrite
 * @throws {SignerError} `Unreadable`, `TooOpen`
 */
export async function readSecretFile(what: string, path: string): Promise<Uint8Array> {
  return await withFile(what, path, async (file) => {
    // Of the file that is open, which nobody can exchange meanwhile. Windows knows no such bits.
    const { mode } = await file.stat();
    const foreign = mode & (isCredential(path) ? 0o037 : 0o077);
    if (foreign === 0 || process.platform === "win32") return await readWhole(file);
    const bits = (mode & 0o777).toString(8).padStart(4, "0");
    throw new SignerError(
      "TooOpen",
      `Cannot use ${what} ${path}: its mode is ${bits}, so others than its owner can get at it; ` +
        `make it 0600 (chmod 600), and use another if somebody may have looked`,
      { details: { path, mode: bits } },
    );
  });
}

/**
 * What systemd hands over (`LoadCredential=`): root owns it, and lets the service read it by an access
 * list, which shows as read by the group.
 */
function isCredential(path: string): boolean {
  const directory = process.env["CREDENTIALS_DIRECTORY"];
  return directory !== undefined && dirname(resolve(path)) === resolve(directory);
}

/**
 * Reads a file that others may read.
 *
 * @param what it is, for the error: `the keystore`
 * @throws {SignerError} `Unreadable`
 */
export async function readPublicFile(what: string, path: string): Promise<Uint8Array> {
  return await withFile(what, path, readWhole);
}

/**
 * Reads a password: the one line of a file, without its end.
 *
 * @throws {SignerError} `Unreadable`, `TooOpen`, `Invalid`
 */
export async function readPasswordFile(path: string): Promise<string> {
  const bytes = await readSecretFile("the password file", path);
  const refuse = (reason: string) =>
    new SignerError("Invalid", `Cannot use the password file ${path}: ${reason}`);
  try {
    const password = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
    if (password === "") throw refuse("it is empty");
    if (/[\r\n]/.test(password)) throw refuse("it has more than one line");
    return password;
  } catch (error) {
    throw error instanceof SignerError ? error : refuse("it is not UTF-8");
  } finally {
    bytes.fill(0);
  }
}

/**
 * Refuses a key that stands where the name of a file should: a name is told in errors and logs.
 *
 * @throws {SignerError} `Invalid`
 */
export function refuseKeyAsPath(what: string, path: string): void {
  if (!LOOKS_LIKE_KEY.test(path)) return;
  throw new SignerError(
    "Invalid",
    `Cannot use ${what}: need the name of a file, and was given what looks like a key itself; ` +
      `it stands in the list of processes and in the history of the shell, so use another key`,
  );
}

async function withFile<T>(
  what: string,
  path: string,
  action: (file: FileHandle) => Promise<T>,
): Promise<T> {
  refuseKeyAsPath(what, path);
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    return await action(file);
  } catch (cause) {
    if (cause instanceof SignerError) throw cause;
    const message = `Cannot read ${what} ${path}: ${systemReason(cause)}`;
    throw new SignerError("Unreadable", message, { cause, details: { path } });
  } finally {
    await file?.close();
  }
}

/** By its bytes, not by its size: what a shell hands over as `/dev/fd/63` has none. */
async function readWhole(file: FileHandle): Promise<Uint8Array> {
  const buffer = new Uint8Array(MAX_FILE_BYTES);
  for (let length = 0; length < buffer.length;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) {
      const bytes = buffer.slice(0, length);
      buffer.fill(0, 0, length);
      return bytes;
    }
    length += bytesRead;
  }
  buffer.fill(0);
  throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
}

function notSecret(what: string, source: string, reason: string): SignerError {
  return new SignerError("Invalid", `Cannot read ${what} from ${source}: ${reason}`);
}

function skipSpace(text: Uint8Array): number {
  let start = 0;
  while (start < text.length && isSpace(text[start]!)) start++;
  return start;
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

/** -1 where it is no hexadecimal digit. */
function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
