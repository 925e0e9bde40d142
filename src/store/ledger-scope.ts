import type { Bindings } from "./sql-session.ts";

/** A filter in the ledger's own terms. */
export interface LedgerScope {
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
  readonly teams: readonly string[];
  readonly keys: readonly string[];
  readonly users: readonly string[];
  readonly models: readonly string[];
  readonly providers: readonly string[];
  readonly labels: readonly (readonly [string, string])[];
  readonly onlyErrors: boolean;
}

/** Where the rows of a scope come from, and which of them are meant. */
export interface ScopeText {
  /** Tables, in the order in which they are best read; `requests` is `r`. */
  readonly from: string;
  readonly where: string;
  /** The column that has the time, on the index that is read first. */
  readonly time: string;
  /** The column that has the request's identifier, on the same index. */
  readonly requestId: string;
}

/** A scope with a label is read along the index of labels, every other along those of requests. */
export function writeScope(scope: LedgerScope, bindings: Bindings): ScopeText {
  const [first, ...others] = scope.labels;
  const lead = first === undefined ? "r" : "l";
  const conditions = ["1 = 1"];
  if (first !== undefined) {
    conditions.push(
      "r.request_id = l.request_id AND r.start_ms = l.start_ms",
      `l.label_key = ${bindings.bind(first[0])} AND l.label_value = ${bindings.bind(first[1])}`,
    );
  }
  const { startMs, endMs } = scope;
  if (startMs !== undefined) conditions.push(`${lead}.start_ms >= ${bindings.bind(startMs)}`);
  if (endMs !== undefined) conditions.push(`${lead}.start_ms < ${bindings.bind(endMs)}`);
  conditions.push(...writeNames(scope, bindings));
  for (const [key, value] of others) {
    conditions.push(
      "EXISTS (SELECT 1 FROM request_labels o WHERE o.request_id = r.request_id " +
        `AND o.start_ms = r.start_ms AND o.label_key = ${bindings.bind(key)} AND o.label_value = ${bindings.bind(value)})`,
    );
  }
  if (scope.onlyErrors) conditions.push("r.error_reason <> ''");
  return {
    from: first === undefined ? "requests r" : "request_labels l CROSS JOIN requests r",
    where: conditions.join(" AND "),
    time: `${lead}.start_ms`,
    requestId: `${lead}.request_id`,
  };
}

function writeNames(scope: LedgerScope, bindings: Bindings): readonly string[] {
  const conditions: string[] = [];
  const oneOf = (column: string, names: readonly string[]) => {
    if (names.length > 0) conditions.push(`${column} IN ${bindings.bindList(names)}`);
  };
  oneOf("r.team", scope.teams);
  oneOf("r.key_name", scope.keys);
  oneOf("r.user_name", scope.users);
  oneOf("r.provider", scope.providers);
  if (scope.models.length > 0) {
    const answered = bindings.bindList(scope.models);
    const asked = bindings.bindList(scope.models);
    conditions.push(`(r.model IN ${answered} OR r.model_asked IN ${asked})`);
  }
  return conditions;
}
