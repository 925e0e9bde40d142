import type { Command } from "./command.ts";
import { outputOption } from "./connection.ts";
import { databaseUrlOption } from "./database-url.ts";
import { copyDatabase } from "./db-copy.ts";
import { migrateDatabase } from "./db-migrate.ts";
import { showDatabase } from "./db-status.ts";
import { UsageError } from "./usage-error.ts";

/** `weir db`: the store itself, without a running Weir. */
export const command: Command = {
  name: "db",
  summary: "Bring the store's schema up to date, look at it, or copy it to Postgres.",
  synopsis: `migrate
       weir db status
       weir db copy [--from FILE] --database-url postgres://…`,
  options: {
    "database-url": databaseUrlOption,
    "data-dir": {
      value: "DIR",
      help: "where the SQLite file is; default .weir",
      env: "WEIR_DATA_DIR",
    },
    from: { value: "FILE", help: "copy: the SQLite file; default weir.db in the data directory" },
    ...outputOption,
  },
  run: ([action, ...args], env) => {
    switch (action) {
      case "migrate":
        return migrateDatabase(args, env);
      case "status":
        return showDatabase(args, env);
      case "copy":
        return copyDatabase(args, env);
      default:
        throw new UsageError("write migrate, status or copy after `weir db`");
    }
  },
};
