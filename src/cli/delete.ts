import { z } from "zod";
import { asWeirError } from "../client/admin.ts";
import type { Command } from "./command.ts";
import { adminOptions, connectionShape, withAdmin } from "./connection.ts";
import { orderDocuments } from "./order-documents.ts";
import { print, printNote, toCell } from "./output.ts";
import { readFiles } from "./read-files.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { type Named, readNames } from "./resource-kinds.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  ...adminOptions,
  filename: {
    value: "FILE|DIR|-",
    help: "delete what these documents name; may be given several times",
    short: "f",
    multiple: true,
  },
  "dry-run": { value: undefined, help: "check everything and delete nothing" },
  "validate-only": { value: undefined, help: "the same" },
  reason: { value: "TEXT", help: "why, for the history" },
};

const schema = z.object({
  ...connectionShape,
  filename: z.array(z.string().min(1)).default([]),
  "dry-run": z.boolean().default(false),
  "validate-only": z.boolean().default(false),
  reason: z.string().default(""),
});

/** `weir delete`: resources by name, or all that documents name, those that name others first. */
export const command: Command = {
  name: "delete",
  summary: "Delete resources.",
  synopsis: "NAME… | KIND NAME… | -f FILE|DIR|-",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const named = readNames(positionals);
    if ((named.length === 0) === (given.filename.length === 0)) {
      throw new UsageError("what? Write names, such as models/a, or -f FILE; not both");
    }
    const order = {
      validateOnly: given["dry-run"] || given["validate-only"],
      reason: given.reason,
    };
    return withAdmin("delete", given, async ({ admin }) => {
      const doomed: Named[] =
        named.length > 0 ? named : orderDocuments(await readFiles(given.filename)).reverse();
      const gone: string[] = [];
      for (const { kind, name } of doomed) {
        let warnings: readonly string[] = [];
        try {
          warnings = (await kind.delete(admin, name, order))?.warnings ?? [];
        } catch (error) {
          if (!order.validateOnly || !isHeldOnlyBy(gone, error)) throw error;
        }
        gone.push(name);
        print(`${name} ${order.validateOnly ? "would be " : ""}deleted`);
        for (const warning of warnings) printNote(`  warning: ${toCell(warning)}`);
      }
      return 0;
    });
  },
};

/** In a check nothing goes, so what this batch would have deleted before still holds on. */
function isHeldOnlyBy(gone: readonly string[], error: unknown): boolean {
  const { reason, message } = asWeirError(error);
  return reason === "FAILED_PRECONDITION" && gone.some((name) => message.includes(name));
}
