import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import type { ConfigError } from "../../src/errors.ts";
import {
  ENVIRONMENT_NAMES,
  type Given,
  productionConcerns,
  superblockConfig,
} from "../../src/superblock/config.ts";
import { SETTINGS } from "../../src/superblock/settings.ts";

const CHAIN: Given = { key: "batch_manager.chain_id", value: 1001, origin: "montana.yaml" };

function given(key: string, value: unknown, origin = "montana.yaml, line 7"): Given {
  return { key, value, origin };
}

test("The defaults are the seed's", () => {
  const config = superblockConfig([CHAIN]);
  deepEqual(config, {
    enabled: true,
    l1Clock: {
      genesisTime: 1_606_824_023n,
      slotSeconds: 12n,
      slotsPerEpoch: 32n,
      batchFactor: 10n,
    },
    l1Listener: { pollIntervalMs: 12_000 },
    batchManager: {
      chainId: 1001n,
      l1Clock: config.l1Clock,
      maxBatchSize: 320n,
      batchTimeoutMs: 5_400_000,
      lateBlockGraceMs: 30_000,
      maxAheadMs: 15_000,
    },
    pipeline: {
      maxConcurrentJobs: 5,
      jobTimeoutMs: 1_800_000,
      maxRetries: 3,
      retryDelayMs: 300_000,
      emptyBatches: "prove",
    },
    integration: { chainId: 1001n, enableBatchSync: true, blockReporting: true },
  });
});

test("The test preset is the seed's GetTestConfig", () => {
  const { l1Clock, l1Listener, batchManager, pipeline } = superblockConfig([CHAIN], "test");
  deepEqual([l1Clock.batchFactor, l1Listener.pollIntervalMs, l1Listener.l1Rpc], [
    2n,
    2000,
    "http://localhost:8545",
  ]);
  deepEqual([batchManager.maxBatchSize, batchManager.batchTimeoutMs], [10n, 300_000]);
  deepEqual(pipeline, {
    maxConcurrentJobs: 2,
    jobTimeoutMs: 120_000,
    maxRetries: 1,
    retryDelayMs: 10_000,
    emptyBatches: "prove",
  });
});

test("Each environment name is made of its key, and those of the seed are there", () => {
  const seed = ["L1_LISTENER_L1_RPC", "L1_LISTENER_BATCH_FACTOR", "L1_LISTENER_POLL_INTERVAL"]
    .concat("BATCH_MANAGER_CHAIN_ID", "BATCH_MANAGER_MAX_BATCH_SIZE", "BATCH_MANAGER_BATCH_TIMEOUT")
    .concat("PIPELINE_MAX_CONCURRENT_JOBS", "PIPELINE_JOB_TIMEOUT", "PIPELINE_MAX_RETRIES");
  for (const name of seed) equal(ENVIRONMENT_NAMES.has(`BATCH_${name}`), true, name);
  equal(ENVIRONMENT_NAMES.size, Object.keys(SETTINGS).length);
});

/** Key, value, and what the refusal says behind `Cannot use <key> <value> (<origin>): `. */
const WRONG: readonly (readonly [string, unknown, RegExp])[] = [
  ["enabled", "yes", /need true or false/],
  ["l1_listener.batch_factor", 0, /whole number from 1/],
  ["l1_listener.batch_factor", 2.5, /whole number/],
  ["l1_listener.batch_factor", "ten", /whole number/],
  ["l1_listener.batch_factor", null, /whole number/],
  ["l1_listener.poll_interval", "12", /a time such as 12s/],
  ["l1_listener.poll_interval", 12, /a time such as 12s/],
  ["l1_listener.poll_interval", "1ms", /from 10ms/],
  ["l1_listener.poll_interval", "-1s", /a time/],
  ["l1_listener.poll_interval", "99999h", /to 24 days/],
  ["l1_listener.slot_duration", "1500ms", /whole seconds/],
  ["l1_listener.slots_per_epoch", 0, /from 1/],
  ["l1_listener.genesis_time", -1, /from 0/],
  ["batch_manager.chain_id", 0, /from 1/],
  ["batch_manager.chain_id", 2 ** 60, /whole number/],
  ["batch_manager.max_batch_size", "", /whole number/],
  ["batch_manager.batch_timeout", "soon", /a time/],
  ["batch_manager.late_block_grace", [1], /a time/],
  ["batch_manager.max_ahead", true, /a time/],
  ["pipeline.max_concurrent_jobs", 0, /from 1/],
  ["pipeline.job_timeout", "30", /a time/],
  ["pipeline.max_retries", -1, /from 0/],
  ["pipeline.retry_delay", "5x", /a time/],
  ["pipeline.empty_batches", "drop", /prove or skip/],
  ["integration.chain_id", "0x3e9", /whole number/],
  ["integration.enable_batch_sync", 1, /true or false/],
  ["integration.block_reporting", "no", /true or false/],
  ["pipeline.max_retrys", 3, /no such key\. There are .*pipeline\.max_retries/],
  ["l1_listner.batch_factor", 2, /no such key/],
  ["__proto__", 3, /no such key/],
];

test("Each wrong value is refused with key, value and where it came from", () => {
  for (const [key, value, why] of WRONG) {
    const shown = typeof value === "string" ? value : JSON.stringify(value);
    for (const origin of ["montana.yaml, line 7", "environment variable X"]) {
      const start = `Cannot use ${key} ${shown} (${origin}): `;
      throws(() => superblockConfig([CHAIN, given(key, value, origin)]), (error: Error) => {
        equal(error.message.slice(0, start.length), start);
        equal(why.test(error.message), true, error.message);
        return true;
      });
    }
  }
});

test("A URL that cannot be is refused without showing it: it may hold a key", () => {
  for (const value of ["ftp://host/secret", "secret", 7, ""]) {
    for (const key of ["l1_listener.l1_rpc", "l1_listener.beacon_rpc"]) {
      throws(() => superblockConfig([CHAIN, given(key, value)]), (error: Error) => {
        const length = String(value).length;
        const have = `, have ${length} characters (not shown, as it may hold a key)`;
        equal(
          error.message,
          `Cannot use ${key} (montana.yaml, line 7): need an http or https URL${have}`,
        );
        return true;
      });
    }
  }
});

test("A URL is shown under no key: not under a misspelt one, nor in the place of a section", () => {
  const url = "https://mainnet.example/v3/SECRET";
  const cases: readonly (readonly [string, unknown])[] = [
    ["l1_listener.l1_rpcc", url],
    ["l1_listener", url],
    ["BATCH_L1_LISTENER_L1_RPCC", url],
    ["l1_listener.rpc", [url]],
    ["l1_listener.l1_rpc", { url }],
    ["l1_listener.batch_factor", url],
    ["l1_listner.l1_rpc", "mainnet.example/v3/SECRET"],
  ];
  for (const [key, value] of cases) {
    throws(() => superblockConfig([CHAIN, given(key, value)]), (error: ConfigError) => {
      equal(JSON.stringify([error.message, error.details]).includes("SECRET"), false, key);
      equal(error.message.startsWith(`Cannot use ${key} (montana.yaml, line 7): `), true);
      equal(/\d+ characters \(not shown, as it may hold a key\)$/.test(error.message), true);
      return true;
    });
  }
});

test("Each key has a wrong value above", () => {
  const tried = new Set(WRONG.map(([key]) => key));
  const missing = Object.keys(SETTINGS).filter((key) => !tried.has(key));
  deepEqual(missing, ["l1_listener.l1_rpc", "l1_listener.beacon_rpc"]);
});

test("The later value for a key counts", () => {
  const both = [given("pipeline.max_retries", 3), given("pipeline.max_retries", "0", "X")];
  equal(superblockConfig([CHAIN, ...both]).pipeline.maxRetries, 0);
});

test("Times are read as Go writes them", () => {
  const times = [["90m", 5_400_000], ["1h30m0s", 5_400_000], ["1.5h", 5_400_000], ["5000s", 5e6]];
  for (const [text, ms] of times) {
    const config = superblockConfig([CHAIN, given("batch_manager.batch_timeout", text)]);
    equal(config.batchManager.batchTimeoutMs, ms);
  }
  equal(superblockConfig([CHAIN, given("pipeline.retry_delay", 0)]).pipeline.retryDelayMs, 0);
});

test("A chain is named once, or twice alike", () => {
  throws(() => superblockConfig([]), {
    code: "Invalid",
    message: /batch_manager\.chain_id is not set.*BATCH_BATCH_MANAGER_CHAIN_ID/,
  });
  const other = given("integration.chain_id", 7);
  equal(superblockConfig([other]).batchManager.chainId, 7n);
  throws(() => superblockConfig([CHAIN, other]), {
    message:
      "Cannot use integration.chain_id 7 (montana.yaml, line 7): batch_manager.chain_id is " +
      "1001 (montana.yaml), and both must be equal",
  });
});

test("Values that contradict each other are refused, and where they came from is told", () => {
  throws(() => superblockConfig([CHAIN, given("l1_listener.batch_factor", 20)]), {
    code: "Invalid",
    message: /max_batch_size 320: .* Given: l1_listener\.batch_factor 20 \(montana\.yaml, line 7\)/,
  });
  throws(() => superblockConfig([CHAIN, given("batch_manager.batch_timeout", "64m")]), {
    message: /a window lasts 3840000 ms, .* Given: batch_manager\.batch_timeout 64m/,
  });
});

test("Defect 14: no default is a placeholder, and one that was left is a concern", () => {
  deepEqual(productionConcerns(superblockConfig([CHAIN])), [
    "l1_listener.l1_rpc is not set: epochs go by the clock alone",
  ]);
  const left = given("l1_listener.l1_rpc", "https://mainnet.infura.io/v3/YOUR_KEY");
  equal(productionConcerns(superblockConfig([CHAIN, left])).join().includes("placeholder"), true);
  const concerns = productionConcerns(superblockConfig([CHAIN], "test"));
  equal(concerns.length, 3);
});
