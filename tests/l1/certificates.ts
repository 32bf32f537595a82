/**
 * Certificates for tests of TLS, made anew each time, so that no key of one lies anywhere: X.509 in DER by
 * hand, as far as one for 127.0.0.1 needs it.
 *
 * @module
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** In PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Whoever vouches for others. */
export interface Authority extends Certificate {
  /** One for 127.0.0.1, as a server or a client shows. */
  issue(name: string): Certificate;
}

const ECDSA_WITH_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));

/** A new one. */
export function newAuthority(name: string): Authority {
  const { publicKey, privateKey } = newPair();
  // Basic constraints, critical: it may vouch for others.
  const isAuthority = sequence(
    oid(0x55, 0x1d, 0x13),
    der(1, Uint8Array.of(0xff)),
    octets(sequence(der(1, Uint8Array.of(0xff)))),
  );
  const cert = certify(name, publicKey, name, privateKey, isAuthority);
  return {
    cert,
    key: pemOf(privateKey),
    issue: (subject) => {
      const pair = newPair();
      // Alternative names: an IP address.
      const address = der(0x87, Uint8Array.of(127, 0, 0, 1));
      const names = sequence(oid(0x55, 0x1d, 0x11), octets(sequence(address)));
      const issued = certify(subject, pair.publicKey, name, privateKey, names);
      return { cert: issued, key: pemOf(pair.privateKey) };
    },
  };
}

function newPair(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function pemOf(privateKey: KeyObject): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** RFC 5280, 4.1. */
function certify(
  subject: string,
  publicKey: KeyObject,
  issuer: string,
  issuerKey: KeyObject,
  extension: Uint8Array,
): string {
  const serial = randomBytes(8);
  serial[0] = 1;
  const version = der(0xa0, der(2, Uint8Array.of(2)));
  const validity = sequence(time("200101000000Z"), time("491231000000Z"));
  const body = sequence(
    version,
    der(2, serial),
    ECDSA_WITH_SHA256,
    nameOf(issuer),
    validity,
    nameOf(subject),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(extension)),
  );
  const signature = sign("sha256", body, issuerKey);
  const whole = sequence(body, ECDSA_WITH_SHA256, der(3, Uint8Array.of(0, ...signature)));
  const lines = Buffer.from(whole).toString("base64").match(/.{1,64}/g)!.join("\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function nameOf(commonName: string): Uint8Array {
  const text = der(0x0c, new TextEncoder().encode(commonName));
  return sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), text)));
}

function time(text: string): Uint8Array {
  return der(0x17, new TextEncoder().encode(text));
}

function oid(...bytes: readonly number[]): Uint8Array {
  return der(6, Uint8Array.from(bytes));
}

function octets(content: Uint8Array): Uint8Array {
  return der(4, content);
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return der(0x30, Buffer.concat(parts));
}

/** Tag, length, content. */
function der(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content;
  const head = length < 0x80
    ? [tag, length]
    : length < 0x100
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 0xff];
  return Uint8Array.from([...head, ...content]);
}
