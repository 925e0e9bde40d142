import { z } from "zod";
import { type Applied, applyDocuments } from "./apply-documents.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { print, printJson, printNote, toCell } from "./output.ts";
import { readFiles } from "./read-files.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  filename: {
    value: "FILE|DIR|-",
    help: "documents in YAML or JSON; may be given several times",
    short: "f",
    multiple: true,
  },
  "dry-run": { value: undefined, help: "check everything and write nothing" },
  "validate-only": { value: undefined, help: "the same" },
  reason: { value: "TEXT", help: "why, for the history" },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  filename: z.array(z.string().min(1)).default([]),
  "dry-run": z.boolean().default(false),
  "validate-only": z.boolean().default(false),
  reason: z.string().default(""),
});

/** `weir apply`: makes resources be as documents say. */
export const command: Command = {
  name: "apply",
  summary: "Create and update resources from YAML or JSON, as `weir get -o yaml` shows them.",
  synopsis: "-f FILE|DIR|- [OPTION…]",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const { filename, output, reason } = given;
    if (filename.length === 0 || positionals.length > 0) {
      throw new UsageError("which documents? Write -f FILE, -f DIR or -f -");
    }
    const validateOnly = given["dry-run"] || given["validate-only"];
    return withAdmin("apply", given, async ({ admin }) => {
      const documents = await readFiles(filename);
      const applied: Applied[] = [];
      const report = (each: Applied): void => {
        applied.push(each);
        if (output === "table") printApplied(each, validateOnly);
      };
      try {
        await applyDocuments(admin, documents, { validateOnly, reason, report });
      } finally {
        if (output === "json") printJson(applied);
      }
      return 0;
    });
  },
};

function printApplied({ name, change, merged, warnings }: Applied, validateOnly: boolean): void {
  const how = validateOnly && change !== "unchanged" ? "would be " : "";
  const beside = merged ? ", beside somebody else's change" : "";
  print(`${name} ${how}${change}${beside}`);
  for (const warning of warnings) printNote(`  warning: ${toCell(warning)}`);
}
