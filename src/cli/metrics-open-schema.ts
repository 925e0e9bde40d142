import { z } from "zod";

const words = z.enum(["true", "false"]).transform((word) => word === "true");

export const metricsOpenSchema = z
  .union([z.boolean(), words], "write true or false")
  .default(false);
