import { z } from "zod";
import type { OptionSpec } from "./read-options.ts";

/** The option of commands that run proxies. */
export const metricsOpenOption: OptionSpec = {
  value: undefined,
  help: "show /metrics to anybody, not only to administrative keys",
  env: "WEIR_METRICS_OPEN",
};

const words = z.enum(["true", "false"]).transform((word) => word === "true");

export const metricsOpenSchema = z
  .union([z.boolean(), words], "write true or false")
  .default(false);
