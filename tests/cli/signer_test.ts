import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  match,
  ok,
  strictEqual as equal,
} from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, open, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { newAuthority } from "../l1/certificates.ts";
import { type SignerArguments, signRequested, startSigner } from "../l1/signer_server.ts";
import { ANVIL_ADDRESS, ANVIL_KEY } from "../l1/transactions.ts";
import { makeKeystore } from "../../src/l1/keystore.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { halfOf } from "./half.ts";
import {
  failed,
  inPairs,
  type Outcome,
  run,
  type RunOptions,
  start,
  succeeded,
  textOf,
} from "./montana.ts";
import { filesIn } from "./traps.ts";

const address = toHex(ANVIL_ADDRESS);
const digits = toHex(ANVIL_KEY).slice(2);
const password = "correct horse battery staple";

/** Runs in a directory with a key, a keystore, and their password. */
async function withKeys(action: (cwd: string) => Promise<void>): Promise<void> {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "key"), digits + "\n", { mode: 0o600 });
    await writeFile(join(cwd, "keystore"), await makeKeystore(ANVIL_KEY, password, { n: 2 }));
    await writeFile(join(cwd, "password"), password + "\n", { mode: 0o600 });
    await action(cwd);
  });
}

/** Nothing of a key or a password is on either stream. */
function holdsNoSecret(outcome: Outcome, secret = digits): void {
  const said = (textOf(outcome) + outcome.stderr).toLowerCase();
  for (let at = 0; at + 16 <= secret.length; at += 8) {
    ok(!said.includes(secret.slice(at, at + 16)), said);
  }
  for (const each of [password, "horse", "secret-path", "secret-query"]) {
    ok(!said.includes(each), said);
  }
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

test("montana signer new writes a key or a keystore that only its owner can read", async () => {
  await withKeys(async (cwd) => {
    const bare = await run("signer new --out new.key", { cwd });
    const first = succeeded(bare).trim();
    match(first, /^0x[0-9a-f]{40}$/);
    const written = await readFile(join(cwd, "new.key"), "utf8");
    match(written, /^[0-9a-f]{64}\n$/);
    holdsNoSecret(bare, written.trim());
    equal(succeeded(await run("signer address --key-file new.key", { cwd })).trim(), first);

    const flags = "signer new --out new.json --password-file password --json";
    const { address, ...rest } = JSON.parse(succeeded(await run(flags, { cwd })));
    deepEqual(rest, { path: "new.json", form: "keystore" });
    ok(address !== first);
    const open = "signer address --keystore new.json --password-file password --json";
    deepEqual(JSON.parse(succeeded(await run(open, { cwd }))), { address });
    for (const name of ["new.key", "new.json"]) equal(await modeOf(join(cwd, name)), 0o600);
    deepEqual(filesIn(cwd), ["key", "keystore", "new.json", "new.key", "password"]);
  });
});

test("montana signer never writes over a file, not through a link either", async () => {
  await withKeys(async (cwd) => {
    await symlink("key", join(cwd, "link"));
    await symlink("nothing", join(cwd, "dangling"));
    for (const name of ["key", "link", "dangling"]) {
      const why = new RegExp(`Cannot write the key to ${name}: it exists already`);
      failed(await run(`signer new --out ${name}`, { cwd }), 1, why);
      failed(await run(`signer import --key-file key --out ${name}`, { cwd }), 1, why);
    }
    equal(await readFile(join(cwd, "key"), "utf8"), digits + "\n");
    deepEqual(filesIn(cwd), ["dangling", "key", "keystore", "link", "password"]);
    failed(await run("signer new --out no/where", { cwd }), 1, /no\/where: there is no such/);
  });
});

test("montana signer import takes a key over from everywhere", async () => {
  await withKeys(async (cwd) => {
    const take = async (source: string, out: string, options: RunOptions = {}) => {
      const outcome = await run(`signer import ${source} --out ${out}`, { cwd, ...options });
      equal(succeeded(outcome).trim(), address);
      holdsNoSecret(outcome);
      equal(await modeOf(join(cwd, out.split(" ")[0]!)), 0o600);
      return outcome;
    };
    await take("--keystore keystore --password-file password", "a.key");
    equal(await readFile(join(cwd, "a.key"), "utf8"), digits + "\n");
    await take("--key-file -", "b.key", { stdin: `0x${digits.toUpperCase()}\n` });
    const { stderr } = await take("--key-env SOME_KEY", "c.key", { env: { SOME_KEY: digits } });
    match(stderr, /^warning: a key in the environment is seen by/);
    const { stderr: quiet } = await take("--key-file key", "d --out-password-file password");
    equal(quiet, "");
    const { version, crypto } = JSON.parse(await readFile(join(cwd, "d"), "utf8"));
    deepEqual([version, crypto.kdf, crypto.kdfparams.n], [3, "scrypt", 262_144]);
    const check = "signer check --keystore d --password-file password --json";
    equal(JSON.parse(succeeded(await run(check, { cwd }))).address, address);
  });
});

test("montana signer warns of a signer that is asked over http on another machine", async () => {
  const asked = async (url: string) =>
    (await run(`signer address --signer-url ${url} --signer-timeout 300ms`)).stderr;
  for (
    const url of ["http://signer.invalid:1", "http://192.0.2.1:1", "http://127.evil.invalid:1"]
  ) {
    match(await asked(url), /^warning: --signer-url is http to another machine/);
  }
  for (
    const url of [
      "http://127.0.0.1:1",
      "http://localhost:1",
      "http://[::1]:1",
      "https://signer.invalid",
    ]
  ) {
    doesNotMatch(await asked(url), /warning/);
  }
});

test("montana signer check has both kinds of transaction signed", async () => {
  await withKeys(async (cwd) => {
    await using server = await startSigner();
    const flags = [
      "--key-file key",
      "--key-env",
      "--keystore keystore --password-file password",
      `--signer-url ${server.url}`,
      `--signer-url ${server.url} --signer-address ${address}`,
    ];
    for (const flag of flags) {
      const outcome = await run(`signer check ${flag}`, { cwd, env: { MONTANA_KEY: digits } });
      const text = `address   ${address}\nEIP-1559  signed\nEIP-4844  signed\n`;
      equal(succeeded(outcome), text);
      holdsNoSecret(outcome);
    }
    const asked = server.requests.map((each) => JSON.parse(each).params[0]).filter(Boolean);
    equal(asked.length, 4);
    for (const { nonce, maxFeePerGas, value, to, chainId } of asked) {
      deepEqual([nonce, maxFeePerGas, value, to, chainId], [
        "0x1fffffffffffff",
        "0x0",
        "0x0",
        address,
        "0x1",
      ]);
    }
    const inbox = `0x${"42".repeat(20)}`;
    const narrow = `--da calldata --chain-id 900 --inbox ${inbox} --json`;
    const outcome = await run(`signer check --signer-url ${server.url} ${narrow}`, { cwd });
    deepEqual(JSON.parse(succeeded(outcome)), {
      ok: true,
      address,
      signs: [{ type: "EIP-1559", ok: true }],
    });
    const { to, chainId } = JSON.parse(server.requests.at(-1)!).params[0];
    deepEqual([to, chainId], [inbox, "0x384"]);
  });
});

test("montana signer check tells of a signer that answers wrongly, or not at all", async () => {
  const signAll = (change: object) => async (_: string, args: SignerArguments) => ({
    result: await signRequested(args, change),
  });
  await using wrong = await startSigner({ reply: signAll({ nonce: 1 }) });
  // As web3signer does, which knows no blobs.
  const unaware = signAll({ type: "eip1559", blobVersionedHashes: undefined });
  await using blind = await startSigner({ reply: unaware });
  await using refuses = await startSigner({
    reply: () => ({ error: { code: -32011, message: "to address not authorized" } }),
  });
  await using busy = await startSigner({ reply: () => ({ status: 503, body: "" }) });
  await using hangs = await startSigner({ reply: () => "hang" });
  const check = (url: string, rest = "") =>
    run(`signer check --signer-url ${url} --signer-address ${address} --da calldata ${rest}`);
  failed(await check(wrong.url), 1, /WrongAnswer: .* its nonce is 1, not 9007199254740991/);
  failed(await check(refuses.url), 1, /Refused: .*answered -32011: to address not authorized/);
  failed(await check(busy.url), 75, /Unreachable: .*HTTP status 503/);
  failed(await check(hangs.url, "--signer-timeout 200ms"), 75, /no answer within 200 ms/);
  failed(
    await check("http://127.0.0.1:1/secret-path"),
    75,
    /signer at 127.0.0.1:1: the connection was refused/,
  );

  const half = await run(`signer check --signer-url ${blind.url} --signer-address ${address}`);
  equal(half.code, 1);
  match(textOf(half), /EIP-1559 {2}signed\nEIP-4844 {2}WrongAnswer: /);
  const asJson = await run(
    `signer check --signer-url ${blind.url} --signer-address ${address} --json`,
  );
  const { ok: isGood, signs } = JSON.parse(textOf(asJson));
  deepEqual([asJson.code, isGood, signs[0].ok, signs[1].ok], [1, false, true, false]);
  for (const outcome of [half, asJson]) holdsNoSecret(outcome);
});

test("montana signer check shows a certificate to the signer", async () => {
  const authority = newAuthority("montana test");
  const [server, mine] = [authority.issue("signer"), authority.issue("batcher")];
  await using signer = await startSigner({ tls: { ...server, ca: authority.cert } });
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "ca.pem"), authority.cert);
    await writeFile(join(cwd, "me.pem"), mine.cert);
    await writeFile(join(cwd, "me.key"), mine.key, { mode: 0o600 });
    const flags = `signer check --signer-url ${signer.url} --signer-ca ca.pem`;
    const outcome = await run(`${flags} --signer-cert me.pem --signer-key me.key`, { cwd });
    match(succeeded(outcome), new RegExp(`${address}\nEIP-1559  signed\nEIP-4844  signed`));
    failed(
      await run(flags, { cwd }),
      75,
      /Unreachable: Cannot ask the signer at 127.0.0.1:\d+: \S/,
    );
    await chmod(join(cwd, "me.key"), 0o640);
    const open = await run(`${flags} --signer-cert me.pem --signer-key me.key`, { cwd });
    failed(open, 78, /TooOpen: .*me.key: its mode is 0640/);
  });
});

test("montana signer tells no key and no password, whatever goes wrong", async () => {
  await withKeys(async (cwd) => {
    const file = async (name: string, text: string, mode = 0o600) => {
      await writeFile(join(cwd, name), text);
      await chmod(join(cwd, name), mode);
    };
    await file("open", digits, 0o644);
    await file("short", digits.slice(1));
    await file("long", `${digits}\n${digits}`);
    await file("wrong", "correct horse battery stable");
    await file("lines", `${password}\n${password}`);
    await file("shown", password, 0o604);
    await file("json", `{"crypto":"${digits}","version":3}`);
    await file("broken", `{"crypto":{"ciphertext":"${digits}`);
    await file("order", "f".repeat(64));
    const pass = "--password-file password";
    const cases: [string, number, RegExp, RunOptions?][] = [
      ["address --key-file open", 78, /TooOpen: .*open: its mode is 0644/],
      ["address --key-file short", 78, /Invalid: .*short: need 64 hexadecimal digits/],
      ["address --key-file long", 78, /Invalid: .*long: need 64 hexadecimal digits/],
      ["address --key-file order", 78, /Invalid: .*order of secp256k1/],
      ["address --key-file none", 78, /Unreadable: .*none: there is no such file/],
      ["address --key-file json", 78, /Invalid: .*json: it holds JSON, as a keystore does/],
      ["address --key-file -", 78, /standard input: need 64/, { stdin: `${digits}${digits}` }],
      [`address --key-file ${digits}`, 78, /Invalid: .*looks like a key itself/],
      [`address --key-file 0x${digits}`, 78, /Invalid: .*looks like a key itself/],
      [`address --keystore ${digits} ${pass}`, 78, /Invalid: .*looks like a key itself/],
      [`new --out ${digits}`, 78, /Invalid: .*looks like a key itself/],
      [
        `import --key-file key --out k --out-password-file ${digits}`,
        78,
        /looks like a key itself/,
      ],
      [`address --key-env ${digits}`, 78, /Invalid: .*need the name of an environment variable/],
      ["address --key-env", 78, /Invalid: .*MONTANA_KEY: need 64/, {
        env: { MONTANA_KEY: `${digits} ` + digits },
      }],
      ["address --key-env NO_KEY", 78, /Unreadable: .*NO_KEY is not set/],
      [`address --signer-url ${digits}`, 78, /Invalid: .*begins with https/],
      [`address --signer-url https://${digits}@host`, 78, /Invalid: .*a user name or password/],
      [`address --signer-url http://127.0.0.1:1/${digits}`, 75, /Unreachable: .*127.0.0.1:1/],
      [`address --signer-url http://a --signer-address 0x${digits}`, 2, /not repeated here/],
      [`check --key-file key --inbox ${digits}`, 2, /not repeated here/],
      [`address --keystore keystore --password-file wrong`, 78, /Password: Cannot open/],
      [`address --keystore keystore --password-file lines`, 78, /Invalid: .*more than one line/],
      [`address --keystore keystore --password-file shown`, 78, /TooOpen: .*its mode is 0604/],
      [`address --keystore keystore --password-file none`, 78, /Unreadable: .*none: there is no/],
      [`address --keystore json ${pass}`, 78, /Invalid: .*its cipher is undefined/],
      [`address --keystore broken ${pass}`, 78, /Invalid: .*it is no JSON object/],
      [`address --keystore key ${pass}`, 78, /Invalid: .*keystore key: /],
      [`address --private-key=${digits}`, 2, /unknown option .*not repeated here/],
      [`address --private-key ${digits}`, 2, /unknown option '--private-key'/],
      [`address ${digits}`, 2, /too many arguments/],
      [`0x${digits}`, 2, /error: /],
    ];
    await inPairs(cases, async ([args, code, why, options]) => {
      const outcome = await run(`signer ${args}`, { cwd, ...options });
      failed(outcome, code, why);
      holdsNoSecret(outcome);
      equal(textOf(outcome), "");
    });
    deepEqual(filesIn(cwd).filter((name) => /^k$|tmp/.test(name)), []);
  });
});

test("montana signer wants exactly one who signs, and what belongs to it", async () => {
  const url = "--signer-url https://127.0.0.1:1";
  const cases: [string, RegExp][] = [
    ["address", /name who does, by one of --key-file, --keystore, --key-env, --signer-url/],
    ["address --key-file a --key-env", /Cannot use --key-file, --key-env together/],
    [`address --key-file a ${url}`, /Cannot use --key-file, --signer-url together/],
    ["address --keystore a", /Cannot use --keystore without --password-file/],
    ["address --key-file a --password-file b", /--password-file without --keystore/],
    [`address ${url} --signer-cert a`, /--signer-cert without --signer-key/],
    [`address ${url} --signer-key a`, /--signer-key without --signer-cert/],
    ["address --key-file a --signer-ca b", /--signer-ca without --signer-url/],
    ["address --key-file a --signer-timeout 1s", /--signer-timeout without --signer-url/],
    [`address ${url} --signer-timeout 1`, /Cannot use --signer-timeout "1": need a time/],
    ["check --key-file a --da files", /Cannot use --da "files": need one of/],
    ["check --key-file a --chain-id 0", /Cannot use --chain-id "0"/],
    ["import --out a", /name who does/],
    ["new", /required option '--out <file>'/],
  ];
  await inPairs(halfOf(cases), async ([args, why]) => failed(await run(`signer ${args}`), 2, why));
  failed(await run(["signer", "address", "--key-file", ""]), 2, /--key-file "": it names nothing/);
  failed(await run(["signer", "new", "--out", ""]), 2, /--out "": it names nothing/);
});

test("montana signer puts no key on standard output, nor into a file called -", async () => {
  await withKeys(async (cwd) => {
    for (const command of ["new --out -", "import --key-file key --out -"]) {
      const outcome = await run(`signer ${command}`, { cwd });
      failed(outcome, 2, /Cannot use --out -: a key does not go to standard output/);
      equal(outcome.stdout.length, 0);
      holdsNoSecret(outcome);
    }
    ok(!filesIn(cwd).includes("-"), filesIn(cwd).join());
    succeeded(await run("signer new --out ./-", { cwd }));
    ok(filesIn(cwd).includes("-"), filesIn(cwd).join());
  });
});

test("montana batcher and signer end with 78 where the key they are given cannot be used", async () => {
  await withKeys(async (cwd) => {
    await writeFile(join(cwd, "l2.jsonl"), "");
    await chmod(join(cwd, "key"), 0o644);
    const l1 = "--l1 http://127.0.0.1:1 --inbox 0xff00000000000000000000000000000000008453";
    for (const command of [`batcher --l2 l2.jsonl ${l1}`, "signer address", "signer check"]) {
      failed(await run(`${command} --key-file key`, { cwd }), 78, /TooOpen: .*its mode is 0644/);
      failed(await run(`${command} --key-file none`, { cwd }), 78, /Unreadable: .*no such file/);
    }
  });
});

const CORE_TEST = "montana signer leaves the key out of a core file";

/** For `{ skip }`: what keeps this machine from writing core files where we can look at them. */
function noCores(): string | false {
  const pattern = "/proc/sys/kernel/core_pattern";
  const reason = process.platform !== "linux"
    ? "this is no Linux"
    : /[|/]/.test(readFileSync(pattern, "utf8"))
    ? `${pattern} sends core files elsewhere`
    : spawnSync("sh", ["-c", "ulimit -c unlimited"]).status !== 0
    ? "core files are not allowed here"
    : false;
  if (reason !== false) process.stdout.write(`skipped: ${CORE_TEST}: ${reason}\n`);
  return reason;
}

test(CORE_TEST, { skip: noCores() }, async () => {
  await withKeys(async (cwd) => {
    equal(spawnSync("mkfifo", ["-m", "600", join(cwd, "pipe")]).status, 0);
    // It has the key, and waits for a password that nobody writes.
    const args = "signer import --key-file key --out new --out-password-file pipe";
    const under = ["sh", "-c", 'ulimit -c unlimited; exec "$0" "$@"'];
    await using running = start(args, { cwd, under });
    const pipe = await open(join(cwd, "pipe"), "w");
    process.kill(running.pid, "SIGABRT");
    equal((await running.ended).code === 0, false);
    await pipe.close();
    const cores = filesIn(cwd).filter((name) => name.startsWith("core"));
    equal(cores.length, 1, filesIn(cwd).join());
    const core = await readFile(join(cwd, cores[0]!));
    ok(core.subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1")) && core.length > 1000);
    for (const key of [Buffer.from(ANVIL_KEY), digits, digits.toUpperCase()]) {
      ok(!core.includes(key), `${cores[0]} of ${core.length} bytes`);
    }
  });
});
