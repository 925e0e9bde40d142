import { z } from "zod";
import type { OptionSpec } from "./read-options.ts";

/** How long the records of requests are kept, for the commands that run a control plane. */
export const retainDaysOption: OptionSpec = {
  value: "DAYS",
  help: "delete records of requests after so many days; sums by hour and day stay; default: never",
  env: "WEIR_RETAIN_DAYS",
};

export const retainDaysSchema = z.coerce.number().int().min(1).max(36_500);
