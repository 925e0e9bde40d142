import { create } from "@bufbuild/protobuf";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import {
  type RequestFilter,
  RequestFilterSchema,
} from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { LedgerFilter } from "../store/store.ts";
import type { Caller } from "./caller.ts";
import { checkCount, quote, refuse } from "./check-fields.ts";
import { teamKind } from "./kinds.ts";
import { readsEverything } from "./permissions.ts";
import { isWithin, listSubtree, type World } from "./world.ts";

/** More names than this do not fit into one question to the ledger. */
const NAMES_MAX = 4000;

/**
 * A filter narrowed to what the caller may see, its teams spelled out to their subtrees. Throws
 * PERMISSION_DENIED for teams and keys that it may not see, rather than to answer as if they had
 * spent nothing.
 */
export function scopeFilter(
  world: World,
  caller: Caller,
  asked: RequestFilter | undefined,
): LedgerFilter {
  const filter = { ...(asked ?? create(RequestFilterSchema)) };
  for (const field of ["teams", "keys", "users", "models", "providers"] as const) {
    checkCount(`filter.${field}`, filter[field].length, 1000);
  }
  for (const team of filter.teams) {
    if (!teamKind.pattern.test(team)) refuse("filter.teams", `${quote(team)} is no teams/{team}.`);
  }
  if (caller.role === Role.UNSPECIFIED) {
    const own = caller.key.name;
    if (filter.keys.some((key) => key !== own)) throw denied(`This key sees only ${own}.`);
    return { ...expandTeams(world, filter), keys: [own] };
  }
  if (readsEverything(caller)) return expandTeams(world, filter);
  for (const team of filter.teams) {
    if (!isWithin(world, team, caller.team)) throw denied(`You may not see the usage of ${team}.`);
  }
  const teams = filter.teams.length > 0 ? filter.teams : [caller.team];
  return expandTeams(world, { ...filter, teams });
}

/** Whether the caller may see a record. */
export function maySee(world: World, caller: Caller, record: RequestRecord): boolean {
  if (readsEverything(caller)) return true;
  if (caller.role === Role.UNSPECIFIED) return record.key === caller.key.name;
  return isWithin(world, record.team, caller.team);
}

/**
 * The record as the caller may see it: what upstreams said, and what was left out, is for those who
 * run Weir.
 */
export function showRecord(caller: Caller, record: RequestRecord): RequestRecord {
  if (readsEverything(caller)) return record;
  const attempts = record.attempts.map((attempt) => ({ ...attempt, detail: "" }));
  return { ...record, attempts, excluded: [] };
}

/** Says of a record whether it is in a filter that was scoped; times do not count. */
export function createMatcher(filter: LedgerFilter): (record: RequestRecord) => boolean {
  const isIn = (names: readonly string[]) => {
    const set = new Set(names);
    return (...each: string[]) => set.size === 0 || each.some((name) => set.has(name));
  };
  const [teams, keys, users] = [isIn(filter.teams), isIn(filter.keys), isIn(filter.users)];
  const [models, providers] = [isIn(filter.models), isIn(filter.providers)];
  const labels = Object.entries(filter.labels);
  return (record) =>
    teams(record.team) &&
    keys(record.key) &&
    users(record.user) &&
    models(record.model, record.modelAsked) &&
    providers(record.provider) &&
    labels.every(([label, value]) => record.labels[label] === value) &&
    (!filter.onlyErrors || record.errorReason !== "");
}

function expandTeams(world: World, filter: RequestFilter): LedgerFilter {
  const teams = new Set<string>();
  for (const team of filter.teams) {
    // One that is gone may still have spent.
    teams.add(team);
    for (const below of listSubtree(world, team)) teams.add(below);
  }
  if (teams.size > NAMES_MAX) {
    refuse("filter.teams", `These are more than ${NAMES_MAX} teams: ask in several parts.`);
  }
  return { ...filter, teams: [...teams] };
}

function denied(message: string): MeshError {
  return new MeshError("PERMISSION_DENIED", message);
}
