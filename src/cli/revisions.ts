import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { type Change, ChangeSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { formatChange } from "./describe.ts";
import { print, printJson } from "./output.ts";
import { formatTime } from "./quantities.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { readNames } from "./resource-kinds.ts";
import { formatTable } from "./table.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  limit: { value: "N", help: "how many changes, 1 to 1000; default 20", short: "n" },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  limit: z.coerce.number().int().min(1).max(1000).default(20),
});

/** `weir revisions`: who changed what, newest first. */
export const command: Command = {
  name: "revisions",
  summary: "List changes of policy, newest first.",
  synopsis: "[NAME]",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    if (positionals.length > 1) throw new UsageError("write one name, or none for all");
    const name = readNames(positionals)[0]?.name ?? "";
    return withAdmin("revisions", given, async ({ admin }) => {
      const { changes } = await admin.listRevisions({ name, pageSize: given.limit });
      if (given.output === "json") printJson(changes.map((each) => toJson(ChangeSchema, each)));
      else print(formatChanges(changes));
      return 0;
    });
  },
};

/** Changes with the names of what they changed. */
export function formatChanges(changes: readonly Change[]): string {
  const columns = [
    { title: "REVISION", right: true },
    { title: "TIME (UTC)" },
    { title: "RESOURCE" },
    { title: "CHANGE" },
    { title: "BY" },
    { title: "REASON" },
  ];
  const rows = changes.map((change) => [
    String(change.revision),
    formatTime(change.createTime),
    change.name,
    formatChange(change),
    change.actor,
    change.reason || "-",
  ]);
  return formatTable(columns, rows);
}
