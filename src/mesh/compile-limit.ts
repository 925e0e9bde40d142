import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type BudgetRule,
  BudgetRule_OnUnavailable,
  Dimension,
  type Per,
  Per_Scope,
  type Policy,
  Policy_Mode,
  type Selector,
  type Window,
  Window_Calendar,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { SnapshotRefusal } from "./compile-refusal.ts";
import type { CalendarUnit, Limit, LimitScope, LimitUnit, LimitWindow } from "./limit.ts";

/** What a budget's leases survive when it does not say, in milliseconds. */
export const SURVIVE_MS = 60_000;

/** A rate's period when it does not say, in milliseconds. */
export const PERIOD_MS = 60_000;

/** The highest rate: its level is counted in millionths. */
export const RATE_MAX = Math.floor(Number.MAX_SAFE_INTEGER / 1_000_000);

/**
 * Compiles a policy of the kind budget, rate_limit or concurrency, for proxies and for the ledger
 * alike. Undefined for other kinds and for a policy that is disabled. Throws SnapshotRefusal where
 * a limit is not understood: leaving it out would mean not to hold it.
 */
export function compileLimit(policy: Policy): Limit | undefined {
  if (policy.disabled) return undefined;
  switch (policy.rule.case) {
    case "budget":
      return compileBudget(policy, policy.rule.value);
    case "rateLimit": {
      const rule = policy.rule.value;
      const unit = readUnit(policy, rule.dimension);
      const amount = readAmount(policy, rule.limit, RATE_MAX);
      return {
        ...readCommon(policy, rule.per),
        kind: "rate",
        unit,
        form: `${unit}:rate`,
        amount,
        periodMs: readMs(rule.period, PERIOD_MS),
        burst: rule.burst === undefined ? amount : readAmount(policy, rule.burst, RATE_MAX),
      };
    }
    case "concurrency":
      return {
        ...readCommon(policy, policy.rule.value.per),
        kind: "concurrency",
        unit: "slots",
        form: "slots",
        amount: readAmount(policy, policy.rule.value.limit),
      };
    default:
      return undefined;
  }
}

function compileBudget(policy: Policy, rule: BudgetRule): Limit {
  const unit = readUnit(policy, rule.dimension);
  const window = readWindow(policy, rule.window);
  return {
    ...readCommon(policy, rule.per),
    kind: "budget",
    unit,
    form: `${unit}:${formatWindow(window)}`,
    amount: readAmount(policy, rule.limit),
    window,
    clamp: rule.clamp,
    downgradeTo: rule.onExhausted?.downgradeTo ?? "",
    allowUnproven: rule.onUnavailable === BudgetRule_OnUnavailable.ALLOW,
    surviveMs: readMs(rule.survive, SURVIVE_MS),
    defaultPrice: rule.defaultPrice,
  };
}

/** What a limit has that is the same for all kinds, or that its kind does not have. */
function readCommon(policy: Policy, per: Per | undefined) {
  const providers = policy.match?.providers;
  return {
    policy: policy.name,
    window: undefined,
    periodMs: 0,
    burst: 0,
    per: readScope(policy, per),
    audit: policy.mode === Policy_Mode.AUDIT,
    clamp: false,
    downgradeTo: "",
    allowUnproven: false,
    surviveMs: SURVIVE_MS,
    defaultPrice: undefined,
    concernsProvider: (provider: string) => selects(providers, provider),
  } satisfies Partial<Limit>;
}

const units: ReadonlyMap<Dimension, LimitUnit> = new Map([
  [Dimension.NANO_USD, "nano_usd"],
  [Dimension.TOKENS, "tokens"],
  [Dimension.INPUT_TOKENS, "input_tokens"],
  [Dimension.OUTPUT_TOKENS, "output_tokens"],
  [Dimension.REQUESTS, "requests"],
]);

function readUnit(policy: Policy, dimension: Dimension): LimitUnit {
  return units.get(dimension) ?? refuse(policy, `It counts the unknown dimension ${dimension}.`);
}

function readAmount(policy: Policy, amount: bigint, max = Number.MAX_SAFE_INTEGER): number {
  const number = Number(amount);
  if (Number.isSafeInteger(number) && number >= 0 && number <= max) return number;
  return refuse(policy, `${amount} is no limit: it must be from 0 to ${max}.`);
}

const calendarUnits: ReadonlyMap<Window_Calendar, CalendarUnit> = new Map([
  [Window_Calendar.MINUTE, "minute"],
  [Window_Calendar.HOUR, "hour"],
  [Window_Calendar.DAY, "day"],
  [Window_Calendar.WEEK, "week"],
  [Window_Calendar.MONTH, "month"],
  [Window_Calendar.QUARTER, "quarter"],
  [Window_Calendar.YEAR, "year"],
]);

function readWindow(policy: Policy, window: Window | undefined): LimitWindow {
  const timeZone = window?.timeZone || "UTC";
  switch (window?.window.case) {
    case "calendar": {
      const unit = calendarUnits.get(window.window.value);
      if (unit === undefined) return refuse(policy, "Its calendar window is unknown.");
      return { kind: "calendar", unit, timeZone };
    }
    case "rollingDays":
      return { kind: "rolling", days: window.window.value, timeZone };
    case "lifetime":
      return { kind: "lifetime" };
    default:
      return refuse(policy, "It has no window that is known here.");
  }
}

function formatWindow(window: LimitWindow): string {
  switch (window.kind) {
    case "calendar":
      return `${window.unit}@${window.timeZone}`;
    case "rolling":
      return `rolling${window.days}@${window.timeZone}`;
    case "lifetime":
      return "lifetime";
    default:
      return window satisfies never;
  }
}

function readScope(policy: Policy, per: Per | undefined): LimitScope {
  switch (per?.scope) {
    case undefined:
    case Per_Scope.UNSPECIFIED:
    case Per_Scope.SHARED:
      return { kind: "shared" };
    case Per_Scope.EACH_TEAM:
      return { kind: "team" };
    case Per_Scope.EACH_USER:
      return { kind: "user" };
    case Per_Scope.EACH_KEY:
      return { kind: "key" };
    case Per_Scope.EACH_LABEL:
      return { kind: "label", label: per.label };
    default:
      return refuse(policy, "Whose pot it is, is not known here.");
  }
}

function readMs(duration: Duration | undefined, unset: number): number {
  if (duration === undefined) return unset;
  return Math.max(1, Math.round(Number(duration.seconds) * 1000 + duration.nanos / 1e6));
}

function selects(selector: Selector | undefined, name: string): boolean {
  if (selector === undefined) return true;
  const matches = (pattern: string) =>
    pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
  if (selector.exclude.some(matches)) return false;
  return selector.include.length === 0 || selector.include.some(matches);
}

function refuse(policy: Policy, reason: string): never {
  throw new SnapshotRefusal(policy.name, `${reason} Upgrade this Weir.`);
}
