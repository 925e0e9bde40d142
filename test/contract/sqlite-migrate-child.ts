import { openSqliteStore } from "../../src/store/sqlite-store.ts";

/**
 * Migrates a store and prints the versions that it applied: `node sqlite-migrate-child.ts PATH`.
 */
const [, , path = ""] = process.argv;
const store = await openSqliteStore({ path });
process.stdout.write(JSON.stringify(await store.migrate()));
await store.close();
