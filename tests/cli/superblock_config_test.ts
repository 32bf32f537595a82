import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { readSuperblockConfig } from "../../src/cli/superblock_config.ts";
import { withDirectory } from "../helpers.ts";
import { SEED_ENVIRONMENT, SEED_YAML } from "./seed_configuration.ts";

async function withYaml<T>(text: string, action: (path: string) => Promise<T>): Promise<T> {
  return await withDirectory(async (directory) => {
    const path = join(directory, "montana.yaml");
    await writeFile(path, text);
    return await action(path);
  });
}

test("The seed's YAML and its environment work as they stand there, and say the same", async () => {
  const fromFile = await withYaml(
    SEED_YAML,
    (path) => readSuperblockConfig({ path, environment: {} }),
  );
  const environment = SEED_ENVIRONMENT;
  equal(Object.keys(environment).length, 9);
  deepEqual(await readSuperblockConfig({ environment }), fromFile);
  equal(fromFile.l1Listener.l1Rpc, "https://mainnet.infura.io/v3/YOUR_KEY");
  equal(fromFile.batchManager.chainId, 1001n);
});

test("Defect 15: the environment counts for more than the file", async () => {
  await withYaml(SEED_YAML, async (path) => {
    const environment = { BATCH_PIPELINE_MAX_RETRIES: "0", BATCH_ENABLED: "false", PATH: "/bin" };
    const { pipeline, enabled } = await readSuperblockConfig({ path, environment });
    deepEqual([pipeline.maxRetries, enabled], [0, false]);
  });
});

test("What is wrong is told with its line, or the name of its variable", async () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      "batch_factor: 10",
      "batch_factor: 0",
      /l1_listener\.batch_factor 0 \(.*montana\.yaml:6:5\)/,
    ],
    ["retry_delay: 5m", "retry_delay: 5", /pipeline\.retry_delay 5 \(.*montana\.yaml:18:5\)/],
    ["max_retries", "max_retrys", /pipeline\.max_retrys 3 \(.*:17:5\): there is no such key/],
    ["poll_interval: 12s", "poll_interval: [1]", /poll_interval \[1\] \(.*:7:5\)/],
    ["poll_interval: 12s", "poll_interval:", /poll_interval null \(.*:7:5\)/],
    ["  enabled: true", "  pipeline: 7", /Map keys must be unique|pipeline/],
    ["batch:", "batsh:", /no block "batch:"/],
    ["batch_factor: 10", "batch_factor: [", /Cannot read .*montana\.yaml: /],
  ];
  for (const [right, wrong, message] of cases) {
    await withYaml(SEED_YAML.replace(right, wrong), async (path) => {
      const reading = readSuperblockConfig({ path, environment: {} });
      await rejects(reading, { code: "Invalid", message }, wrong);
    });
  }
  const environments: readonly (readonly [Record<string, string>, RegExp])[] = [
    [
      { BATCH_PIPELINE_JOB_TIMEOUT: "30" },
      /pipeline\.job_timeout 30 \(environment variable BATCH_PIPELINE_JOB_TIMEOUT\)/,
    ],
    [{ BATCH_PIPELINE_MAX_RETRYS: "1" }, /BATCH_PIPELINE_MAX_RETRYS 1 .*there is no such key/],
  ];
  for (const [environment, message] of environments) {
    await rejects(readSuperblockConfig({ environment }), { code: "Invalid", message });
  }
  await rejects(readSuperblockConfig({ path: "/nowhere.yaml" }), /Cannot read \/nowhere\.yaml/);
});

test("A file that is no YAML is refused by line, and the line is not shown: it may hold a key", async () => {
  const url = '"https://mainnet.infura.io/v3/YOUR_KEY"';
  const twice = `${url}\n    l1_rpc: ${url}`;
  for (const wrong of [url.slice(0, -1), twice, `[${url}`, `${url}]`, `${url} ${url}`]) {
    await withYaml(SEED_YAML.replace(url, wrong), async (path) => {
      await rejects(readSuperblockConfig({ path, environment: {} }), (error: Error) => {
        ok(/^Cannot read .*montana\.yaml: .*montana\.yaml:\d+:\d+: .{10,}$/.test(error.message));
        ok(!error.message.includes("YOUR_KEY"), error.message);
        return true;
      }, wrong);
    });
  }
});

test("What stands behind a YAML anchor counts where it is meant", async () => {
  const chain = "batch:\n  batch_manager: &chain { chain_id: &id 1001 }\n";
  for (const alias of ["*chain", "{ chain_id: *id }"]) {
    await withYaml(`${chain}  integration: ${alias}\n`, async (path) => {
      const { integration } = await readSuperblockConfig({ path, environment: {} });
      equal(integration.chainId, 1001n);
    });
  }
});
