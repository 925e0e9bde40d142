import { z } from "zod";
import { PostgresStore } from "../store/postgres-store.ts";
import type { SqlStore } from "../store/sql-store.ts";
import type { StoreStatus } from "../store/status-operation.ts";
import type { Environment } from "./command.ts";
import { outputOption, outputShape } from "./connection.ts";
import { storeOptions, storeShape, withStore } from "./db-store.ts";
import { print, printJson } from "./output.ts";
import { readOptions } from "./read-options.ts";
import { formatFacts } from "./table.ts";
import { UsageError } from "./usage-error.ts";

const options = { ...storeOptions, ...outputOption };
const schema = z.object({ ...storeShape, ...outputShape });

/** `weir db status`: what a store holds. Exit code 1 when its schema is not this program's. */
export function showDatabase(args: readonly string[], env: Environment): Promise<number> {
  const { options: given, positionals } = readOptions(args, options, schema, env);
  if (positionals.length > 0) throw new UsageError("nothing stands behind `weir db status`");
  return withStore(given, async (store, label) => {
    const status = await store.status();
    const engine = await describeEngine(store);
    if (given.output === "json") printJson({ store: label, engine, ...status });
    else print(formatStatus(label, engine, status));
    return status.missing.length === 0 ? 0 : 1;
  });
}

async function describeEngine(store: SqlStore): Promise<string> {
  if (!(store instanceof PostgresStore)) return "SQLite";
  const version = await store.readSetting("server_version");
  const fsync = await store.readSetting("fsync");
  const warning = "; fsync is off: turn it on, or a crash loses what was confirmed";
  return `PostgreSQL ${version}${fsync === "on" ? "" : warning}`;
}

function formatStatus(label: string, engine: string, status: StoreStatus): string {
  const { applied, missing } = status;
  const lacks = missing.length === 0 ? "" : `; \`weir db migrate\` brings ${missing.join(", ")}`;
  return formatFacts([
    ["Store", label],
    ["Engine", engine],
    ["Schema", `${applied.at(-1) ?? "none"}${lacks}`],
    ["Installation", status.installationId || "-"],
    ["Revision", String(status.revision)],
    ["Resources", String(status.resources)],
    ["Changes", String(status.changes)],
    ["Records", String(status.records)],
  ]);
}
