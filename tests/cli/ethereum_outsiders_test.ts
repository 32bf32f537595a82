/**
 * The deriver, and what else stands in an inbox or behind the name of a beacon node: transactions of
 * outsiders, batches that are none, blobs that are others or forgotten.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { CHECK_SIZE } from "../../src/wire/batch.ts";
import { concatBytes } from "../../src/wire/bytes.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { batchCalldata } from "../../src/wire/inbox.ts";
import { makeBatch, plainBlocks } from "../helpers.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { startFaultProxy } from "../l1/fault_proxy.ts";
import { isWhole } from "./crash.ts";
import { INBOX, run, start, succeeded, withEthereum, withProxy } from "./ethereum.ts";
import { sameBlocks, sourceText } from "./files.ts";
import { failed, textOf } from "./montana.ts";

const FLAGS =
  "--once --data-dir data --max-blocks-per-batch 2 --compressor none --block-time 250ms";
const JUNK =
  "montana deriver counts what outsiders and broken batchers put into its inbox, and goes on";
test(JUNK, { skip: skipWithoutAnvil(JUNK) }, async () => {
  await withEthereum(async (place) => {
    const { cwd, anvil, post, derive, batcher } = place;
    const genesis = await anvil.rpc("eth_getBlockByNumber", ["0x0", false]);
    const origin = { l1OriginCheck: fromHex(genesis.hash, "hash", 32).slice(0, CHECK_SIZE) };
    const batch = (number: bigint, header = {}) =>
      makeBatch(plainBlocks(1), { ...origin, batchNumber: number, ...header });
    const into = async (from: string, data: Uint8Array, to = INBOX) => {
      const gas = "0x989680";
      await anvil.rpc("eth_sendTransaction", [{ from, to, data: toHex(data), gas }]);
    };
    const junk = async () => {
      const outsider = toHex(anvil.accounts[1]!.address);
      const bomb = brotliCompressSync(new Uint8Array(200 * 1024 * 1024), { params: {} });
      await into(outsider, batchCalldata(await batch(0n)));
      await into(outsider, batchCalldata(await batch(2n)));
      await into(batcher, new Uint8Array(3));
      await into(batcher, batchCalldata({ batchNumber: 2n, data: Uint8Array.of(9, 9, 9) }));
      await into(batcher, batchCalldata(await batch(2n, { l1Origin: 1_000_000n })));
      await into(batcher, batchCalldata(await batch(0n)));
      const data = concatBytes([Uint8Array.of(0), bomb]);
      await into(batcher, batchCalldata({ batchNumber: 2n, data }));
    };
    const source = sourceText(8).trimEnd().split("\n");
    const postUpTo = async (blocks: number) => {
      await writeFile(join(cwd, "l2.jsonl"), source.slice(0, blocks).join("\n") + "\n");
      succeeded(await run(post("l2.jsonl", `${FLAGS} --da calldata`), { cwd }));
    };
    await postUpTo(4);
    await junk();
    await anvil.mine(2);
    await postUpTo(8);
    const derived = await run(derive("out.jsonl", "--once --json --log-level debug"), { cwd });
    equal(derived.code, 0, derived.stderr);
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
    const metrics = JSON.parse(textOf(derived));
    deepEqual(metrics.batches_dropped, { undecodable: 2, origin_ahead: 1 });
    const { batches_derived, batches_duplicate, transactions_ignored } = metrics;
    deepEqual([batches_derived, batches_duplicate, transactions_ignored], [4, 1, 3]);
    equal(derived.stderr.match(/its sender is no batcher/g)?.length, 2);
    equal(derived.stderr.match(/its calldata is no batch/g)?.length, 1);
    match(derived.stderr, /at most \d+ may/);
  }, { blockTimeS: 0.25 });
});

const LIES =
  "crash: montana deriver turns to another beacon node, or its archive, where one lies or forgot";
test(LIES, { skip: skipWithoutAnvil(LIES) }, async () => {
  await withProxy(async (place, proxy) => {
    const { cwd, post, derive } = place;
    await writeFile(join(cwd, "l2.jsonl"), sourceText(4));
    succeeded(await run(post("l2.jsonl", FLAGS), { cwd }));
    await using second = await startFaultProxy(place.anvil.url);
    const blobs = "GET /eth/v1/beacon/blobs";
    let outs = 0;
    const derives = async (why: RegExp | undefined, ...more: string[]) => {
      const out = `out-${outs++}.jsonl`;
      const args = [...derive(out, "--once --log-level debug"), ...more];
      const outcome = await run(args, { cwd });
      succeeded(outcome);
      await sameBlocks(join(cwd, out), join(cwd, "l2.jsonl"));
      if (why) match(outcome.stderr, why);
    };

    // It lies.
    const lie = ({ data }: { data: string[] }) => ({
      data: data.map((blob) => `0x00${blob.slice(4, -2)}01`),
    });
    proxy.rewrite(blobs, lie);
    await derives(/gave a wrong blob, and is not asked any more/, "--beacon", second.url);
    failed(await run(derive("none.jsonl", "--once"), { cwd }), 75, /BlobMissing/);
    proxy.rewrite(blobs, undefined);

    // It has forgotten, and it is down.
    proxy.rewrite(blobs, () => ({ data: [] }));
    await derives(/has no blobs of L1 block/, "--beacon", second.url);
    if (isWhole) failed(await run(derive("none.jsonl", "--once"), { cwd }), 75, /BlobMissing/);
    proxy.rewrite(blobs, undefined);
    proxy.always(blobs, { fault: "status", status: 503 });
    await derives(undefined, "--beacon", second.url);

    // The archive of the batcher alone.
    const asked = proxy.count(blobs);
    await derives(undefined, "--archive", "data/blobs");
    equal(proxy.count(blobs), asked, "what the archive has is not asked for");

    // Whoever is to go on waits, and goes on.
    await using waiting = start(derive("late.jsonl", ""), { cwd });
    await waiting.untilSaid(/trying again/);
    proxy.heal();
    await waiting.untilSaid(/derived batch 1/);
    waiting.send("SIGTERM");
    succeeded(await waiting.ended);
    await sameBlocks(join(cwd, "late.jsonl"), join(cwd, "l2.jsonl"));
  });
});

const DOWN = "montana deriver waits for a node that is down, ends when told, and goes on";
test(DOWN, { skip: skipWithoutAnvil(DOWN) }, async () => {
  await withProxy(async (place, proxy) => {
    const { cwd, post, derive } = place;
    await writeFile(join(cwd, "l2.jsonl"), sourceText(4));
    succeeded(await run(post("l2.jsonl", `${FLAGS} --da calldata`), { cwd }));
    const args = derive("out.jsonl", "--data-dir back");
    proxy.always("*", { fault: "status", status: 503 });
    failed(await run([...args, "--once"], { cwd }), 75, /it answered 503/);
    await using stopped = start(args, { cwd });
    await stopped.untilSaid(/failed: .*it answered 503/);
    stopped.send("SIGTERM");
    const { code, stderr } = await stopped.ended;
    equal(code, 3, stderr);

    await using deriver = start(args, { cwd });
    await deriver.untilSaid(/failed: .*it answered 503/);
    proxy.heal();
    await deriver.untilSaid(/derived batch 1/);
    proxy.always("*", { fault: "hang up" });
    await deriver.untilSaid(/failed: .*the connection broke/);
    deriver.send("SIGINT");
    succeeded(await deriver.ended);
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
  });
});
