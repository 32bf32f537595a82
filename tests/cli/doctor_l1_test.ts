import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { FakeBeacon, GENESIS_TIME } from "../l1/fake_beacon.ts";
import { INBOX, run, withEthereum } from "./ethereum.ts";
import { textOf } from "./montana.ts";

interface Finding {
  readonly check: string;
  readonly status: "ok" | "warn" | "fail";
  readonly found: string;
  readonly fix?: string;
  readonly details?: Readonly<Record<string, string | number>>;
}

/** What the doctor says with these flags, by the first word of each check. */
async function findings(
  flags: readonly string[],
  cwd: string,
  code: number,
): Promise<Record<string, Finding>> {
  const outcome = await run(["doctor", "--json", ...flags], { cwd });
  equal(outcome.code, code, textOf(outcome) + outcome.stderr);
  const found: Finding[] = JSON.parse(textOf(outcome));
  for (const { status, fix } of found) equal(fix === undefined, status === "ok");
  return Object.fromEntries(found.map((each) => [each.check.split(" ")[0], each]));
}

const statuses = (found: Record<string, Finding>) =>
  Object.fromEntries(Object.entries(found).map(([check, { status }]) => [check, status]));

const L1 = "montana doctor looks at nodes, beacon, key, account, inbox and disk";
test(L1, { skip: skipWithoutAnvil(L1) }, async () => {
  await withEthereum(async ({ cwd, anvil, url, batcher }) => {
    const key = ["--key-file", "batcher.key", "--inbox", INBOX, "--data-dir", "data"];
    const all = ["--l1", url, "--beacon", url, ...key];
    await anvil.mine(3);
    const good = await findings(all, cwd, 0);
    const { kzg: _, ...others } = statuses(good);
    deepEqual(others, {
      l1: "ok",
      clock: "ok",
      sidecar: "ok",
      fees: "ok",
      beacon: "ok",
      blobs: "ok",
      key: "ok",
      balance: "ok",
      nonces: "ok",
      inbox: "ok",
      "data-dir": "ok",
    });
    equal(good["l1"]!.details!["chainId"], "31337");
    equal(good["key"]!.details!["address"], batcher);
    equal(good["balance"]!.details!["balanceWei"], `${10n ** 22n}`);

    // All that can be wrong at once.
    await writeFile(join(cwd, "file"), "");
    await anvil.rpc("evm_setAutomine", [false]);
    await anvil.rpc("eth_sendTransaction", [{ from: batcher, to: batcher }]);
    await anvil.rpc("anvil_setBalance", [batcher, "0x1"]);
    await anvil.rpc("anvil_setCode", [INBOX, "0x6000"]);
    const bad = await findings(
      [
        ...["--l1", "http://127.0.0.1:1/", "--l1", url, "--beacon", `${url}/nothing`],
        ...["--key-file", "batcher.key", "--inbox", INBOX, "--batcher", INBOX],
        ...["--data-dir", "file/data"],
      ],
      cwd,
      4,
    );
    match(bad["l1"]!.found, /^chain 31337, head 3 is/);
    match(bad["beacon"]!.found, /tells how slots are counted/);
    match(bad["key"]!.found, /^it is that of 0xf39f.*, not of --batcher 0xff00/);
    match(bad["balance"]!.found, /has 1 wei; a batch of 6 blobs is not sent with less than/);
    match(bad["balance"]!.fix!, new RegExp(`^send ether to ${batcher}`));
    match(bad["nonces"]!.found, /^1 transaction from nonce 0 on wait in the pool$/);
    match(bad["inbox"]!.found, /is a contract \(2 bytes of code\)/);
    match(bad["data-dir"]!.found, /file\/data: a part of the path is no directory$/);
    const { beacon, key: wrongKey, balance, nonces, inbox, "data-dir": disk } = statuses(bad);
    deepEqual([beacon, wrongKey, balance, nonces, inbox, disk], [
      ...["fail", "fail", "fail", "warn", "fail", "fail"],
    ]);
  }, {});
});

const NODES =
  "montana doctor tells a node that is away, of another chain, ahead of the clock, or without blobs";
test(NODES, { skip: skipWithoutAnvil(NODES) }, async () => {
  await withEthereum(async ({ cwd, anvil, url }) => {
    const away = ["--l1", "http://127.0.0.1:1/secret"];
    const told = async (flags: readonly string[], ...patterns: readonly RegExp[]) => {
      const outcome = await run(["doctor", ...flags], { cwd });
      equal(outcome.code, 4, textOf(outcome));
      for (const pattern of patterns) match(textOf(outcome), pattern);
    };
    await using ofAnother = await FakeBeacon.start();
    await using withoutBlobs = await FakeBeacon.start();
    withoutBlobs.spec = { SECONDS_PER_SLOT: "1" };
    // In an hour, and in the middle of a slot of 12 s.
    const slots = BigInt(Math.floor(Date.now() / 1000) + 3600) - GENESIS_TIME;
    await anvil.rpc("evm_setNextBlockTimestamp", [Number(GENESIS_TIME + slots / 12n * 12n + 6n)]);
    await anvil.mine();
    await told(
      away,
      /^fail {2}l1 127\.0\.0\.1:1: Unreachable: .*\n {6}fix: see whether the node runs/m,
      /^warn {2}beacon: no --beacon and no --archive/m,
    );
    await told(
      [
        ...[...away, "--l1", url, "--chain-id", "1"],
        ...["--beacon", ofAnother.url, "--beacon", withoutBlobs.url],
      ],
      /^warn {2}l1 127\.0\.0\.1:1: Unreachable: .*\n {6}fix: another node answers/m,
      /^fail {2}l1 .*: its chain id is 31337, need 1$/m,
      /^fail {2}clock: the newest block of L1 is 3[56]\d\d(\.\d)? s ahead of this machine's clock$/m,
      new RegExp(`^fail {2}beacon ${ofAnother.host}: slots of 12 s .* is in no such slot$`, "m"),
      new RegExp(`^ok {4}beacon ${withoutBlobs.host}: slots of 1 s since`, "m"),
      new RegExp(
        `^fail {2}blobs ${withoutBlobs.host}: it answered 404 and 404 .*\\n {6}fix: `,
        "m",
      ),
    );
  }, {});
});
