/**
 * The settings of a role: its flags, by the names that they have in a file and in the environment. There is
 * no other list of them.
 *
 * @module
 */
import { BLOB_SIZE } from "../wire/blob.ts";
import { attributeName, type Flag, type FlagValues } from "./command.ts";

/** Where a file is named, with settings of several roles. */
export const CONFIG_FLAG: Flag = {
  flags: "--config <file>",
  help:
    "YAML with a block for each role, such as `batcher:`, and the block `batch:` of a superblock; the environment counts for more",
};

/** The same in the environment. */
export const CONFIG_VARIABLE = "MONTANA_CONFIG";

/** In the order in which they begin where several run in one process. */
export const ROLE_NAMES = ["prover", "superblock", "batcher", "deriver", "processor"] as const;

/** A role. */
export type RoleName = (typeof ROLE_NAMES)[number];

/** What a file may have at its top: a block for each role, and that of synchronized batches. */
export const SECTIONS: readonly string[] = [...ROLE_NAMES, "batch"];

/** A role, as far as its settings go. */
export interface Configurable {
  readonly name: string;
  readonly flags: readonly Flag[];
}

/** A flag as it stands in a file and in the environment. */
export interface Setting {
  readonly flag: Flag;
  /** `max_blobs`, of `--max-blobs`. */
  readonly key: string;
  /** `maxBlobs`, as a command is handed it. */
  readonly name: string;
  /** `MONTANA_BATCHER_MAX_BLOBS`. */
  readonly variable: string;
  /** What its values are: true or false, one text, a list of texts, or a text or true. */
  readonly kind: "switch" | "text" | "list" | "optional";
  /** What stands for a value in the help: `time`, `size`, `n`. */
  readonly unit: string;
}

/** Names of the seeds, and ours; a time in milliseconds is taken below, whatever its name. */
const SEED_NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  batcher: { window_size: "window", max_batch_bytes: "max_blobs" },
  processor: {
    batch_interval: "interval",
    batch_write_interval: "interval",
    max_operations_per_batch: "max_batch",
    max_batch_size_bytes: "max_batch_bytes",
  },
};

/** The seed's limit of a compressed batch, of which we count the blobs. */
const IN_BYTES = "max_batch_bytes";

/** Whole blobs; what is no number of them is refused with what stands there. */
function blobsOf(text: string): string {
  const [, digits, unit] = /^(\d+)(KiB|B)?$/.exec(text) ?? [];
  const bytes = Number(digits) * (unit === "KiB" ? 1024 : 1);
  return bytes > 0 && bytes % BLOB_SIZE === 0 ? `${bytes / BLOB_SIZE}` : text;
}

/** All of a role, in the order of its help. */
export function settingsOf({ name: role, flags }: Configurable): readonly Setting[] {
  return flags.filter((flag) => flag !== CONFIG_FLAG).map((flag) => {
    const [word = "", value = ""] = flag.flags.split(" ");
    const name = attributeName(word);
    const key = word.slice(2).replaceAll("-", "_");
    return {
      flag,
      key,
      name,
      variable: `${prefixOf(role)}${key.toUpperCase()}`,
      kind: kindOf(flag, value),
      unit: value.slice(1, -1),
    };
  });
}

/** What the names of its variables begin with. */
export function prefixOf(role: string): string {
  return `MONTANA_${role.toUpperCase()}_`;
}

function kindOf(flag: Flag, value: string): Setting["kind"] {
  if (value === "") return "switch";
  if (flag.isRepeated) return "list";
  return value.startsWith("[") ? "optional" : "text";
}

/** A setting, and what makes of a text the one that its flag takes. */
export interface Named {
  readonly setting: Setting;
  readonly toText: (text: string) => string;
}

/** The setting of a key, also by the name that a seed has for it. */
export function settingOf(role: Configurable, key: string): Named | undefined {
  const settings = settingsOf(role);
  const find = (name: string) => settings.find((each) => each.key === name);
  const names = SEED_NAMES[role.name] ?? {};
  const setting = find(key) ?? find(names[key] ?? "");
  if (setting) {
    return {
      setting,
      toText: key === IN_BYTES && setting.key !== key ? blobsOf : (text) => text,
    };
  }
  const [, stem] = /^(.+)_ms$/.exec(key) ?? [];
  const time = stem === undefined ? undefined : find(names[stem] ?? stem);
  if (time?.unit !== "time") return undefined;
  // A unit of its own contradicts the name; what is no number is refused with what stands there.
  return { setting: time, toText: (text) => /^\d+$/.test(text) ? `${text}ms` : `${text} ms` };
}

/** The names of the seeds that a role takes, and ours. */
export function seedNamesOf(
  role: Configurable,
): readonly (readonly [seed: string, ours: string])[] {
  const names = Object.entries(SEED_NAMES[role.name] ?? {});
  const times = settingsOf(role).filter(({ unit }) => unit === "time")
    .map(({ key }) => [`${key}_ms`, key] as const);
  const isTime = (key: string) => times.some(([, ours]) => ours === key);
  return [
    ...names.filter(([, ours]) => settingOf(role, ours)),
    ...names.filter(([, ours]) => isTime(ours)).map(([seed, ours]) =>
      [`${seed}_ms`, ours] as const
    ),
    ...times,
  ];
}

/** What a text in a file or the environment says. */
export function valueIn(
  { kind }: Setting,
  text: string | readonly string[],
): FlagValues[string] | Error {
  if (typeof text !== "string") {
    if (kind !== "list") return new Error("need one value, not a list");
    if (text.length === 0) return new Error("the list is empty");
    return text.includes("") ? new Error("an entry of the list names nothing") : text;
  }
  if (text === "") return new Error("it names nothing");
  if (kind === "list") return [text];
  if (kind === "text" || kind === "optional" && !/^(?:true|false)$/.test(text)) return text;
  if (text === "true") return true;
  // Not the same as one that is not given: it counts for more than what a file says.
  return text === "false" ? undefined : new Error("need true or false");
}

/** The one of some words that was probably meant. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const distances = words.map((each) => ({ each, distance: distanceOf(word, each) }));
  const [best] = distances.toSorted((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(2, word.length / 3) ? best.each : undefined;
}

/** How many letters are to be put in, taken out, changed or swapped with the next (Damerau, 1964). */
function distanceOf(a: string, b: string): number {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let least = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, before[j - 2]! + 1);
      }
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
