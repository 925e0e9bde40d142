import { writeSync } from "node:fs";
import { openSqliteStore } from "../../src/store/sqlite-store.ts";
import { createRecordAt } from "./store-material.ts";

/**
 * Appends records until it is killed, several at a time, and prints the identifier of each that was
 * acknowledged, in a line of its own: `node sqlite-append-child.ts PATH PREFIX`.
 */
const [, , path = "", prefix = ""] = process.argv;
const store = await openSqliteStore({ path });
await store.migrate();

async function appendForever(lane: number): Promise<never> {
  for (let n = 0; ; n += 1) {
    const id = `${prefix}-${lane}-${n}`;
    await store.appendRecords([createRecordAt(id, n, { labels: { lane: String(lane) } })]);
    print(`${id}\n`);
  }
}

/** At once, so that nothing that was acknowledged is lost with this process; a full pipe is waited for. */
function print(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    }
  }
}

await Promise.all(Array.from({ length: 16 }, (_, lane) => appendForever(lane)));
