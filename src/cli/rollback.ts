import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { RollbackToResponseSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { formatChange } from "./describe.ts";
import { print, printJson, printNote, toCell } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  "dry-run": { value: undefined, help: "say what would change and change nothing" },
  reason: { value: "TEXT", help: "why, for the history" },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  "dry-run": z.boolean().default(false),
  reason: z.string().default(""),
});

/** `weir rollback`: every resource as it was at a revision, as a new revision. */
export const command: Command = {
  name: "rollback",
  summary: "Restore every resource to a revision, as a new revision.",
  synopsis: "REVISION [--dry-run]",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const [text = "", ...rest] = positionals;
    if (!/^[1-9]\d{0,15}$/.test(text) || rest.length > 0) {
      throw new UsageError("to which revision? Write its number, as `weir revisions` tells");
    }
    const order = { validateOnly: given["dry-run"], reason: given.reason };
    return withAdmin("rollback", given, async ({ admin }) => {
      const answer = await admin.rollbackTo({ revision: BigInt(text), options: order });
      if (given.output === "json") {
        printJson(toJson(RollbackToResponseSchema, answer));
        return 0;
      }
      const would = order.validateOnly ? "would be " : "";
      for (const change of answer.changes) print(`${change.name} ${would}${formatChange(change)}`);
      if (answer.changes.length === 0) print(`Everything is as it was at revision ${text}.`);
      else if (!order.validateOnly) print(`This is revision ${answer.result?.revision}.`);
      for (const warning of answer.result?.warnings ?? []) printNote(`warning: ${toCell(warning)}`);
      return 0;
    });
  },
};
