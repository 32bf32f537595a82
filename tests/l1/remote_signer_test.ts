import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { SignerError } from "../../src/errors.ts";
import type { UnsignedTransaction } from "../../src/ethereum.ts";
import { RemoteSigner, type RemoteSignerOptions } from "../../src/l1/remote_signer.ts";
import type { TlsFiles } from "../../src/l1/signer_request.ts";
import { signWith } from "../../src/l1/transaction.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { newAuthority } from "./certificates.ts";
import {
  type Reply,
  type SignerArguments,
  signRequested,
  startSigner,
  wrapped,
} from "./signer_server.ts";
import { ANVIL_ADDRESS, ANVIL_KEY, unsignedTransaction } from "./transactions.ts";

const plain: UnsignedTransaction = {
  chainId: 31337n,
  nonce: 7n,
  to: new Uint8Array(20).fill(0x42),
  input: Uint8Array.of(1, 2, 3),
  gas: 50_000n,
  fees: { maxFeePerGas: 30n, maxPriorityFeePerGas: 2n, maxFeePerBlobGas: 0n },
  blobHashes: [],
};
const blobs: UnsignedTransaction = {
  ...plain,
  fees: { ...plain.fees, maxFeePerBlobGas: 9n },
  blobHashes: [new Uint8Array(32).fill(1), new Uint8Array(32).fill(1, 1, 31)],
};
blobs.blobHashes[1]![0] = 1;

/** For `rejects`: the code, words of the message, the host and nothing else of the URL. */
function refusal(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    ok(error instanceof SignerError, String(error));
    ok(error.code === code && words.test(error.message), `${error.code}: ${error.message}`);
    doesNotMatch(error.message + JSON.stringify(error.details), /secret/);
    equal(error.isRetryable, code === "Unreachable");
    return true;
  };
}

function open(url: string, options: Partial<RemoteSignerOptions> = {}): Promise<RemoteSigner> {
  return RemoteSigner.open({ url, address: ANVIL_ADDRESS, timeoutMs: 5000, ...options });
}

/** Signs with a signer that answers in this way. */
async function signWhere(
  reply: (args: SignerArguments) => Reply | Promise<Reply>,
  transaction: UnsignedTransaction = plain,
  timeoutMs?: number,
) {
  await using server = await startSigner({ reply: (_, args) => reply(args) });
  const signer = await open(server.url, timeoutMs === undefined ? {} : { timeoutMs });
  return await signer.sign(transaction);
}

test("RemoteSigner has any transaction signed as the key itself would", async () => {
  await using server = await startSigner();
  const signer = await open(server.url);
  // viem takes nonces up to 2^53.
  const any = unsignedTransaction(6).filter(({ fees }) => fees.maxFeePerGas < 2n ** 90n);
  await fc.assert(
    fc.asyncProperty(any, async (transaction) => {
      deepEqual(await signer.sign(transaction), await signWith(ANVIL_KEY, transaction));
    }),
    { numRuns: 40 },
  );
});

test("RemoteSigner sends hashes of blobs, and both names of the input", async () => {
  await using server = await startSigner();
  const signer = await open(server.url);
  await signer.sign(plain);
  await signer.sign(blobs);
  const [first, second] = server.requests.map((each) => JSON.parse(each));
  equal(first.method, "eth_signTransaction");
  deepEqual(first.params, [{
    type: "0x2",
    from: toHex(ANVIL_ADDRESS),
    to: toHex(plain.to),
    gas: "0xc350",
    maxFeePerGas: "0x1e",
    maxPriorityFeePerGas: "0x2",
    value: "0x0",
    nonce: "0x7",
    input: "0x010203",
    data: "0x010203",
    accessList: [],
    chainId: "0x7a69",
  }]);
  deepEqual(second.params, [{
    ...first.params[0],
    type: "0x3",
    maxFeePerBlobGas: "0x9",
    blobVersionedHashes: blobs.blobHashes.map(toHex),
  }]);
});

test("RemoteSigner takes the bytes alone, beside the fields, and in the forms that travel", async () => {
  const expected = await signWith(ANVIL_KEY, blobs);
  const forms: ((raw: `0x${string}`) => unknown)[] = [
    (raw) => raw,
    (raw) => ({ raw, tx: { nonce: "0x8" } }),
    (raw) => wrapped(raw),
    (raw) => wrapped(raw, "0x01"),
    (raw) => ({ raw: wrapped(raw) }),
  ];
  for (const form of forms) {
    const reply = async (args: SignerArguments) => ({ result: form(await signRequested(args)) });
    deepEqual(await signWhere(reply, blobs), expected);
  }
});

test("RemoteSigner refuses whatever is another transaction, and says what differs", async () => {
  const changes: [object, RegExp, UnsignedTransaction?][] = [
    [{ nonce: 8 }, /transaction 7 of 0xf39.*: its nonce is 8, not 7/],
    [{ chainId: 1 }, /its chainId is 1, not 31337/],
    [{ to: toHex(ANVIL_ADDRESS) }, /its to is 0xf39.*, not 0x4242/],
    [{ gas: 50_001n }, /its gas is 50001, not 50000/],
    [{ maxFeePerGas: 31n }, /its maxFeePerGas is 31, not 30/],
    [{ maxPriorityFeePerGas: 3n }, /its maxPriorityFeePerGas is 3, not 2/],
    [{ data: "0x010204" }, /its input is another one/],
    [{ value: 1n }, /no signed transaction: .*sends 1 wei/],
    [{ accessList: [{ address: toHex(ANVIL_ADDRESS), storageKeys: [] }] }, /has an access list/],
    [
      { type: "eip2930", gasPrice: 30n, maxFeePerGas: undefined, maxPriorityFeePerGas: undefined },
      /its type is eip2930/,
    ],
    [{ maxFeePerBlobGas: 10n }, /its maxFeePerBlobGas is 10, not 9/, blobs],
    [{ blobVersionedHashes: [toHex(blobs.blobHashes[1]!)] }, /its blobHashes is 0x01/, blobs],
    [{ blobVersionedHashes: blobs.blobHashes.toReversed().map(toHex) }, /its blobHashes is/, blobs],
    // What a signer does that knows no blobs.
    [
      { type: "eip1559", blobVersionedHashes: undefined },
      /its maxFeePerBlobGas is 0, not 9/,
      blobs,
    ],
  ];
  for (const [change, words, transaction] of changes) {
    const reply = async (args: SignerArguments) => ({ result: await signRequested(args, change) });
    await rejects(signWhere(reply, transaction), refusal("WrongAnswer", words));
  }
});

test("RemoteSigner refuses the signature of another key", async () => {
  const other = privateKeyToAccount(generatePrivateKey());
  const reply = async (args: SignerArguments) => ({ result: await signRequested(args, {}, other) });
  const words = new RegExp(`it is signed by the key of ${other.address.toLowerCase()}`);
  await rejects(signWhere(reply), refusal("WrongAnswer", words));
});

test("RemoteSigner refuses what is no transaction at all", async () => {
  const good = toHex((await signWith(ANVIL_KEY, plain)).raw);
  const results = ["0x", "0x02", "0x03c0", "0x03ff", "0xzz", "", 7, null, true, [], {}, { raw: 7 }]
    .concat(good.slice(0, -2), `${good}00`, `0x03${good.slice(4)}`, `0x03c1${good.slice(4)}`);
  for (const result of results) {
    await rejects(signWhere(() => ({ result })), refusal("WrongAnswer", /no signed transaction/));
  }
  // Any one byte that differs.
  for (let at = 2; at < good.length; at += 2) {
    const byte = (parseInt(good.slice(at, at + 2), 16) ^ 1).toString(16).padStart(2, "0");
    const result = good.slice(0, at) + byte + good.slice(at + 2);
    await rejects(signWhere(() => ({ result })), refusal("WrongAnswer", /Cannot use what/));
  }
});

test("RemoteSigner tells what passes from what does not", async () => {
  const error = (code: number) => ({ error: { code, message: "no\nway" } });
  const cases: [Reply, string, RegExp][] = [
    [error(-32011), "Refused", /the signer at 127.0.0.1:\d+ answered -32011: no way/],
    [error(-32601), "Refused", /-32601/],
    [error(-32603), "Unreachable", /-32603/],
    [error(-32005), "Unreachable", /-32005/],
    [{ status: 500, body: "" }, "Unreachable", /HTTP status 500/],
    [{ status: 503, body: "<html>" }, "Unreachable", /HTTP status 503/],
    [{ status: 429, body: "" }, "Unreachable", /HTTP status 429/],
    [{ status: 502, body: JSON.stringify(error(-1)) }, "Unreachable", /-1: no way/],
    [{ status: 400, body: JSON.stringify(error(-32602)) }, "Refused", /-32602: no way/],
    [{ status: 401, body: "" }, "Refused", /HTTP status 401/],
    [{ status: 403, body: "Forbidden" }, "Refused", /HTTP status 403/],
    [{ status: 302, body: "" }, "Refused", /HTTP status 302/],
    [{ status: 200, body: "" }, "WrongAnswer", /answered something else/],
    [{ status: 200, body: "<html>" }, "WrongAnswer", /answered something else/],
    [{ status: 200, body: "[]" }, "WrongAnswer", /answered something else/],
    [{ status: 200, body: `{"id":0,"result":"0x"}` }, "WrongAnswer", /something else/],
    [{ status: 200, body: "x".repeat(5 * 1024 * 1024) }, "Unreachable", /more than 4194304 bytes/],
    ["hang up", "Unreachable", /Cannot ask the signer at 127.0.0.1/],
  ];
  for (const [reply, code, words] of cases) {
    await rejects(signWhere(() => reply), refusal(code, words));
  }
  await rejects(signWhere(() => "hang", plain, 100), refusal("Unreachable", /within 100 ms/));
});

test("RemoteSigner.open() asks for the address where none is given", async () => {
  await using server = await startSigner();
  const { url } = server;
  const signer = await RemoteSigner.open({ url });
  deepEqual(signer.address, ANVIL_ADDRESS);
  equal((await signer.sign(plain)).raw[0], 2);
  const cases: [unknown, RegExp][] = [
    [[], /it has 0 addresses; name the one/],
    [[toHex(ANVIL_ADDRESS), toHex(plain.to)], /it has 2 addresses/],
    [["0x12"], /answered no address/],
    ["0x12", /no list of them/],
  ];
  for (const [result, words] of cases) {
    await using other = await startSigner({ reply: () => ({ result }) });
    await rejects(RemoteSigner.open({ url: other.url }), refusal("WrongAnswer", words));
  }
});

test("RemoteSigner.open() refuses options that cannot be, and repeats no URL", async () => {
  const cases: [string, TlsFiles, RegExp][] = [
    ["secret", {}, /need one that begins with https/],
    ["ftp://secret", {}, /need one that begins with https/],
    ["https://me:secret@host/", {}, /a user name or password/],
    ["http://host/secret", { caPath: "ca" }, /certificates are of use with https/],
    ["https://host/secret", { certPath: "c" }, /only together/],
    ["https://host/secret", { keyPath: "c" }, /only together/],
  ];
  for (const [url, tls, words] of cases) {
    await rejects(open(url, { tls }), refusal("Invalid", words));
  }
});

test("RemoteSigner tells its address and host, and nothing else of itself", async () => {
  const signer = await open("https://host:1/secret-path?secret-query");
  const expected = `RemoteSigner ${toHex(ANVIL_ADDRESS)} at host:1`;
  equal(`${signer}`, expected);
  doesNotMatch(inspect(signer, { depth: 9, showHidden: true }), /secret/);
  deepEqual(JSON.parse(JSON.stringify(signer)), { address: toHex(ANVIL_ADDRESS), host: "host:1" });
});

test("RemoteSigner speaks TLS with a certificate of its own, and trusts nobody else", async () => {
  const authority = newAuthority("montana test");
  const [server, mine, stranger] = [
    authority.issue("signer"),
    authority.issue("batcher"),
    newAuthority("stranger").issue("batcher"),
  ];
  await withDirectory(async (directory) => {
    const file = async (name: string, text: string) => {
      await writeFile(join(directory, name), text, { mode: 0o600 });
      return join(directory, name);
    };
    const caPath = await file("ca.pem", authority.cert);
    const certPath = await file("cert.pem", mine.cert);
    const keyPath = await file("key.pem", mine.key);
    await using mutual = await startSigner({ tls: { ...server, ca: authority.cert } });
    const expected = await signWith(ANVIL_KEY, blobs);
    const signer = await open(mutual.url, { tls: { caPath, certPath, keyPath } });
    deepEqual(await signer.sign(blobs), expected);

    const signIn = async (tls: TlsFiles) => await (await open(mutual.url, { tls })).sign(blobs);
    const unreachable = refusal("Unreachable", /Cannot ask the signer at 127.0.0.1:\d+: \S/);
    const shownNone = refusal(
      "Unreachable",
      /it wants to be shown a certificate, and was shown none/,
    );
    await rejects(signIn({ caPath }), shownNone);
    await rejects(signIn({ certPath, keyPath }), unreachable);
    const other = {
      caPath,
      certPath: await file("other.pem", stranger.cert),
      keyPath: await file("other.key", stranger.key),
    };
    await rejects(signIn(other), unreachable);
    equal(mutual.requests.length, 1);

    // One that is renewed is taken up without a restart.
    await file("cert.pem", stranger.cert);
    await file("key.pem", stranger.key);
    await rejects(signer.sign(blobs), unreachable);
    await file("cert.pem", mine.cert);
    await file("key.pem", mine.key);
    deepEqual(await signer.sign(blobs), expected);

    await using simple = await startSigner({ tls: server });
    deepEqual(await (await open(simple.url, { tls: { caPath } })).sign(blobs), expected);
    await rejects((await open(simple.url)).sign(blobs), unreachable);

    await writeFile(join(directory, "open.pem"), mine.key, { mode: 0o644 });
    const tooOpen = { caPath, certPath, keyPath: join(directory, "open.pem") };
    await rejects(signIn(tooOpen), refusal("TooOpen", /key of the certificate .*mode is 0644/));
    const missing = { caPath: join(directory, "none") };
    await rejects(signIn(missing), refusal("Unreadable", /certificates to trust .*no such file/));
  });
});
