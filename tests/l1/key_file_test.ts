import { deepStrictEqual as deepEqual, ok, rejects, throws } from "node:assert/strict";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { SignerError } from "../../src/errors.ts";
import {
  parseKey,
  readKeyFile,
  readPasswordFile,
  takeKeyFromEnvironment,
} from "../../src/l1/key_file.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { ANVIL_KEY } from "./transactions.ts";

const digits = toHex(ANVIL_KEY).slice(2);

/** For `rejects` and `throws`: the code, words of the message, and no part of the key anywhere. */
function refusal(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    ok(error instanceof SignerError, String(error));
    const all = [error.message, JSON.stringify(error.details), String(error.cause), error.stack];
    for (let at = 0; at + 16 <= digits.length; at += 8) {
      ok(!all.join("\n").toLowerCase().includes(digits.slice(at, at + 16)), all.join("\n"));
    }
    ok(error.code === code && words.test(error.message), `${error.code}: ${error.message}`);
    return true;
  };
}

async function write(path: string, text: string, mode = 0o600): Promise<string> {
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

test("readKeyFile() reads 64 digits, with or without 0x, in either case, with a line end", async () => {
  await withDirectory(async (directory) => {
    const texts = [digits, `0x${digits}`, `${digits}\n`, ` 0X${digits.toUpperCase()}\r\n`];
    for (const [index, text] of texts.entries()) {
      const path = await write(join(directory, `${index}.key`), text, index % 2 ? 0o400 : 0o600);
      deepEqual(await readKeyFile(path), ANVIL_KEY);
    }
  });
});

test("readKeyFile() refuses a file that anybody else can get at, and one behind a link", async () => {
  await withDirectory(async (directory) => {
    for (const mode of [0o640, 0o604, 0o644, 0o660, 0o777, 0o620, 0o601]) {
      const path = await write(join(directory, mode.toString(8)), digits, mode);
      const shown = new RegExp(`its mode is 0${mode.toString(8)}, .*chmod 600`);
      await rejects(readKeyFile(path), refusal("TooOpen", shown));
      await symlink(path, `${path}.link`);
      await rejects(readKeyFile(`${path}.link`), refusal("TooOpen", shown));
    }
    const good = await write(join(directory, "good"), digits);
    await symlink(good, join(directory, "link"));
    deepEqual(await readKeyFile(join(directory, "link")), ANVIL_KEY);
  });
});

test("readKeyFile() takes a credential of systemd that an access list lets the service read", async () => {
  await withDirectory(async (directory) => {
    const given = process.env["CREDENTIALS_DIRECTORY"];
    const key = await write(join(directory, "key"), digits, 0o440);
    const open = await write(join(directory, "open"), digits, 0o444);
    await mkdir(join(directory, "below"));
    const below = await write(join(directory, "below", "key"), digits, 0o440);
    try {
      await rejects(readKeyFile(key), refusal("TooOpen", /mode is 0440/));
      process.env["CREDENTIALS_DIRECTORY"] = `${directory}/`;
      deepEqual(await readKeyFile(key), ANVIL_KEY);
      await rejects(readKeyFile(open), refusal("TooOpen", /mode is 0444/));
      await rejects(readKeyFile(below), refusal("TooOpen", /mode is 0440/));
    } finally {
      if (given === undefined) delete process.env["CREDENTIALS_DIRECTORY"];
      else process.env["CREDENTIALS_DIRECTORY"] = given;
    }
  });
});

test("readKeyFile() says why there is nothing to read", async () => {
  await withDirectory(async (directory) => {
    const missing = join(directory, "missing");
    await rejects(readKeyFile(missing), refusal("Unreadable", /missing: there is no such file/));
    await symlink(missing, join(directory, "dangling"));
    await rejects(readKeyFile(join(directory, "dangling")), refusal("Unreadable", /no such file/));
    const folder = join(directory, "folder");
    await mkdir(folder, { mode: 0o700 });
    await rejects(readKeyFile(folder), refusal("Unreadable", /folder: it is a directory/));
    const large = await write(join(directory, "large"), digits.repeat(5000));
    await rejects(readKeyFile(large), refusal("Unreadable", /more than 262144 bytes/));
  });
});

test("readKeyFile() refuses what is no key, and repeats nothing of it", async () => {
  await withDirectory(async (directory) => {
    const texts = [
      "",
      "0x",
      digits.slice(1),
      `${digits}0`,
      `${digits.slice(0, 63)}g`,
      `${digits}\n${digits}`,
      `key: ${digits}`,
      `${digits.slice(0, 32)} ${digits.slice(32)}`,
    ];
    for (const text of texts) {
      const path = await write(join(directory, "bad"), text);
      await rejects(readKeyFile(path), refusal("Invalid", /bad: need 64 hexadecimal digits/));
    }
    const json = await write(join(directory, "json"), `{"key":"${digits}"}`);
    await rejects(readKeyFile(json), refusal("Invalid", /it holds JSON, as a keystore does/));
  });
});

test("a key in the place of a name is refused, and not repeated", async () => {
  for (const key of [digits, `0x${digits}`, `0X${digits.toUpperCase()}`]) {
    await rejects(readKeyFile(key), refusal("Invalid", /looks like a key itself/));
    await rejects(readPasswordFile(key), refusal("Invalid", /looks like a key itself/));
    throws(() => takeKeyFromEnvironment(key), refusal("Invalid", /need the name of an env/));
  }
});

test("takeKeyFromEnvironment() takes it away, whatever it is", () => {
  process.env["MONTANA_KEY"] = `0x${digits}`;
  deepEqual(takeKeyFromEnvironment(), ANVIL_KEY);
  ok(!("MONTANA_KEY" in process.env));
  throws(() => takeKeyFromEnvironment(), refusal("Unreadable", /MONTANA_KEY is not set/));
  process.env["SOME_KEY_2"] = `${digits}ff`;
  throws(
    () => takeKeyFromEnvironment("SOME_KEY_2"),
    refusal("Invalid", /variable SOME_KEY_2: need/),
  );
  ok(!("SOME_KEY_2" in process.env));
});

test("parseKey() overwrites nothing of what it was given", () => {
  const text = new TextEncoder().encode(digits);
  deepEqual(parseKey(text, "here"), ANVIL_KEY);
  deepEqual(text, new TextEncoder().encode(digits));
});

test("readPasswordFile() reads one line as it stands", async () => {
  await withDirectory(async (directory) => {
    const cases: [string, string][] = [["secret", "secret"], ["a b \n", "a b "], [
      "pässwörd\r\n",
      "pässwörd",
    ]];
    for (const [text, password] of cases) {
      deepEqual(await readPasswordFile(await write(join(directory, "good"), text)), password);
    }
    const refused: [string, number, string, RegExp][] = [
      ["", 0o600, "Invalid", /it is empty/],
      ["\n", 0o600, "Invalid", /it is empty/],
      ["one\ntwo\n", 0o600, "Invalid", /more than one line/],
      ["secret", 0o644, "TooOpen", /password file .*bad: its mode is 0644/],
    ];
    for (const [text, mode, code, words] of refused) {
      const path = await write(join(directory, "bad"), text, mode);
      await rejects(readPasswordFile(path), refusal(code, words));
    }
    const path = join(directory, "latin1");
    await writeFile(path, Uint8Array.of(0xe4, 0x0a), { mode: 0o600 });
    await rejects(readPasswordFile(path), refusal("Invalid", /it is not UTF-8/));
  });
});
