/**
 * Tokens of the Engine API: `Authorization: Bearer …`, signed with HS256 and a secret of 32 bytes that
 * both sides have. Only `iat`, the time of issue, is asked for; each request has a token of its own.
 * (https://github.com/ethereum/execution-apis/blob/main/src/engine/authentication.md)
 *
 * @module
 */
import { TokenError, type TokenErrorCode } from "../engine.ts";
import { SignerError } from "../errors.ts";
import { parseSecret, readSecretFile } from "../l1/key_file.ts";
import type { Clock } from "../ports.ts";
import { leaveMemoryOutOfCores } from "../runtime.ts";
import { jose } from "./deps.ts";

/** How far the clocks of both sides may be apart. */
export const JWT_TOLERANCE_SECONDS = 60;

/** A token has some 110 characters; a consensus client may add its name. */
const MAX_TOKEN_CHARACTERS = 4096;
const SECRET_BYTES = 32;
const ALGORITHM = "HS256";

/**
 * The secret of both sides, which makes tokens and looks at them. The bytes cannot be had back from it.
 *
 * @example
 * ```ts
 * import { JwtSecret, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const bytes = crypto.getRandomValues(new Uint8Array(32));
 * const ours = await JwtSecret.from(bytes.slice(), systemClock);
 * const theirs = await JwtSecret.from(bytes, systemClock);
 * await theirs.check(await ours.authorization());
 * const error = await theirs.check(undefined).then(undefined, (error) => error);
 * if (error.code !== "Missing") throw new Error("who has no token is let in");
 * ```
 */
export class JwtSecret {
  readonly #key: CryptoKey;
  readonly #clock: Clock;

  private constructor(key: CryptoKey, clock: Clock) {
    this.#key = key;
    this.#clock = clock;
  }

  /**
   * @param secret 32 bytes, which are overwritten
   * @throws {SignerError} `Invalid` where there are not 32
   */
  static async from(secret: Uint8Array, clock: Clock): Promise<JwtSecret> {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const usages: KeyUsage[] = ["sign", "verify"];
    const bytes = Uint8Array.from(secret);
    try {
      mustBeWhole(bytes);
      return new JwtSecret(
        await crypto.subtle.importKey("raw", bytes, algorithm, false, usages),
        clock,
      );
    } finally {
      bytes.fill(0);
      secret.fill(0);
    }
  }

  /**
   * Reads the file that both clients are given: 64 hexadecimal digits on one line, with or without `0x`,
   * and nobody but its owner may read it. From then on a core file of this process leaves its memory out.
   *
   * @throws {SignerError} `Unreadable`, `TooOpen`, `Invalid`
   */
  static async read(path: string, clock: Clock): Promise<JwtSecret> {
    await leaveMemoryOutOfCores();
    const text = await readSecretFile("the JWT secret file", path);
    try {
      const secret = parseSecret(text, "a JWT secret", `the JWT secret file ${path}`);
      return await JwtSecret.from(secret, clock);
    } finally {
      text.fill(0);
    }
  }

  /** The header `authorization` of a request that is sent now. */
  async authorization(): Promise<string> {
    const { SignJWT } = await jose();
    const token = new SignJWT({ iat: Math.floor(this.#nowSeconds()) });
    return `Bearer ${await token.setProtectedHeader({ alg: ALGORITHM, typ: "JWT" }).sign(
      this.#key,
    )}`;
  }

  /**
   * Resolves where a request may be answered.
   *
   * @param header `authorization`, as it came
   * @throws {TokenError} every code
   */
  async check(header: string | undefined): Promise<void> {
    const [, token] = /^Bearer +(\S+) *$/i.exec(header ?? "") ?? [];
    if (token === undefined) {
      const have = header === undefined
        ? "there is no header authorization"
        : "it is no Bearer token";
      throw refuse(header === undefined ? "Missing" : "Malformed", have);
    }
    if (token.length > MAX_TOKEN_CHARACTERS) {
      throw refuse("Malformed", `it has more than ${MAX_TOKEN_CHARACTERS} characters`);
    }
    const nowSeconds = this.#nowSeconds();
    const { iat } = await this.#verified(token, nowSeconds);
    const ageSeconds = nowSeconds - iat;
    if (Math.abs(ageSeconds) <= JWT_TOLERANCE_SECONDS) return;
    const away = `${Math.round(Math.abs(ageSeconds))} s ${ageSeconds > 0 ? "ago" : "from now"}`;
    throw refuse(
      ageSeconds > 0 ? "TooOld" : "TooNew",
      `it was issued (iat) ${away}, and ${JWT_TOLERANCE_SECONDS} s are the most; look at both clocks`,
      { iat, ageSeconds: Math.round(ageSeconds) },
    );
  }

  async #verified(token: string, nowSeconds: number): Promise<{ iat: number }> {
    const { jwtVerify } = await jose();
    const options = {
      algorithms: [ALGORITHM],
      currentDate: new Date(1000 * nowSeconds),
      clockTolerance: JWT_TOLERANCE_SECONDS,
      requiredClaims: ["iat"],
    };
    try {
      const { payload } = await jwtVerify(token, this.#key, options);
      if (typeof payload.iat !== "number") throw refuse("NoTime", "its iat is no number");
      return { iat: payload.iat };
    } catch (error) {
      if (error instanceof TokenError) throw error;
      // Not as a cause, and not in its words: they may hold what is in the token.
      throw refusal(error);
    }
  }

  #nowSeconds(): number {
    return this.#clock.now() / 1000;
  }
}

function mustBeWhole(secret: Uint8Array): void {
  if (secret.length === SECRET_BYTES) return;
  throw new SignerError(
    "Invalid",
    `Cannot use a JWT secret: need ${SECRET_BYTES} bytes, have ${secret.length}`,
  );
}

/** By the codes of jose. */
function refusal(error: unknown): TokenError {
  const { code, claim } = error as { readonly code?: string; readonly claim?: string };
  switch (code) {
    case "ERR_JOSE_ALG_NOT_ALLOWED":
      return refuse("WrongAlgorithm", `it is not signed with ${ALGORITHM}`);
    case "ERR_JWS_SIGNATURE_VERIFICATION_FAILED":
      return refuse("WrongSignature", "it is signed with another secret; both need the same file");
    case "ERR_JWT_EXPIRED":
      return refuse("TooOld", "its own time (exp) is over");
    case "ERR_JWT_CLAIM_VALIDATION_FAILED":
      if (claim === "nbf") return refuse("TooNew", "its own time (nbf) has not begun");
      return refuse("NoTime", "it does not say when it was issued (iat)");
    default:
      return refuse("Malformed", "it is no JSON Web Token");
  }
}

function refuse(
  code: TokenErrorCode,
  why: string,
  details: Readonly<Record<string, number>> = {},
): TokenError {
  return new TokenError(code, `Cannot let a request in by its token: ${why}`, { details });
}
