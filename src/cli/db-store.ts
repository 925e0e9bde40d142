import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { systemClock } from "../mesh/clock.ts";
import { parsePostgresUrl } from "../store/postgres-url.ts";
import type { SqlStore } from "../store/sql-store.ts";
import { databaseUrlOption, databaseUrlSchema } from "./database-url.ts";
import { Failure, reportFailure } from "./failure.ts";
import { openStore, storeFile } from "./open-store.ts";
import type { OptionSpecs } from "./read-options.ts";

/** The options that say which store a `weir db` command is about. */
export const storeOptions: OptionSpecs = {
  "database-url": databaseUrlOption,
  "data-dir": { value: "DIR", help: "where the SQLite file is", env: "WEIR_DATA_DIR" },
};

export const storeShape = {
  "database-url": databaseUrlSchema.optional(),
  "data-dir": z.string().min(1).default(".weir"),
};

/** Which store was meant. */
export interface GivenStore {
  readonly "database-url"?: string | undefined;
  readonly "data-dir": string;
}

/**
 * Runs a command on the store that was meant, and closes it. What fails is told in one line, and
 * the exit code is 1.
 */
export function withStore(
  given: GivenStore,
  run: (store: SqlStore, label: string) => Promise<number>,
): Promise<number> {
  const databaseUrl = given["database-url"];
  const dataDir = resolve(given["data-dir"]);
  return reportFailure("db", "", async () => {
    const file = storeFile(dataDir);
    // To open a file that is not there would make it: a wrong path should be told instead.
    if (databaseUrl === undefined && !existsSync(file)) {
      throw new Failure(
        `There is no store at ${file}: name its --data-dir, or a Postgres by WEIR_DATABASE_URL.`,
      );
    }
    const store = await openStore({ databaseUrl, dataDir, clock: systemClock });
    try {
      return await run(
        store,
        databaseUrl === undefined ? file : parsePostgresUrl(databaseUrl).label,
      );
    } finally {
      await store.close();
    }
  });
}
