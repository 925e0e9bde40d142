import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Role } from "../../../gen/weir/admin/v1/team_pb.ts";
import type { Principal } from "../../mesh/grant.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { KeyLimitState } from "../../mesh/key-limit.ts";
import type { Limit } from "../../mesh/limit.ts";

const NANO = 1_000_000_000;

/** A key as its holder sees it: OpenRouter's fields, then Weir's own. */
export function writeKey(
  principal: Principal,
  limits: readonly KeyLimitState[],
  wallMs: number,
): JsonObject {
  const { key, teams, user, adminRole } = principal;
  const isAdmin = adminRole !== Role.UNSPECIFIED;
  const shown = limits.map((each) => writeLimit(each, wallMs));
  return {
    label: key.displayName === "" ? key.name : key.displayName,
    ...writeBudget(limits),
    is_free_tier: false,
    is_management_key: isAdmin,
    is_provisioning_key: isAdmin,
    include_byok_in_limit: false,
    rate_limit: writeRate(limits),
    expires_at:
      key.expireTime === undefined ? null : new Date(timestampMs(key.expireTime)).toISOString(),
    name: key.name,
    team: teams[0]?.name ?? "",
    user: user === "" ? null : user,
    allowed_models: key.allowedModels,
    labels: key.labels,
    limits: shown,
  };
}

/** One limit; what is left of it is null where nobody can tell. */
function writeLimit({ limit, bound, state, ...rest }: KeyLimitState, wallMs: number): JsonObject {
  const known = state?.known === true;
  const { per } = limit;
  const scope = bound === undefined && per.kind === "label" ? `${per.label}=*` : bound?.subject;
  return {
    policy: limit.policy,
    kind: limit.kind === "rate" ? "rate_limit" : limit.kind,
    dimension: limit.unit,
    scope: scope === undefined || scope === "" ? "shared" : scope,
    mode: limit.audit ? "audit" : "enforce",
    limit: known ? state.ceiling : limit.amount,
    remaining: known ? state.remaining : null,
    resets_at: resetTime(state, wallMs),
    ...writeTerms(limit),
    models: writeNames(rest.models),
    providers: writeNames(rest.providers),
    labels: rest.labels,
  };
}

function writeNames({ include, exclude }: KeyLimitState["models"]): JsonObject {
  return { include, exclude };
}

function resetTime(state: KeyLimitState["state"], wallMs: number): string | null {
  if (state === undefined || !state.known || state.resetsInMs === undefined) return null;
  // To the second, and never too early.
  return new Date(Math.ceil((wallMs + state.resetsInMs) / 1000) * 1000).toISOString();
}

/** Over which time a limit counts, and what it does instead of refusing. */
function writeTerms(limit: Limit): JsonObject {
  if (limit.kind === "rate") return { period_seconds: limit.periodMs / 1000, burst: limit.burst };
  const { window } = limit;
  if (window === undefined) return {};
  const downgrade = limit.downgradeTo === "" ? {} : { downgrade_to: limit.downgradeTo };
  if (window.kind === "lifetime") return { window: "lifetime", ...downgrade };
  const name = window.kind === "rolling" ? `rolling_${window.days}_days` : window.unit;
  return { window: name, time_zone: window.timeZone, ...downgrade };
}

/**
 * OpenRouter knows one limit in money: the one of which least is left, among those that concern all
 * that the key asks. Usage is what is not left of it, and null where no such budget counts it.
 */
function writeBudget(limits: readonly KeyLimitState[]): JsonObject {
  let tightest: KeyLimitState["state"];
  for (const each of limits) {
    const { limit, state } = each;
    if (limit.kind !== "budget" || limit.unit !== "nano_usd" || state?.known !== true) continue;
    if (limit.audit || !concernsAll(each)) continue;
    if (tightest === undefined || state.remaining < tightest.remaining) tightest = state;
  }
  if (tightest === undefined) {
    return { limit: null, limit_remaining: null, limit_reset: null, usage: null };
  }
  const { ceiling, remaining, bound } = tightest;
  const { window } = bound.limit;
  return {
    limit: ceiling / NANO,
    limit_remaining: remaining / NANO,
    limit_reset: window?.kind === "calendar" ? (resetWords[window.unit] ?? null) : null,
    usage: Math.max(0, ceiling - remaining) / NANO,
  };
}

const resetWords: Readonly<Record<string, string>> = {
  day: "daily",
  week: "weekly",
  month: "monthly",
};

/** OpenRouter's form of a rate, where -1 means that there is none. */
function writeRate(limits: readonly KeyLimitState[]): JsonObject {
  let tightest: Limit | undefined;
  for (const each of limits) {
    const { limit } = each;
    if (limit.kind !== "rate" || limit.unit !== "requests" || limit.audit) continue;
    if (!concernsAll(each)) continue;
    if (tightest === undefined || speedOf(limit) < speedOf(tightest)) tightest = limit;
  }
  if (tightest === undefined) return { requests: -1, interval: "10s" };
  return { requests: tightest.amount, interval: `${tightest.periodMs / 1000}s` };
}

function speedOf({ amount, periodMs }: Limit): number {
  return amount / periodMs;
}

function concernsAll({ models, providers, labels }: KeyLimitState): boolean {
  const all = [models, providers].every(
    ({ include, exclude }) => include.length === 0 && exclude.length === 0,
  );
  return all && Object.keys(labels).length === 0;
}
