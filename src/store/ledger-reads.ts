import type { LedgerScope } from "./ledger-scope.ts";
import { writeScope } from "./ledger-scope.ts";
import type { SqlSession } from "./sql-session.ts";
import { Bindings, readBytes, readInteger, readText } from "./sql-session.ts";

/** A record, as protobuf. */
export async function readRecord(
  session: SqlSession,
  requestId: string,
): Promise<Uint8Array | undefined> {
  const [row] = await session.rows("SELECT record FROM requests WHERE request_id = $1", [
    requestId,
  ]);
  return row && readBytes(row, "record");
}

/** The newest records of a scope, as protobuf. */
export async function readRecent(
  session: SqlSession,
  input: { readonly scope: LedgerScope; readonly limit: number },
): Promise<readonly Uint8Array[]> {
  const bindings = new Bindings();
  const { from, where, time, requestId } = writeScope(input.scope, bindings);
  const rows = await session.rows(
    `SELECT r.record FROM ${from} WHERE ${where}
     ORDER BY ${time} DESC, ${requestId} DESC LIMIT ${bindings.bind(input.limit)}`,
    bindings.values,
  );
  return rows.map((row) => readBytes(row, "record"));
}

/** When keys were last accounted; those that never were are left out. */
export async function readLastUsed(
  session: SqlSession,
  keys: readonly string[],
): Promise<readonly (readonly [string, number])[]> {
  const found: (readonly [string, number])[] = [];
  for (let begin = 0; begin < keys.length; begin += KEYS_A_QUERY) {
    const bindings = new Bindings();
    const list = bindings.bindList(keys.slice(begin, begin + KEYS_A_QUERY));
    const rows = await session.rows(
      `SELECT key_name, last_used_ms FROM key_usage WHERE key_name IN ${list}`,
      bindings.values,
    );
    for (const row of rows) {
      found.push([readText(row, "key_name"), readInteger(row, "last_used_ms")]);
    }
  }
  return found;
}

/** Well below what any engine takes as parameters of one statement. */
const KEYS_A_QUERY = 1000;
