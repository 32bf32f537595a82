/**
 * Metrics and health of the program, as it runs: asked over HTTP while real blocks go to a real L1.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { valuesOf } from "../service/metric_values.ts";
import { postedTransactions, withProxy } from "./ethereum.ts";
import { joinLines, linesOf, sourceText } from "./files.ts";
import { failed, run, type Running, start, succeeded } from "./montana.ts";

interface Check {
  readonly role: string;
  readonly name: string;
  readonly ok: boolean;
  readonly reason?: string;
}

/** What a program that runs answers. */
class Asked {
  readonly #running: Running;

  constructor(running: Running) {
    this.#running = running;
  }

  async url(): Promise<string> {
    const said = /metrics and health on (\S+)/;
    await this.#running.untilSaid(said);
    return said.exec(this.#running.stderr)![1]!;
  }

  async metrics(): Promise<Map<string, number>> {
    const response = await fetch(`${await this.url()}/metrics`);
    equal(response.status, 200);
    return valuesOf(await response.text());
  }

  async ready(): Promise<{ readonly status: number; readonly checks: readonly Check[] }> {
    const response = await fetch(`${await this.url()}/readyz`);
    const { ready, checks } = await response.json();
    equal(ready, response.status === 200);
    return { status: response.status, checks };
  }

  /** Waits until it is ready, or is not for a reason. */
  async until(reason?: RegExp): Promise<void> {
    await this.#running.until(`ready: ${reason ?? "yes"}`, async () => {
      const { status, checks } = await this.ready();
      if (!reason) return status === 200;
      return status === 503 && checks.some((each) => reason.test(each.reason ?? ""));
    });
  }

  /** Waits until each of these is more than 0. */
  async untilMoved(names: readonly string[]): Promise<Map<string, number>> {
    let values = new Map<string, number>();
    await this.#running.until(`moved: ${names}`, async () => {
      values = await this.metrics();
      return names.every((name) => (values.get(name) ?? 0) > 0);
    });
    return values;
  }
}

const BATCHER_MOVED = [
  "montana_blocks_taken_total",
  "montana_blocks_processed_total",
  'montana_batches_sealed_total{reason="blocks"}',
  'montana_batches_submitted_total{sink="blobs"}',
  "montana_batch_uncompressed_bytes_total",
  "montana_batch_compressed_bytes_total",
  "montana_batch_compression_ratio_count",
  "montana_blobs_submitted_total",
  "montana_blob_fill_ratio_count",
  "montana_submit_duration_seconds_count",
  'montana_batches_audited_total{result="same"}',
  "montana_batcher_last_confirmed_timestamp_seconds",
  'montana_tx_signed_total{reason="first"}',
  "montana_tx_sent_total",
  "montana_tx_included_total",
  "montana_tx_final_total",
  'montana_l1_fees_ether_total{kind="execution"}',
  'montana_l1_fees_ether_total{kind="blob"}',
  'montana_l1_gas_price_wei{kind="execution"}',
  'montana_l1_gas_price_wei{kind="blob"}',
  "montana_signer_balance_ether",
  "montana_signer_spend_ether_per_second",
  'montana_ref_block_number{layer="l1",type="included"}',
  'montana_check_ok{role="batcher",check="pipeline"}',
  "montana_wal_sync_duration_seconds_count",
  "montana_wal_written_bytes_total",
  "process_resident_memory_bytes",
];
const DERIVER_MOVED = [
  "montana_derivation_batches_total",
  "montana_derivation_blocks_total",
  "montana_derivation_bytes_total",
  "montana_derivation_head_timestamp_seconds",
  "montana_derivation_resets_total",
  "montana_derivation_blocks_retracted_total",
  "montana_l1_reorganisations_total",
  "montana_node_failures_total",
  "montana_node_recoveries_total",
  'montana_ref_block_number{layer="l1",type="derived"}',
  'montana_check_ok{role="deriver",check="sequence"}',
];

const BOTH = "batcher and deriver tell how they are and what they did, while L1 fails and turns";
test(BOTH, { skip: skipWithoutAnvil(BOTH) }, async () => {
  await withProxy(async ({ cwd, anvil, post, derive, batcher: sender }, proxy) => {
    const lines = linesOf(sourceText(12));
    await writeFile(join(cwd, "l2.jsonl"), joinLines(lines.slice(0, 8)));
    const flags = "--metrics-listen 0 --data-dir data --max-blocks-per-batch 2 --batch-interval 1s";
    await using batcher = start(post("l2.jsonl", flags), { cwd });
    await using deriver = start(derive("out.jsonl", "--metrics-listen 0 --confirmations 1"), {
      cwd,
    });
    const [posted, derived] = [new Asked(batcher), new Asked(deriver)];
    await posted.until();
    await derived.until();
    const live = await fetch(`${await posted.url()}/livez`).then((response) => response.json());
    equal(live.status, "ok");

    const blocks = "montana_derivation_blocks_total";
    await deriver.until("all derived", async () => (await derived.metrics()).get(blocks) === 8);

    // No node answers: both say so, and are ready again once one does.
    proxy.always("*", { fault: "status", status: 503 });
    await derived.until(/503/);
    proxy.heal();
    await derived.until();

    // The blocks that hold the batches are taken, and the batches are posted again.
    const place = { anvil, batcher: sender };
    const [first] = await postedTransactions(place);
    await anvil.rpc("evm_setIntervalMining", [0]);
    await anvil.rpc("anvil_reorg", [Number(await anvil.head() - first!.block) + 1, []]);
    await derived.untilMoved(DERIVER_MOVED);
    await anvil.rpc("evm_setIntervalMining", [1]);
    await posted.untilMoved(["montana_tx_reorganised_total"]);
    await batcher.until(
      "all is posted again",
      async () => (await postedTransactions(place)).length === 4,
    );
    await anvil.mine(80);

    await posted.untilMoved(BATCHER_MOVED);
    const processed = "montana_blocks_processed_total";
    await batcher.until("all count", async () => (await posted.metrics()).get(processed) === 8);
    const values = await posted.metrics();
    equal(values.get("montana_blocks_taken_total"), 8);
    equal(values.get('montana_batches_submitted_total{sink="blobs"}'), 4);
    equal(values.get("montana_batcher_pending_blocks"), 0);

    await appendFile(join(cwd, "l2.jsonl"), joinLines(lines.slice(8)));
    await batcher.until(
      "the rest is taken",
      async () => (await posted.metrics()).get("montana_blocks_taken_total") === 12,
    );
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    deriver.send("SIGTERM");
    succeeded(await deriver.ended);
  });
});

test("one port tells of all roles of montana run, and a role that has ended is asked no more", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "l2.jsonl"), sourceText(6));
    await using both = start(
      "run --role batcher,deriver --l2 l2.jsonl --l1 l1 --out out.jsonl --data-dir data " +
        "--metrics-listen 0 --batch-interval 200ms",
      { cwd },
    );
    const asked = new Asked(both);
    const values = await asked.untilMoved([
      "montana_blocks_processed_total",
      "montana_derivation_blocks_total",
      'montana_check_ok{role="batcher",check="begin"}',
      'montana_check_ok{role="deriver",check="begin"}',
      'montana_ref_block_number{layer="l1",type="included"}',
      'montana_ref_block_number{layer="l1",type="derived"}',
    ]);
    equal(values.get("montana_blocks_processed_total"), 6);
    await asked.until();
    const { checks } = await asked.ready();
    deepEqual([...new Set(checks.map(({ role }) => role))], ["batcher", "deriver"]);
    both.send("SIGTERM");
    succeeded(await both.ended);
  });
});

test("a processor tells what it took and handled, and that its handler fails", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(
      ["processor", "--data-dir", "data", "--exec", "test ! -e broken", "--metrics-listen", "0"],
      { cwd, stdin: "open" },
    );
    const asked = new Asked(running);
    await asked.until();
    running.feed("one\ntwo\n");
    const values = await asked.untilMoved([
      "montana_processor_operations_added_total",
      "montana_processor_operations_handled_total",
      "montana_processor_handle_duration_seconds_count",
      "montana_wal_sync_duration_seconds_count",
      'montana_processor_state{state="running"}',
    ]);
    equal(values.get("montana_processor_operations_added_total"), 2);
    await writeFile(join(cwd, "broken"), "");
    running.feed("three\n");
    await asked.until(/./);
    const failing = await asked.untilMoved(["montana_processor_handler_failures_total"]);
    equal(failing.get("montana_processor_pending_operations"), 1);
  });
});

test("a superblock tells on --metrics-listen what it tells on its control socket", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(
      "superblock --set batch_manager.chain_id=1001 --preset test --data-dir data --listen 0 " +
        "--metrics-listen 0",
      { cwd },
    );
    const asked = new Asked(running);
    const values = await asked.untilMoved([
      "montana_epochs_total",
      'montana_check_ok{role="superblock",check="l1"}',
    ]);
    ok(values.get("montana_batch_number")! > 0);
    const { checks } = await asked.ready();
    ok(checks.some(({ role, name }) => role === "superblock" && name === "batch"));
    const said = /listening on (\S+)/;
    await running.untilSaid(said);
    const text = await fetch(`${said.exec(running.stderr)![1]}/metrics`).then((each) =>
      each.text()
    );
    deepEqual([...valuesOf(text).keys()].sort(), [...(await asked.metrics()).keys()].sort());
    running.send("SIGTERM");
    succeeded(await running.ended);
  });
});

test("--metrics-listen is refused where it cannot be, and asked of no browser", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "l2.jsonl"), sourceText(2));
    const post = "batcher --l2 l2.jsonl --l1 l1 --metrics-listen";
    failed(await run(`${post} 99999`, { cwd }), 2, /--metrics-listen "?99999/);
    failed(await run(`${post} 192.0.2.1:1`, { cwd }), 78, /this machine has no such address/);
    await using batcher = start(`${post} 0`, { cwd });
    const url = await new Asked(batcher).url();
    const page = await fetch(`${url}/metrics`, { headers: { origin: "https://example.com" } });
    equal(page.status, 403);
    const missing = await fetch(`${url}/v1/status`);
    equal(missing.status, 404);
    match(await missing.text(), /there are GET \/livez/);
    equal((await fetch(`${url}/metrics`, { method: "POST" })).status, 405);
    ok((await readFile(join(cwd, "l2.jsonl"), "utf8")).length > 0);
  });
});
