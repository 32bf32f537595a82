/**
 * The examples of the seed `superblock-batch.md`, as they stand there.
 *
 * @module
 */

/** Its YAML. */
export const SEED_YAML: string = `batch:
  enabled: true

  l1_listener:
    l1_rpc: "https://mainnet.infura.io/v3/YOUR_KEY"
    batch_factor: 10
    poll_interval: 12s

  batch_manager:
    chain_id: 1001
    max_batch_size: 320
    batch_timeout: 90m

  pipeline:
    max_concurrent_jobs: 5
    job_timeout: 30m
    max_retries: 3
    retry_delay: 5m

  integration:
    chain_id: 1001
    enable_batch_sync: true
    block_reporting: true
`;

const ENVIRONMENT = `export BATCH_L1_LISTENER_L1_RPC="https://mainnet.infura.io/v3/YOUR_KEY"
export BATCH_L1_LISTENER_BATCH_FACTOR=10
export BATCH_L1_LISTENER_POLL_INTERVAL=12s
export BATCH_BATCH_MANAGER_CHAIN_ID=1001
export BATCH_BATCH_MANAGER_MAX_BATCH_SIZE=320
export BATCH_BATCH_MANAGER_BATCH_TIMEOUT=90m
export BATCH_PIPELINE_MAX_CONCURRENT_JOBS=5
export BATCH_PIPELINE_JOB_TIMEOUT=30m
export BATCH_PIPELINE_MAX_RETRIES=3
`;

function environmentOf(text: string): Record<string, string> {
  const names = text.trim().split("\n").map((line) => /^export (\w+)="?([^"]*)"?$/.exec(line)!);
  return Object.fromEntries(names.map(([, name, value]) => [name!, value!]));
}

/** Its environment variables. */
export const SEED_ENVIRONMENT: Readonly<Record<string, string>> = environmentOf(ENVIRONMENT);
