import { z } from "zod";
import { parsePostgresUrl } from "../store/postgres-url.ts";
import type { OptionSpec } from "./read-options.ts";

/** The option of every command that opens the store. */
export const databaseUrlOption: OptionSpec = {
  value: "postgres://…",
  help: "keep everything in Postgres instead of a file; better given by the environment",
  env: "WEIR_DATABASE_URL",
};

/** Refuses what is no address, without repeating it: a part of it is secret. */
export const databaseUrlSchema = z.string().superRefine((text, context) => {
  try {
    parsePostgresUrl(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : "it is no address";
    context.addIssue({ code: "custom", message });
  }
});
