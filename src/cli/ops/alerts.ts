/**
 * Rules for Prometheus: what somebody is to be told of, and what is worth a call at night.
 *
 * @module
 */

/** A rule. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  /** How long it has to be so. */
  readonly for: string;
  readonly labels: { readonly severity: "critical" | "warning" };
  readonly annotations: { readonly summary: string; readonly description: string };
}

type Told = readonly [summary: string, description: string];

function critical(alert: string, time: string, expr: string, told: Told): AlertRule {
  return ruleOf("critical", alert, time, expr, told);
}

function warning(alert: string, time: string, expr: string, told: Told): AlertRule {
  return ruleOf("warning", alert, time, expr, told);
}

function ruleOf(
  severity: AlertRule["labels"]["severity"],
  alert: string,
  time: string,
  expr: string,
  [summary, description]: Told,
): AlertRule {
  return {
    alert,
    expr,
    for: time,
    labels: { severity },
    annotations: { summary: `{{ $labels.instance }}: ${summary}`, description },
  };
}

const RUNWAY = "montana_signer_balance_ether / (montana_signer_spend_ether_per_second > 0)";

/** Rules by group. */
export const ALERTS: Readonly<Record<string, readonly AlertRule[]>> = {
  montana: [
    critical("MontanaDown", "2m", 'up{job="montana"} == 0', [
      "it does not answer",
      "The process is gone, or does not listen with --metrics-listen. What it took is in its log.",
    ]),
    critical("MontanaNotReady", "10m", "montana_check_ok == 0", [
      "{{ $labels.role }} is not ready: {{ $labels.check }}",
      "GET /readyz tells the reason.",
    ]),
    warning("MontanaRestarts", "0m", "changes(process_start_time_seconds[30m]) > 3", [
      "it starts again and again",
      "The last lines of its log tell why it ended; the exit codes are in montana --help.",
    ]),
    critical("MontanaDiskFails", "0m", "increase(montana_wal_failures_total[15m]) > 0", [
      "a log cannot be written: {{ $labels.call }}",
      "The disk is full, read-only or broken; montana doctor looks at it. Nothing is acknowledged that " +
      "is not on the disk.",
    ]),
    warning("MontanaNodesFail", "15m", "increase(montana_node_failures_total[15m]) > 5", [
      "nodes of L1 or L2 fail again and again",
      "Name more nodes, or better ones; montana doctor looks at them.",
    ]),
  ],
  "montana-batcher": [
    critical(
      "MontanaBatcherStandsStill",
      "5m",
      "montana_batcher_pending_blocks > 0 and on (job, instance) (time() - " +
        "(montana_batcher_last_confirmed_timestamp_seconds or process_start_time_seconds)) > 900",
      [
        "blocks wait, and no batch was confirmed for 15 minutes",
        "GET /readyz and montana_tx_waits_total tell what it waits for. Nothing is lost; batches are " +
        "void once the window of their L1 origin is over.",
      ],
    ),
    warning("MontanaTransactionsWait", "0m", "increase(montana_tx_waits_total[15m]) > 0", [
      "a transaction waits: {{ $labels.reason }}",
      "The log says what for. Funds, the signer or the nonce are for somebody to look after.",
    ]),
    critical("MontanaSignerRunsOut", "15m", `${RUNWAY} < 6 * 3600`, [
      "the account lasts for less than 6 hours",
      "Fund it: at the rate of the last 24 hours it will be empty then.",
    ]),
    warning("MontanaSignerRunsLow", "15m", `${RUNWAY} < 48 * 3600`, [
      "the account lasts for less than 2 days",
      "Fund it: at the rate of the last 24 hours it will be empty then.",
    ]),
    critical(
      "MontanaBatchUnreadable",
      "0m",
      'increase(montana_batches_audited_total{result="different"}[1h]) > 0',
      [
        "a batch is not what was posted, when it is read from the network",
        "montana verify compares all batches; derivers may read what is wrong.",
      ],
    ),
  ],
  "montana-deriver": [
    critical("MontanaDerivationGap", "15m", "montana_derivation_batches_waiting > 0", [
      "a batch is missing on L1, and those behind it wait",
      "GET /readyz names it; montana explain tells what became of it on the batcher's machine.",
    ]),
    critical(
      "MontanaBatchesDropped",
      "0m",
      "increase(montana_derivation_batches_dropped_total[1h]) > 0",
      [
        "a batch breaks a rule: {{ $labels.reason }}",
        "The deriver's log names it, and what is wrong with it.",
      ],
    ),
    warning(
      "MontanaDerivationLags",
      "15m",
      "time() - montana_derivation_head_timestamp_seconds > 3600",
      [
        "the newest block derived is more than an hour old",
        "The batcher posts nothing, L2 stands, or the deriver falls behind: " +
        "montana_derivation_l1_blocks_left tells which.",
      ],
    ),
  ],
  "montana-processor": [
    critical("MontanaProcessorStopped", "1m", 'montana_processor_state{state="stopped"} == 1', [
      "the line stands still",
      "montana ctl status tells why. Operations are in the log, and none is handled.",
    ]),
    critical(
      "MontanaOperationsDead",
      "0m",
      "increase(montana_processor_operations_dead_total[1h]) > 0",
      [
        "operations found no taker",
        "They are kept in dead/ in the data directory.",
      ],
    ),
    warning(
      "MontanaProcessorBacklog",
      "10m",
      "montana_processor_pending_operations > 0 and " +
        "rate(montana_processor_operations_handled_total[10m]) == 0",
      [
        "operations wait, and none is handled",
        "GET /readyz tells what the handler failed with. A processor that is paused waits, too.",
      ],
    ),
  ],
  "montana-superblock": [
    critical("MontanaProofJobFailed", "1m", 'montana_proof_jobs{stage="failed"} > 0', [
      "a proof failed for good, and the batches behind it wait",
      "montana proofs ls tells which and why; montana proofs retry takes it up again.",
    ]),
    critical(
      "MontanaProofLate",
      "0m",
      "time() - montana_proof_job_oldest_timestamp_seconds > 4 * 3600",
      [
        "a batch waits for its proof for more than 4 hours",
        "montana proofs ls tells at which stage it stands.",
      ],
    ),
    warning("MontanaL1Lags", "5m", "montana_l1_lag_seconds > 300", [
      "the head of L1 is more than 5 minutes behind the clock here",
      "The node of L1 does not follow its chain, or the clock of this machine is wrong.",
    ]),
    critical("MontanaBlocksLeftOut", "0m", "increase(montana_blocks_left_out_total[1h]) > 0", [
      "blocks of L2 are in no batch",
      "They were read too late for their batch: no superblock has them, and they are proved with the next. " +
      "The log names them.",
    ]),
  ],
};

/** As a file of rules has it. */
export function alertRules(): object {
  const groups = Object.entries(ALERTS).map(([name, rules]) => ({ name, rules }));
  return { groups };
}
