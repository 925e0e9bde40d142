import type { LedgerRow } from "./ledger-rows.ts";
import { listValues, requestColumns } from "./ledger-rows.ts";
import { readRows } from "./record-row.ts";
import type { SqlSession, SqlValue } from "./sql-session.ts";
import { addToRollups } from "./usage-rollup.ts";

/**
 * Appends the records of batches, each an encoded weir.link.v1.RecordBatch; one whose `request_id`
 * is there already is left out, labels and all. Returns how many were new. All writers go in one
 * order, first through requests and then through keys, so that two of them cannot each wait for a
 * row of the other.
 */
export async function appendBatches(
  session: SqlSession,
  batches: readonly Uint8Array[],
): Promise<number> {
  const rows = readRows(batches).sort(byRequest);
  const changed = await session.runEach(insertRequest, rows.map(listValues));
  const labels: SqlValue[][] = [];
  const lastUsed = new Map<string, number>();
  const added: LedgerRow[] = [];
  for (const [index, row] of rows.entries()) {
    if (changed[index] !== 1) continue;
    added.push(row);
    for (const [key, value] of row.labels) labels.push([row.requestId, key, value, row.startMs]);
    if (row.startMs > (lastUsed.get(row.key) ?? -1)) lastUsed.set(row.key, row.startMs);
  }
  await session.runEach(insertLabel, labels);
  await session.runEach(touchKey, [...lastUsed].sort(byKey));
  await addToRollups(session, added);
  return added.length;
}

/**
 * Deletes the oldest rows that began before a time, at most `limit` of them; how many there were.
 * The sums of their hours and days stay.
 */
export async function pruneRows(
  session: SqlSession,
  input: { readonly beforeMs: number; readonly limit: number },
): Promise<number> {
  const oldest =
    "SELECT request_id FROM requests WHERE start_ms < $1 ORDER BY start_ms, request_id LIMIT $2";
  const values = [input.beforeMs, input.limit];
  await session.run(`DELETE FROM request_labels WHERE request_id IN (${oldest})`, values);
  return session.run(`DELETE FROM requests WHERE request_id IN (${oldest})`, values);
}

const insertRequest =
  `INSERT INTO requests (${requestColumns.join(", ")}) ` +
  `VALUES (${requestColumns.map((_, index) => `$${index + 1}`).join(", ")}) ON CONFLICT DO NOTHING`;

const insertLabel =
  "INSERT INTO request_labels (request_id, label_key, label_value, start_ms) " +
  "VALUES ($1, $2, $3, $4) " +
  "ON CONFLICT DO NOTHING";

const touchKey =
  "INSERT INTO key_usage (key_name, last_used_ms) VALUES ($1, $2) " +
  "ON CONFLICT (key_name) DO UPDATE SET last_used_ms = excluded.last_used_ms " +
  "WHERE key_usage.last_used_ms < excluded.last_used_ms";

/** Of one identifier the first stays the first: it is the one that counts. */
function byRequest(a: LedgerRow, b: LedgerRow): number {
  if (a.requestId === b.requestId) return 0;
  return a.requestId < b.requestId ? -1 : 1;
}

function byKey(a: readonly [string, number], b: readonly [string, number]): number {
  return a[0] < b[0] ? -1 : 1;
}
