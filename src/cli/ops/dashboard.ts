/**
 * A dashboard for Grafana.
 *
 * @module
 */

/** One line of a plot: a query, and its name in the legend. */
type Line = readonly [expr: string, legend: string];

interface Plot {
  readonly title: string;
  /** As Grafana names it: `s`, `bytes`, `percentunit`. */
  readonly unit: string;
  readonly lines: readonly Line[];
}

/** Only what was chosen above. */
const SELECTED = '{job=~"$job",instance=~"$instance"}';
const BY = "by (instance";

function plot(title: string, unit: string, ...lines: readonly Line[]): Plot {
  return { title, unit, lines };
}

/** How fast a counter grows, by labels of its own. */
function rateOf(metric: string, ...labels: readonly string[]): Line {
  const by = [BY, ...labels].join(", ");
  const legend = ["{{instance}}", ...labels.map((label) => `{{${label}}}`)].join(" ");
  return [`sum ${by}) (rate(${metric}${SELECTED}[$__rate_interval]))`, legend];
}

/** Of a histogram. */
function quantile(share: number, metric: string): Line {
  const rates = `sum ${BY}, le) (rate(${metric}_bucket${SELECTED}[$__rate_interval]))`;
  return [`histogram_quantile(${share}, ${rates})`, `{{instance}} p${share * 100}`];
}

/** As it stands. */
function now(metric: string, ...labels: readonly string[]): Line {
  const legend = ["{{instance}}", ...labels.map((label) => `{{${label}}}`)].join(" ");
  return [`${metric}${SELECTED}`, legend];
}

/** Rows of plots. */
export const PLOTS: Readonly<Record<string, readonly Plot[]>> = {
  "All roles": [
    plot("Ready (/readyz tells why not)", "bool_yes_no", now("montana_check_ok", "role", "check")),
    plot("Blocks", "none", now("montana_ref_block_number", "layer", "type")),
    plot(
      "Failures a second",
      "ops",
      rateOf("montana_passing_failures_total"),
      rateOf("montana_node_failures_total"),
    ),
    plot(
      "A sync of a log takes",
      "s",
      quantile(0.5, "montana_wal_sync_duration_seconds"),
      quantile(0.99, "montana_wal_sync_duration_seconds"),
    ),
    plot("Memory", "bytes", now("process_resident_memory_bytes")),
    plot("Processors", "percentunit", rateOf("process_cpu_seconds_total")),
  ],
  "Batcher": [
    plot("Blocks that wait", "none", now("montana_batcher_pending_blocks")),
    plot("Bytes that wait", "bytes", now("montana_batcher_pending_bytes")),
    plot(
      "Batches a second, by why they ended",
      "ops",
      rateOf("montana_batches_sealed_total", "reason"),
    ),
    plot(
      "Batches a second, by where they went",
      "ops",
      rateOf("montana_batches_submitted_total", "sink"),
    ),
    plot("Since the last batch was confirmed", "s", [
      `time() - montana_batcher_last_confirmed_timestamp_seconds${SELECTED}`,
      "{{instance}}",
    ]),
    plot(
      "A batch's way to L1",
      "s",
      quantile(0.5, "montana_submit_duration_seconds"),
      quantile(0.95, "montana_submit_duration_seconds"),
    ),
    plot("How full blobs are", "percentunit", quantile(0.5, "montana_blob_fill_ratio")),
    plot("Compression", "none", quantile(0.5, "montana_batch_compression_ratio")),
    plot(
      "Bytes a second",
      "Bps",
      rateOf("montana_batch_uncompressed_bytes_total"),
      rateOf("montana_batch_compressed_bytes_total"),
    ),
  ],
  "Account": [
    plot("Balance (ETH)", "none", now("montana_signer_balance_ether")),
    plot("The account lasts for", "s", [
      `montana_signer_balance_ether${SELECTED} / (montana_signer_spend_ether_per_second${SELECTED} > 0)`,
      "{{instance}}",
    ]),
    plot("Spent a day (ETH)", "none", [
      `sum ${BY}, kind) (increase(montana_l1_fees_ether_total${SELECTED}[1d]))`,
      "{{instance}} {{kind}}",
    ]),
    plot("Price of a gas (wei)", "none", now("montana_l1_gas_price_wei", "kind")),
    plot("Transactions signed a second", "ops", rateOf("montana_tx_signed_total", "reason")),
    plot("Waits a second", "ops", rateOf("montana_tx_waits_total", "reason")),
  ],
  "Deriver": [
    plot("Age of the newest block derived", "s", [
      `time() - montana_derivation_head_timestamp_seconds${SELECTED}`,
      "{{instance}}",
    ]),
    plot("Blocks of L1 left", "none", now("montana_derivation_l1_blocks_left")),
    plot("Blocks a second", "ops", rateOf("montana_derivation_blocks_total")),
    plot(
      "Batches dropped a second",
      "ops",
      rateOf("montana_derivation_batches_dropped_total", "reason"),
    ),
    plot("Batches that wait for a missing one", "none", now("montana_derivation_batches_waiting")),
    plot("Blocks taken back a second", "ops", rateOf("montana_derivation_blocks_retracted_total")),
  ],
  "Processor": [
    plot(
      "Operations a second",
      "ops",
      rateOf("montana_processor_operations_added_total"),
      rateOf("montana_processor_operations_handled_total"),
    ),
    plot("Operations that wait", "none", now("montana_processor_pending_operations")),
    plot(
      "The handler takes",
      "s",
      quantile(0.5, "montana_processor_handle_duration_seconds"),
      quantile(0.95, "montana_processor_handle_duration_seconds"),
    ),
    plot(
      "Batches a second, by why",
      "ops",
      rateOf("montana_processor_batches_handled_total", "reason"),
    ),
    plot("Dead operations", "none", now("montana_processor_operations_dead_total")),
  ],
  "Superblock": [
    plot("Jobs by stage", "none", now("montana_proof_jobs", "stage")),
    plot("Age of the oldest job", "s", [
      `time() - montana_proof_job_oldest_timestamp_seconds${SELECTED}`,
      "{{instance}}",
    ]),
    plot("A proof takes", "s", quantile(0.95, "montana_proof_job_duration_seconds")),
    plot("Blocks in the batch that collects", "none", now("montana_batch_blocks")),
    plot("L1 is behind the clock", "s", now("montana_l1_lag_seconds")),
    plot("Reports of blocks a second", "ops", rateOf("montana_block_reports_total", "outcome")),
  ],
};

const WIDTH = 8;
const HEIGHT = 8;
const ACROSS = 24 / WIDTH;
const SOURCE = { type: "prometheus", uid: "${datasource}" };

/** As Grafana imports it. */
export function dashboard(): object {
  return {
    title: "Montana",
    uid: "montana",
    tags: ["montana"],
    schemaVersion: 39,
    timezone: "browser",
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: {
      list: [
        { name: "datasource", type: "datasource", query: "prometheus" },
        chosen("job", "label_values(montana_build_info, job)"),
        chosen("instance", 'label_values(montana_build_info{job=~"$job"}, instance)'),
      ],
    },
    panels: panels(),
  };
}

function chosen(name: string, query: string): object {
  const all = { text: "All", value: "$__all" };
  const isMany = { multi: true, includeAll: true, current: all, refresh: 2 };
  return { name, type: "query", datasource: SOURCE, query, ...isMany };
}

function panels(): object[] {
  const all: object[] = [];
  let y = 0;
  for (const [title, plots] of Object.entries(PLOTS)) {
    all.push({ id: all.length + 1, type: "row", title, gridPos: { x: 0, y, w: 24, h: 1 } });
    y += 1;
    for (const [at, { title, unit, lines }] of plots.entries()) {
      const [column, row] = [at % ACROSS, Math.floor(at / ACROSS)];
      all.push({
        id: all.length + 1,
        type: "timeseries",
        title,
        datasource: SOURCE,
        gridPos: { x: column * WIDTH, y: y + row * HEIGHT, w: WIDTH, h: HEIGHT },
        fieldConfig: { defaults: { unit, custom: { fillOpacity: 10 } }, overrides: [] },
        targets: lines.map(([expr, legendFormat], index) => ({
          refId: String.fromCharCode(65 + index),
          datasource: SOURCE,
          expr,
          legendFormat,
        })),
      });
    }
    y += Math.ceil(plots.length / ACROSS) * HEIGHT;
  }
  return all;
}
