import { doesNotMatch, rejects, strictEqual as equal } from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { JwtSecret } from "../../src/l2/jwt.ts";
import type { Clock } from "../../src/ports.ts";
import { withDirectory } from "../helpers.ts";

const NOW_SECONDS = 1_700_000_000;
const clock: Clock = { now: () => 1000 * NOW_SECONDS, sleep: () => Promise.resolve() };
const BYTES = Uint8Array.from({ length: 32 }, (_, index) => index + 100);
const DIGITS = Buffer.from(BYTES).toString("hex");

const secret = () => JwtSecret.from(BYTES.slice(), clock);

/** Made without the package that the source takes. */
function tokenOf(
  claims: unknown,
  { header = { alg: "HS256", typ: "JWT" } as object, key = BYTES, hash = "sha256" } = {},
): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac(hash, key).update(signed).digest("base64url")}`;
}

const codeOf = async (header: string | undefined) =>
  await (await secret()).check(header).then(() => "let in", (error) => error.code);

test("JwtSecret makes the token that others make of the same secret and time", async () => {
  equal(await (await secret()).authorization(), `Bearer ${tokenOf({ iat: NOW_SECONDS })}`);
});

test("JwtSecret lets in what was issued up to 60 s before and after, and nothing beyond", async () => {
  for (
    const [seconds, expected] of [
      ...[[0, "let in"], [-60, "let in"], [60, "let in"]] as const,
      ...[[-61, "TooOld"], [61, "TooNew"], [-1e6, "TooOld"], [1e9, "TooNew"]] as const,
    ]
  ) {
    equal(
      await codeOf(`Bearer ${tokenOf({ iat: NOW_SECONDS + seconds })}`),
      expected,
      `${seconds}`,
    );
  }
});

test("JwtSecret.check() names what is wrong with a token", async () => {
  const now = { iat: NOW_SECONDS };
  const none = tokenOf(now, { header: { alg: "none" } });
  for (
    const [header, expected] of [
      [undefined, "Missing"],
      ["", "Malformed"],
      [`Basic ${tokenOf(now)}`, "Malformed"],
      ["Bearer", "Malformed"],
      ["Bearer not.a.token", "Malformed"],
      ["Bearer a.b", "Malformed"],
      [`Bearer ${"a".repeat(5000)}`, "Malformed"],
      [`Bearer ${tokenOf(now)} more`, "Malformed"],
      [`Bearer ${tokenOf("text")}`, "Malformed"],
      [`Bearer ${none}`, "WrongAlgorithm"],
      [`Bearer ${none.replace(/\.[^.]*$/, ".")}`, "WrongAlgorithm"],
      [
        `Bearer ${tokenOf(now, { header: { alg: "HS512" }, hash: "sha512" })}`,
        "WrongAlgorithm",
      ],
      [`Bearer ${tokenOf(now, { header: { alg: "RS256" } })}`, "WrongAlgorithm"],
      [`Bearer ${tokenOf(now, { key: new Uint8Array(32) })}`, "WrongSignature"],
      [`Bearer ${tokenOf(now).replace(/\.[^.]*$/, ".")}`, "WrongSignature"],
      [`Bearer ${tokenOf({})}`, "NoTime"],
      [`Bearer ${tokenOf({ iat: "1700000000" })}`, "NoTime"],
      [`Bearer ${tokenOf({ iat: null })}`, "NoTime"],
      [`Bearer ${tokenOf({ ...now, exp: NOW_SECONDS - 100 })}`, "TooOld"],
      [`Bearer ${tokenOf({ ...now, nbf: NOW_SECONDS + 100 })}`, "TooNew"],
      [`bearer ${tokenOf({ ...now, id: "cl", clv: "1.0" })}`, "let in"],
    ] as const
  ) {
    equal(await codeOf(header), expected, header);
  }
});

test("JwtSecret overwrites the bytes it is given, and shows them nowhere", async () => {
  const bytes = BYTES.slice();
  const made = await JwtSecret.from(bytes, clock);
  equal(bytes.every((byte) => byte === 0), true);
  const token = tokenOf({ iat: 1, note: "in the token" });
  const error = await made.check(`Bearer ${token}`).then(undefined, (error) => error);
  for (const shown of [inspect(made, { depth: 9 }), inspect(error, { depth: 9 })]) {
    doesNotMatch(shown, new RegExp(`${DIGITS}|100, *101|in the token|${token.slice(-20)}`));
  }
  await rejects(JwtSecret.from(new Uint8Array(31), clock), {
    code: "Invalid",
    message: "Cannot use a JWT secret: need 32 bytes, have 31",
  });
});

test("JwtSecret.read() takes a file of 64 digits that its owner alone may read", async () => {
  await withDirectory(async (directory) => {
    const path = join(directory, "jwt.hex");
    for (const text of [DIGITS, `0x${DIGITS}\n`, ` 0X${DIGITS.toUpperCase()}\r\n`]) {
      await writeFile(path, text, { mode: 0o600 });
      const read = await JwtSecret.read(path, clock);
      equal(await read.authorization(), `Bearer ${tokenOf({ iat: NOW_SECONDS })}`);
    }
    for (const text of ["", DIGITS.slice(1), `${DIGITS}0`, `0x0x${DIGITS}`, `{"a":"${DIGITS}"}`]) {
      await writeFile(path, text);
      const error = await JwtSecret.read(path, clock).then(undefined, (error) => error);
      equal(error.code, "Invalid");
      equal(
        error.message,
        `Cannot read a JWT secret from the JWT secret file ${path}: need 64 hexadecimal digits, and nothing else`,
      );
    }
    await chmod(path, 0o640);
    await rejects(JwtSecret.read(path, clock), { code: "TooOpen" });
    await rejects(JwtSecret.read(`${path}.not`, clock), { code: "Unreadable" });
    await rejects(JwtSecret.read(DIGITS, clock), (error: Error) => {
      doesNotMatch(inspect(error), new RegExp(DIGITS));
      return true;
    });
  });
});
