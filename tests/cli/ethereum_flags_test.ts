/**
 * Flags about nodes of L1 and beacon nodes, where they are missing or set.
 *
 * @module
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { run, succeeded, withProxy } from "./ethereum.ts";
import { sourceText } from "./files.ts";
import { failed } from "./montana.ts";

const TIMEOUT = "montana deriver waits for a node as long as --rpc-timeout says";
test(TIMEOUT, { skip: skipWithoutAnvil(TIMEOUT) }, async () => {
  await withProxy(async ({ cwd, derive }, proxy) => {
    proxy.always("*", { fault: "hang" });
    const args = derive("out.jsonl", "--once --rpc-timeout 200ms");
    failed(await run(args, { cwd }), 75, /no answer within 200 ms/);
    failed(await run(derive("out.jsonl", "--rpc-timeout 0s"), { cwd }), 2, /--rpc-timeout 0s/);
  });
});

const BEACON = "montana batcher names --beacon where it lacks the blobs of what is posted";
test(BEACON, { skip: skipWithoutAnvil(BEACON) }, async () => {
  await withProxy(async ({ cwd, anvil, post }) => {
    await writeFile(join(cwd, "l2.jsonl"), sourceText(3));
    const flags = "--once --da blobs --block-time 250ms";
    succeeded(await run(post("l2.jsonl", `${flags} --data-dir data`), { cwd }));
    await anvil.mine(70);
    const args = post("l2.jsonl", `${flags} --data-dir anew`);
    const without = args.toSpliced(args.indexOf("--beacon"), 2);
    const outcome = await run(without, { cwd });
    failed(outcome, 75, /BlobMissing: .*No --beacon is named: a beacon node may have them/);
  });
});
