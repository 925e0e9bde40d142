import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { lockDirectory } from "../link/directory-lock.ts";
import { systemClock } from "../mesh/clock.ts";
import { copyToPostgres } from "../store/copy-store.ts";
import { parsePostgresUrl } from "../store/postgres-url.ts";
import type { Environment } from "./command.ts";
import { storeOptions, storeShape } from "./db-store.ts";
import { Failure, reportFailure } from "./failure.ts";
import { storeFile } from "./open-store.ts";
import { print } from "./output.ts";
import { readOptions } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

const options = {
  ...storeOptions,
  from: { value: "FILE", help: "the SQLite file; default weir.db in the data directory" },
};

const schema = z.object({
  ...storeShape,
  "database-url": storeShape["database-url"].unwrap(),
  from: z.string().min(1).optional(),
});

/** `weir db copy`: a whole SQLite store into an empty Postgres, compared on arrival. */
export function copyDatabase(args: readonly string[], env: Environment): Promise<number> {
  const { options: given, positionals } = readOptions(args, options, schema, env);
  if (positionals.length > 0) throw new UsageError("name the file by --from");
  const from = resolve(given.from ?? storeFile(given["data-dir"]));
  const to = given["database-url"];
  return reportFailure("db", "", async () => {
    if (!existsSync(from)) throw new Failure(`There is no store at ${from}: name it by --from.`);
    // A `weir serve` that uses the directory holds its lock.
    const lock = await lockDirectory(dirname(from));
    try {
      await copyToPostgres({
        from,
        to,
        clock: systemClock,
        onTable: ({ name, rows, sha256 }) =>
          print(
            `${name.padEnd(16)} ${String(rows).padStart(10)} rows  sha256 ${sha256.slice(0, 16)}`,
          ),
      });
    } finally {
      await lock.release();
    }
    print(
      `${parsePostgresUrl(to).label} now holds all of ${from}. Start Weir with WEIR_DATABASE_URL, ` +
        "and with the same secret.key or WEIR_SECRET_KEY: it opens the sealed credentials.",
    );
    return 0;
  });
}
