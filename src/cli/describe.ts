import { z } from "zod";
import type { Change } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { asWeirError, type WeirAdminClient } from "../client/admin.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { formatDocuments } from "./format-documents.ts";
import { print, printJson, toPrintable } from "./output.ts";
import { formatTime } from "./quantities.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { readNames } from "./resource-kinds.ts";
import { formatTable } from "./table.ts";
import { UsageError } from "./usage-error.ts";

const CHANGES_SHOWN = 10;

const options: OptionSpecs = { ...adminOptions, ...outputOption };
const schema = z.object({ ...connectionShape, ...outputShape });

/** `weir describe`: everything about some resources, and who changed them. */
export const command: Command = {
  name: "describe",
  summary: "Show resources with all their fields, and their last changes.",
  synopsis: "NAME… | KIND NAME…",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const named = readNames(positionals);
    if (named.length === 0) throw new UsageError("which resource? Write its name, such as teams/a");
    return withAdmin("describe", given, async ({ admin }) => {
      const shown: object[] = [];
      for (const { kind, name } of named) {
        const item = await kind.get(admin, name);
        const document = { kind: kind.title, ...item.json };
        if (given.output === "json") {
          shown.push(document);
          continue;
        }
        const changes = await listChanges(admin, name);
        print(toPrintable(formatDocuments([document])));
        if (changes.length > 0) print(`\n${formatChanges(changes)}`);
      }
      if (given.output === "json") printJson(shown.length === 1 ? shown[0] : shown);
      return 0;
    });
  },
};

/** The last changes; none when the caller may not see the history. */
async function listChanges(admin: WeirAdminClient["admin"], name: string): Promise<Change[]> {
  try {
    return (await admin.listRevisions({ name, pageSize: CHANGES_SHOWN })).changes;
  } catch (error) {
    if (asWeirError(error).reason === "PERMISSION_DENIED") return [];
    throw error;
  }
}

function formatChanges(changes: readonly Change[]): string {
  const columns = [
    { title: "REVISION", right: true },
    { title: "TIME (UTC)" },
    { title: "CHANGE" },
    { title: "BY" },
    { title: "REASON" },
  ];
  const rows = changes.map((change) => [
    String(change.revision),
    formatTime(change.createTime),
    formatChange(change),
    change.actor,
    change.reason || "-",
  ]);
  return formatTable(columns, rows);
}

/** What a change did, in a word. */
export function formatChange({ before, after }: Change): string {
  if (before?.resource.case === undefined) return "created";
  return after?.resource.case === undefined ? "deleted" : "updated";
}
