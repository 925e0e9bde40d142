import { z } from "zod";
import { type Address, parseAddress } from "./address.ts";

/** An address as an option gives it. */
export const addressSchema = z.string().transform((text, context): Address => {
  try {
    return parseAddress(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof Error ? error.message : "" });
    return z.NEVER;
  }
});
