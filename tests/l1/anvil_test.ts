import { ok, rejects, strictEqual as equal } from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { skipWithoutAnvil, startAnvil } from "./anvil.ts";

const skip = skipWithoutAnvil("anvil");

test("anvil listens on a port of its own, and leaves nothing behind", { skip }, async () => {
  let url: string, home: string;
  {
    await using first = await startAnvil({ chainId: 5 });
    await using second = await startAnvil({ noMining: true });
    ({ url, home } = first);
    ok(existsSync(home));
    ok(first.url !== second.url);
    equal(await first.rpc("eth_chainId"), "0x5");
    await second.mine(3);
    equal(await second.head(), 3n);
    await rejects(first.rpc("eth_nothing"), { name: "AnvilError", rpcCode: -32601 });
  }
  await rejects(fetch(url));
  ok(!existsSync(home));
});

test("a start that fails says what anvil said", { skip }, async () => {
  await rejects(startAnvil({ args: ["--no-such-flag"] }), /it ended with .*--no-such-flag/s);
});
