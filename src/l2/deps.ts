/**
 * The packages of the L2 edges that `l1/deps.ts` does not have, and the only file here that names them.
 * Each is loaded on first use, and described here as far as it is used.
 *
 * @module
 */
import { loadPackage } from "../runtime.ts";

/** jose, as far as it is used here. */
export interface Jose {
  readonly SignJWT: new (claims: Record<string, number>) => JoseToken;
  jwtVerify(
    token: string,
    key: CryptoKey,
    options: {
      readonly algorithms: string[];
      readonly currentDate: Date;
      readonly clockTolerance: number;
      readonly requiredClaims: string[];
    },
  ): Promise<{ readonly payload: { readonly iat?: number } }>;
}

/** A token that is made. */
export interface JoseToken {
  setProtectedHeader(header: { readonly alg: string; readonly typ: string }): JoseToken;
  sign(key: CryptoKey): Promise<string>;
}

/** JSON Web Tokens. */
export function jose(): Promise<Jose> {
  return loadPackage(import.meta.url, () => import("jose"), "npm:jose@6.2.17");
}
