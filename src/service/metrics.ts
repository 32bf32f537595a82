/**
 * Metrics for Prometheus: what happens is counted from events, how it stands is looked at when it is asked
 * for. One registry for all that runs in a process.
 *
 * @module
 */
import process from "node:process";
import type { Clock, Log } from "../ports.ts";
import { runtimeName } from "../runtime.ts";
import { VERSION } from "../version.ts";
import {
  type PromClient,
  promClient,
  type PromCounter,
  type PromGauge,
  type PromHistogram,
  type PromLabels,
  type PromRegistry,
} from "./deps.ts";
import {
  counter,
  gauge,
  type MetricChapter,
  type MetricRecorder,
  type MetricSpec,
} from "./metric_chapter.ts";

/** Of the process. */
export const PROCESS_METRICS: MetricChapter = {
  specs: {
    montana_build_info: gauge("What runs", "version", "runtime"),
    process_start_time_seconds: gauge("When the process started"),
    process_resident_memory_bytes: gauge("Memory that the process holds"),
    montana_event_loop_lag_seconds: gauge("How late a timer comes that is due at once"),
    process_cpu_seconds_total: counter("Time of processors that the process used"),
  },
};

/** A metric, as the package knows it. */
type Family =
  | { readonly spec: MetricSpec & { readonly type: "counter" }; readonly prom: PromCounter }
  | { readonly spec: MetricSpec & { readonly type: "gauge" }; readonly prom: PromGauge }
  | { readonly spec: MetricSpec & { readonly type: "histogram" }; readonly prom: PromHistogram };

/** Looks how something stands. */
export type MetricLook = (to: MetricRecorder) => void | Promise<void>;

/**
 * Counts events, looks at what is there, and writes all of it.
 *
 * @example
 * ```ts
 * import { DERIVER_METRICS, Metrics, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const metrics = await Metrics.open(systemClock);
 * const log = metrics.counting([DERIVER_METRICS]); // The log of a `DerivationRunner`.
 * log({ event: "derivation.reset", l1Block: 7n, nextBatchNumber: 3n, blocks: 2 });
 * metrics.watch((to) => to.set("montana_derivation_l1_blocks_left", 5));
 * const { text } = await metrics.text(); // `serveHealth` asks for it.
 * if (!/^montana_derivation_blocks_retracted_total 2$/m.test(text)) throw new Error("not counted");
 * if (!/^montana_derivation_l1_blocks_left 5$/m.test(text)) throw new Error("not looked at");
 * ```
 */
export class Metrics {
  readonly #prom: PromClient;
  readonly #registry: PromRegistry;
  readonly #families = new Map<string, Family>();
  readonly #looks = new Set<MetricLook>();
  /** What counters of others had come to, by name and labels. */
  readonly #totals = new Map<string, number>();
  readonly #startMs: number;
  readonly #recorder: MetricRecorder = {
    inc: (name, value = 1, ...labels) => this.#inc(name, value, labels),
    total: (name, value, ...labels) => {
      const key = [name, ...labels].join("\n");
      this.#inc(name, value - (this.#totals.get(key) ?? 0), labels);
      this.#totals.set(key, value);
    },
    set: (name, value, ...labels) => {
      const { spec, prom } = this.#family(name, "gauge");
      prom.set(labelsOf(spec, labels), value);
    },
    clear: (name) => this.#family(name, "gauge").prom.reset(),
    observe: (name, value, ...labels) => {
      const { spec, prom } = this.#family(name, "histogram");
      prom.observe(labelsOf(spec, labels), value);
    },
  };

  private constructor(prom: PromClient, clock: Clock) {
    this.#prom = prom;
    this.#registry = new prom.Registry();
    this.#startMs = clock.now();
    this.include(PROCESS_METRICS);
  }

  /** Loads what it needs. */
  static async open(clock: Clock): Promise<Metrics> {
    return new Metrics(await promClient(), clock);
  }

  /** Has metrics in it from now on; what was in it stays as it is. */
  include(chapter: MetricChapter): void {
    for (const [name, spec] of Object.entries(chapter.specs)) {
      if (!this.#families.has(name)) this.#families.set(name, this.#make(name, spec));
    }
  }

  /** For what is told by no event: includes a chapter, and takes its values. */
  recorderOf<Name extends string>(chapter: MetricChapter<Name>): MetricRecorder<Name> {
    this.include(chapter);
    return this.#recorder;
  }

  /** A log that counts by these chapters, and hands on to another. */
  counting(chapters: readonly MetricChapter[], log?: Log): Log {
    for (const chapter of chapters) this.include(chapter);
    return (event) => {
      for (const chapter of chapters) chapter.count?.(event, this.#recorder);
      log?.(event);
    };
  }

  /**
   * Looks there each time that it is asked.
   *
   * @returns ends that
   */
  watch(look: MetricLook): () => void {
    this.#looks.add(look);
    return () => void this.#looks.delete(look);
  }

  /** All of it, in the text format 0.0.4 of Prometheus. */
  async text(): Promise<{ readonly type: string; readonly text: string }> {
    await this.#lookAtProcess();
    for (const look of this.#looks) await look(this.#recorder);
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  async #lookAtProcess(): Promise<void> {
    const { set, total } = this.#recorder;
    set("montana_build_info", 1, VERSION, runtimeName());
    set("process_start_time_seconds", this.#startMs / 1000);
    set("process_resident_memory_bytes", process.memoryUsage().rss);
    const { user, system } = process.cpuUsage();
    total("process_cpu_seconds_total", (user + system) / 1e6);
    const askedMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 0));
    set("montana_event_loop_lag_seconds", (performance.now() - askedMs) / 1000);
  }

  #make(name: string, spec: MetricSpec): Family {
    const { help, labels: labelNames = [], values = [], buckets } = spec;
    const options = { name, help, labelNames: [...labelNames], registers: [this.#registry] };
    const zeros = values.map((value) => labelsOf(spec, [value]));
    switch (spec.type) {
      case "counter": {
        const prom = new this.#prom.Counter(options);
        // What has not happened yet is 0, and not unknown.
        for (const labels of zeros) prom.inc(labels, 0);
        return { spec: { ...spec, type: "counter" }, prom };
      }
      case "gauge": {
        const prom = new this.#prom.Gauge(options);
        if (labelNames.length === 0) prom.remove();
        return { spec: { ...spec, type: "gauge" }, prom };
      }
      case "histogram": {
        const prom = new this.#prom.Histogram({
          ...options,
          ...(buckets && { buckets: [...buckets] }),
        });
        for (const labels of zeros) prom.zero(labels);
        return { spec: { ...spec, type: "histogram" }, prom };
      }
    }
  }

  #inc(name: string, value: number, labels: readonly string[]): void {
    const { spec, prom } = this.#family(name, "counter");
    prom.inc(labelsOf(spec, labels), value);
  }

  #family<Type extends MetricSpec["type"]>(
    name: string,
    type: Type,
  ): Extract<Family, { readonly spec: { readonly type: Type } }> {
    const family = this.#families.get(name);
    if (family?.spec.type !== type) throw new TypeError(`Cannot tell ${name}: it is no ${type}`);
    return family as Extract<Family, { readonly spec: { readonly type: Type } }>;
  }
}

function labelsOf({ labels = [] }: MetricSpec, values: readonly string[]): PromLabels {
  return Object.fromEntries(labels.map((label, at) => [label, values[at] ?? ""]));
}
