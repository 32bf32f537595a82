/**
 * Files for Prometheus and Grafana: whatever they name is there, and each alert tells what it is for.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { alertRules, ALERTS } from "../../src/cli/ops/alerts.ts";
import { allMetrics } from "../../src/cli/ops/catalogue.ts";
import { dashboard, PLOTS } from "../../src/cli/ops/dashboard.ts";
import { withDirectory } from "../helpers.ts";
import { promtoolSays, skipWithoutPromtool } from "../promtool.ts";
import { failed, run, succeeded } from "./montana.ts";

const RULES = Object.values(ALERTS).flat();
const METRICS = allMetrics();
/** Which Prometheus gives to all that it asks. */
const GIVEN = ["job", "instance", "le"];

/** The metrics of a query. */
function metricsIn(expr: string): string[] {
  const names = expr.match(/\b(?:montana|process)_\w+/g) ?? [];
  return names.map((name) => {
    const whole = name.replace(/_(bucket|sum|count)$/, "");
    return METRICS.get(whole)?.type === "histogram" ? whole : name;
  });
}

/** Labels that a query, or words about it, name. */
function labelsIn(text: string): string[] {
  const groups = [...text.matchAll(/(?:by|on) \(([^)]*)\)/g)].flatMap(([, names]) =>
    names!.split(",").map((name) => name.trim())
  );
  const matched = [...text.matchAll(/(\w+)=~?"/g)].map(([, name]) => name!);
  const shown = [...text.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g)].map(([, name]) => name!);
  return [...groups, ...matched, ...shown];
}

/** Whether all that is named is there. */
function isThere(expr: string, words: string): void {
  const names = metricsIn(expr);
  for (const name of names) ok(METRICS.has(name), `${name} is no metric: ${expr}`);
  const labels = [...GIVEN, ...names.flatMap((name) => METRICS.get(name)!.labels ?? [])];
  for (const label of labelsIn(`${expr} ${words}`)) {
    ok(labels.includes(label), `${names} have no label ${label}: ${expr} ${words}`);
  }
}

test("each metric and label of the alerts is there", () => {
  for (const { expr, annotations: { summary, description } } of RULES) {
    isThere(expr, `${summary} ${description}`);
    const told = description.match(/\bmontana_\w+/g) ?? [];
    for (const name of told) ok(METRICS.has(name), `${name} is no metric: ${description}`);
  }
  equal(new Set(RULES.map(({ alert }) => alert)).size, RULES.length);
});

test("each metric and label of the dashboard is there", () => {
  const lines = Object.values(PLOTS).flat().flatMap(({ lines }) => lines);
  ok(lines.length > 40);
  for (const [expr, legend] of lines) {
    ok(metricsIn(expr).length > 0, expr);
    isThere(expr, legend);
  }
});

test("no metric that is not there, and no label, gets into a dashboard unseen", () => {
  const wrong: [string, string][] = [
    ["rate(montana_batches_sent_total[5m])", ""],
    ["montana_build_info_bucket", ""],
    ['montana_check_ok{stage="x"}', ""],
    ["montana_check_ok", "{{stage}}"],
    ["sum by (instance, stage) (montana_check_ok)", ""],
  ];
  for (const [expr, words] of wrong) {
    let isRefused = false;
    try {
      isThere(expr, words);
    } catch {
      isRefused = true;
    }
    ok(isRefused, expr);
  }
});

interface Panel {
  readonly id: number;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
}

test("no plot of the dashboard lies on another", () => {
  const { panels } = dashboard() as { readonly panels: readonly Panel[] };
  equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Set<string>();
  for (const { gridPos: { x, y, w, h } } of panels) {
    ok(x + w <= 24);
    for (let at = 0; at < w * h; at++) {
      const place = `${x + at % w},${y + Math.floor(at / w)}`;
      ok(!taken.has(place), `two plots at ${place}`);
      taken.add(place);
    }
  }
});

test("montana ops dump prints files, and names what there is", async () => {
  match(succeeded(await run("ops dump alerts")), /^groups:\n {2}- name: montana\n/);
  const config = succeeded(await run("ops dump prometheus --target 9000 --target [::1]:7300"));
  match(config, /targets:\n +- 127\.0\.0\.1:9000\n +- ["']?\[::1\]:7300["']?\n/);
  const { title } = JSON.parse(succeeded(await run("ops dump grafana")));
  equal(title, "Montana");
  const page = succeeded(await run("ops dump metrics"));
  for (const name of METRICS.keys()) ok(page.includes(`| \`${name}\` |`), name);
  failed(await run("ops dump alert"), 2, /"alert": need one of .*; did you mean alerts\?/);
  failed(await run("ops dump prometheus --target here"), 2, /--target "here"/);
});

/** Series of values, one a minute, where an alert is told at `at`, and where it is not. */
interface Trial {
  readonly at: string;
  readonly loud: Readonly<Record<string, string>>;
  readonly quiet: Readonly<Record<string, string>>;
  /** Of the series that the alert is about. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** One event in the fourth minute; before there was none. */
const ONCE = "0 0 0 1+0x20";
const NEVER = "0+0x30";

function once(series: string, labels: Readonly<Record<string, string>> = {}): Trial {
  const [[label, value] = []] = Object.entries(labels);
  const name = label === undefined ? series : `${series}{${label}="${value}"}`;
  return { at: "6m", loud: { [name]: ONCE }, quiet: { [name]: NEVER }, labels };
}

const PENDING = "montana_batcher_pending_blocks";
const CONFIRMED = "montana_batcher_last_confirmed_timestamp_seconds";
const BALANCE = "montana_signer_balance_ether";
const SPEND = "montana_signer_spend_ether_per_second";

const TRIALS: Readonly<Record<string, readonly Trial[]>> = {
  MontanaDown: [{ at: "5m", loud: { up: "0+0x9" }, quiet: { up: "1+0x9" } }],
  MontanaNotReady: [{
    at: "15m",
    loud: { 'montana_check_ok{role="batcher",check="nodes"}': "0+0x20" },
    quiet: { 'montana_check_ok{role="batcher",check="nodes"}': "0 0 1+0x20" },
    labels: { role: "batcher", check: "nodes" },
  }],
  MontanaRestarts: [{
    at: "30m",
    loud: { process_start_time_seconds: "0+60x40" },
    quiet: { process_start_time_seconds: "0 0 0 60+0x40" },
  }],
  MontanaDiskFails: [once("montana_wal_failures_total", { call: "sync" })],
  MontanaNodesFail: [{
    at: "40m",
    loud: { montana_node_failures_total: "0+1x50" },
    quiet: { montana_node_failures_total: "0+0.1x50" },
  }],
  MontanaBatcherStandsStill: [
    {
      at: "25m",
      loud: { [PENDING]: "5+0x40", [CONFIRMED]: "0+0x40" },
      quiet: { [PENDING]: "5+0x40", [CONFIRMED]: "0+60x40" },
    },
    {
      at: "25m",
      loud: { [PENDING]: "5+0x40", process_start_time_seconds: "0+0x40" },
      quiet: { [PENDING]: "0+0x40", process_start_time_seconds: "0+0x40" },
    },
  ],
  MontanaTransactionsWait: [once("montana_tx_waits_total", { reason: "funds" })],
  MontanaSignerRunsOut: [{
    at: "20m",
    loud: { [BALANCE]: "1+0x30", [SPEND]: "0.001+0x30" },
    quiet: { [BALANCE]: "100+0x30", [SPEND]: "0.001+0x30" },
  }],
  MontanaSignerRunsLow: [{
    at: "20m",
    loud: { [BALANCE]: "100+0x30", [SPEND]: "0.001+0x30" },
    quiet: { [BALANCE]: "100+0x30", [SPEND]: "0+0x30" },
  }],
  MontanaBatchUnreadable: [once("montana_batches_audited_total", { result: "different" })],
  MontanaDerivationGap: [{
    at: "20m",
    loud: { montana_derivation_batches_waiting: "2+0x30" },
    quiet: { montana_derivation_batches_waiting: "2 2 0+0x30" },
  }],
  MontanaBatchesDropped: [
    once("montana_derivation_batches_dropped_total", { reason: "parent_check" }),
  ],
  MontanaDerivationLags: [{
    at: "80m",
    loud: { montana_derivation_head_timestamp_seconds: "0+0x90" },
    quiet: { montana_derivation_head_timestamp_seconds: "0+60x90" },
  }],
  MontanaProcessorStopped: [{
    at: "5m",
    loud: { 'montana_processor_state{state="stopped"}': "1+0x9" },
    quiet: { 'montana_processor_state{state="stopped"}': "0+0x9" },
    labels: { state: "stopped" },
  }],
  MontanaOperationsDead: [once("montana_processor_operations_dead_total")],
  MontanaProcessorBacklog: [{
    at: "30m",
    loud: {
      montana_processor_pending_operations: "3+0x40",
      montana_processor_operations_handled_total: "7+0x40",
    },
    quiet: {
      montana_processor_pending_operations: "3+0x40",
      montana_processor_operations_handled_total: "7+1x40",
    },
  }],
  MontanaProofJobFailed: [{
    at: "5m",
    loud: { 'montana_proof_jobs{stage="failed"}': "1+0x9" },
    quiet: { 'montana_proof_jobs{stage="failed"}': "0+0x9" },
    labels: { stage: "failed" },
  }],
  MontanaProofLate: [{
    at: "250m",
    loud: { montana_proof_job_oldest_timestamp_seconds: "0+0x300" },
    quiet: { montana_proof_job_oldest_timestamp_seconds: "0+60x300" },
  }],
  MontanaL1Lags: [{
    at: "10m",
    loud: { montana_l1_lag_seconds: "400+0x20" },
    quiet: { montana_l1_lag_seconds: "400 400 12+0x20" },
  }],
  MontanaBlocksLeftOut: [once("montana_blocks_left_out_total")],
};

const FROM = { job: "montana", instance: "here:7300" };

/** A series with the labels that Prometheus gives it. */
function asAsked(series: string): string {
  const [, name, labels = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(series)!;
  const given = `job="${FROM.job}",instance="${FROM.instance}"`;
  return `${name}{${labels === "" ? given : `${labels},${given}`}}`;
}

/** What promtool is to find. */
function promtoolTests(): object[] {
  return RULES.flatMap(({ alert, labels: { severity }, annotations }) =>
    TRIALS[alert]!.flatMap(({ at, loud, quiet, labels = {} }) =>
      [loud, quiet].map((series) => {
        const expected = { severity, ...FROM, ...labels };
        const said = Object.entries(expected).reduce(
          (text, [name, value]) => text.replaceAll(`{{ $labels.${name} }}`, value),
          annotations.summary,
        );
        const told = {
          exp_labels: expected,
          exp_annotations: { ...annotations, summary: said },
        };
        return {
          interval: "1m",
          input_series: Object.entries(series).map(([name, values]) => ({
            series: asAsked(name),
            values,
          })),
          alert_rule_test: [{
            eval_time: at,
            alertname: alert,
            exp_alerts: series === loud ? [told] : [],
          }],
        };
      })
    )
  );
}

test("each alert has a trial", () => {
  deepEqual(Object.keys(TRIALS).sort(), RULES.map(({ alert }) => alert).sort());
});

const NAME =
  "promtool finds no fault with the files, and each alert is told when it should be, only";
test(NAME, { skip: skipWithoutPromtool(NAME) }, async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "montana-alerts.yml"), succeeded(await run("ops dump alerts")));
    await writeFile(join(cwd, "prometheus.yml"), succeeded(await run("ops dump prometheus")));
    const checked = promtoolSays(["check", "config", "prometheus.yml"], { cwd });
    equal(checked.status, 0, checked.said);
    match(checked.said, new RegExp(`SUCCESS: ${RULES.length} rules found`));

    const tests = {
      rule_files: ["montana-alerts.yml"],
      evaluation_interval: "1m",
      tests: promtoolTests(),
    };
    await writeFile(join(cwd, "tests.yml"), JSON.stringify(tests));
    const tested = promtoolSays(["test", "rules", "tests.yml"], { cwd });
    equal(tested.status, 0, tested.said);

    // Rules that tell nothing would be found.
    await writeFile(join(cwd, "montana-alerts.yml"), JSON.stringify({ groups: [] }));
    equal(promtoolSays(["test", "rules", "tests.yml"], { cwd }).status, 1);
    equal((alertRules() as { groups: object[] }).groups.length, Object.keys(ALERTS).length);
  });
});
