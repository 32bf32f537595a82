/**
 * What Prometheus is told to ask.
 *
 * @module
 */

/** A configuration of Prometheus that asks these, and looks at the rules. */
export function scrapeConfig(targets: readonly string[]): object {
  return {
    global: { scrape_interval: "15s", evaluation_interval: "15s" },
    rule_files: ["montana-alerts.yml"],
    scrape_configs: [{ job_name: "montana", static_configs: [{ targets }] }],
  };
}
