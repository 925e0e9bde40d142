import type { OptionSpec } from "./read-options.ts";

/** The option of commands that run proxies. */
export const metricsOpenOption: OptionSpec = {
  value: undefined,
  help: "show /metrics to anybody, not only to administrative keys",
  env: "WEIR_METRICS_OPEN",
};
