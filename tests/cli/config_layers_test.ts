import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { FlagValues } from "../../src/cli/command.ts";
import type { Entry } from "../../src/cli/config_file.ts";
import {
  type Configurable,
  nearest,
  settingOf,
  settingsOf,
} from "../../src/cli/config_settings.ts";
import { configure, type Problem } from "../../src/cli/configuration.ts";
import { loadRoles } from "../../src/cli/config_roles.ts";

const ROLE: Configurable = {
  name: "batcher",
  flags: [
    { flags: "--max-blobs <n>", help: "", value: "6" },
    { flags: "--l1 <where>", help: "", isRequired: true, isRepeated: true },
    { flags: "--once", help: "" },
    { flags: "--key-env [name]", help: "" },
    { flags: "--poll-interval <time>", help: "" },
  ],
};

/** A block of the role, each value in a line of its own. */
function blockOf(values: Readonly<Record<string, string | readonly string[]>>): readonly Entry[] {
  const below = Object.entries(values).map(([key, value], index) => {
    const at = `f.yaml:${index + 2}:3`;
    const item = (text: string) => ({ text, at });
    return { key, at, value: typeof value === "string" ? item(value) : value.map(item) };
  });
  return [{ key: "batcher", at: "f.yaml:1:1", value: { below } }];
}

/** What comes of it; nothing may be refused. */
function told(
  given: FlagValues,
  environment: Readonly<Record<string, string>>,
  file: Parameters<typeof blockOf>[0],
) {
  const problems: Problem[] = [];
  const configured = configure(
    ROLE,
    { given, environment, entries: blockOf(file) },
    (problem) => problems.push(problem),
  );
  deepEqual(problems, []);
  return configured;
}

test("A flag counts for more than the environment, that for more than a file, that for more than a default", () => {
  for (let sources = 0; sources < 8; sources++) {
    const [isGiven, isInEnvironment, isInFile] = [4, 2, 1].map((bit) => (sources & bit) !== 0);
    const { values, origins } = told(
      isGiven ? { maxBlobs: "1", l1: ["a", "b"] } : {},
      isInEnvironment ? { MONTANA_BATCHER_MAX_BLOBS: "2", MONTANA_BATCHER_L1: "c,d" } : {},
      isInFile ? { max_blobs: "3", l1: ["e"] } : {},
    );
    const [blobs, l1, at] = isGiven
      ? ["1", ["a", "b"], "--max-blobs"]
      : isInEnvironment
      ? ["2", ["c", "d"], "MONTANA_BATCHER_MAX_BLOBS"]
      : isInFile
      ? ["3", ["e"], "f.yaml:2:3"]
      : ["6", undefined, "default"];
    equal(values["maxBlobs"], blobs);
    // A list is not made of several sources.
    deepEqual(values["l1"], l1);
    equal(origins.get("maxBlobs")!.at, at);
  }
});

test("false in the environment takes back what a file switches on", () => {
  equal(told({}, {}, { once: "true" }).values["once"], true);
  equal(told({}, { MONTANA_BATCHER_ONCE: "false" }, { once: "true" }).values["once"], undefined);
  equal(told({ once: true }, { MONTANA_BATCHER_ONCE: "false" }, {}).values["once"], true);
  equal(told({}, { MONTANA_BATCHER_KEY_ENV: "true" }, {}).values["keyEnv"], true);
  equal(told({}, {}, { key_env: "MY_KEY" }).values["keyEnv"], "MY_KEY");
});

test("What is required may come from anywhere, and is missing where it comes from nowhere", () => {
  const missing = (...from: Parameters<typeof told>) => told(...from).missing.map(({ key }) => key);
  deepEqual(missing({}, {}, {}), ["l1"]);
  deepEqual(missing({ l1: ["a"] }, {}, {}), []);
  deepEqual(missing({}, { MONTANA_BATCHER_L1: "a" }, {}), []);
  deepEqual(missing({}, {}, { l1: "a" }), []);
});

test("A source that is wrong is refused, though one above it counts", () => {
  const cases: readonly (readonly [Parameters<typeof blockOf>[0], string])[] = [
    [{ max_blobs: "" }, "Cannot use batcher.max_blobs: it names nothing"],
    [{ max_blobs: ["1"] }, 'Cannot use batcher.max_blobs ["1"]: need one value, not a list'],
    [{ once: "yes" }, 'Cannot use batcher.once "yes": need true or false'],
    [{ l1: [] }, "Cannot use batcher.l1 []: the list is empty"],
    [{ l1: ["a", ""] }, 'Cannot use batcher.l1 ["a",""]: an entry of the list names nothing'],
    [
      { l1: ["https://l1.example/v3/KEY", ""] },
      "Cannot use batcher.l1: an entry of the list names nothing",
    ],
    [
      { max_blob: "1" },
      "Cannot use batcher.max_blob: there is no such key; did you mean max_blobs?",
    ],
  ];
  for (const [file, text] of cases) {
    const problems: Problem[] = [];
    const sources = { given: { maxBlobs: "1", l1: ["a"], once: true }, environment: {} };
    configure(ROLE, { ...sources, entries: blockOf(file) }, (each) => problems.push(each));
    deepEqual(problems, [{ at: "f.yaml:2:3", text }]);
  }
});

test("The seeds' names are taken, and a time in milliseconds under any name that is one", async () => {
  const roles = new Map((await loadRoles()).map((spec) => [spec.name, spec]));
  const cases: readonly (readonly [role: string, seed: string, key: string, text: string])[] = [
    ["batcher", "poll_interval_ms", "poll_interval", "100ms"],
    ["batcher", "batch_interval_ms", "batch_interval", "100ms"],
    ["batcher", "max_blocks_per_batch", "max_blocks_per_batch", "100"],
    ["batcher", "target_batch_size", "target_batch_size", "100"],
    ["batcher", "min_batch_bytes", "min_batch_bytes", "100"],
    ["batcher", "window_size", "window", "100"],
    ["deriver", "poll_interval_ms", "poll_interval", "100ms"],
    ["processor", "batch_write_interval_ms", "interval", "100ms"],
    ["processor", "max_operations_per_batch", "max_batch", "100"],
    ["processor", "max_batch_size_bytes", "max_batch_bytes", "100"],
  ];
  for (const [role, seed, key, text] of cases) {
    const named = settingOf(roles.get(role)!, seed);
    deepEqual([named?.setting.key, named?.toText("100")], [key, text], seed);
  }
  const inBytes = settingOf(roles.get("batcher")!, "max_batch_bytes")!;
  equal(inBytes.setting.key, "max_blobs");
  const texts = ["131072", "256KiB", "131073", "6"].map(inBytes.toText);
  deepEqual(texts, ["1", "2", "131073", "6"]);
  equal(settingOf(roles.get("batcher")!, "max_blobs_ms"), undefined);
});

test("Each flag of a role has one key and one variable, and no role has those of another", async () => {
  const all = (await loadRoles()).flatMap((role) => settingsOf(role));
  equal(new Set(all.map(({ variable }) => variable)).size, all.length);
  equal(
    all.find(({ variable }) => variable === "MONTANA_DERIVER_MAX_AHEAD_BYTES")?.name,
    "maxAheadBytes",
  );
});

test("The nearest word is the one that was probably meant, and none where all are far", () => {
  const words = ["interval", "inbox", "max_blobs", "l1"];
  equal(nearest("intervall", words), "interval");
  equal(nearest("max_blbos", words), "max_blobs");
  equal(nearest("ibnox", words), "inbox");
  equal(nearest("something", words), undefined);
});
