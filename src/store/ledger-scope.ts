import { readMilliseconds } from "./ledger-rows.ts";
import type { Bindings } from "./sql-session.ts";
import type { LedgerFilter } from "./store.ts";
import { StoreError } from "./store.ts";

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

/** More names than this would not fit into one statement. */
const NAMES_MAX = 10_000;

/** Throws StoreError when the filter names more than 10,000 things. */
export function encodeScope(filter: LedgerFilter): LedgerScope {
  const { teams, keys, users, models, providers } = filter;
  const names = teams.length + keys.length + users.length + 2 * models.length + providers.length;
  if (names > NAMES_MAX) {
    throw new StoreError(`The filter names more than ${NAMES_MAX} things: ask in several parts.`);
  }
  return {
    startMs: readMilliseconds(filter.startTime),
    endMs: readMilliseconds(filter.endTime),
    teams,
    keys,
    users,
    models,
    providers,
    labels: Object.entries(filter.labels),
    onlyErrors: filter.onlyErrors,
  };
}

/** The condition on `requests r` that a scope stands for. */
export function writeScope(scope: LedgerScope, bindings: Bindings): string {
  const conditions = ["1 = 1"];
  if (scope.startMs !== undefined) conditions.push(`r.start_ms >= ${bindings.bind(scope.startMs)}`);
  if (scope.endMs !== undefined) conditions.push(`r.start_ms < ${bindings.bind(scope.endMs)}`);
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
  for (const [key, value] of scope.labels) {
    conditions.push(
      "r.request_id IN (SELECT l.request_id FROM request_labels l " +
        `WHERE l.label_key = ${bindings.bind(key)} AND l.label_value = ${bindings.bind(value)})`,
    );
  }
  if (scope.onlyErrors) conditions.push("r.error_reason <> ''");
  return conditions.join(" AND ");
}
