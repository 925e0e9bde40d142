import { z } from "zod";
import type { Environment } from "./command.ts";
import { storeOptions, storeShape, withStore } from "./db-store.ts";
import { print } from "./output.ts";
import { readOptions } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

const schema = z.object(storeShape);

/** `weir db migrate`: what a control process does when it starts, before it starts. */
export function migrateDatabase(args: readonly string[], env: Environment): Promise<number> {
  const { options: given, positionals } = readOptions(args, storeOptions, schema, env);
  if (positionals.length > 0) throw new UsageError("nothing stands behind `weir db migrate`");
  return withStore(given, async (store, label) => {
    const applied = await store.migrate();
    const what = applied.length === 0 ? "was up to date" : `now has schema ${applied.join(", ")}`;
    print(`${label} ${what}.`);
    return 0;
  });
}
