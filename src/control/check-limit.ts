import {
  type BudgetRule,
  BudgetRule_OnUnavailable,
  type ConcurrencyRule,
  Dimension,
  type Per,
  Per_Scope,
  type RateLimitRule,
  type Window,
  Window_Calendar,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { RATE_MAX } from "../mesh/compile-limit.ts";
import { isTimeZone } from "../mesh/zone-offset.ts";
import { checkAlertUrl } from "./alert-message.ts";
import { checkCount, checkDuration, checkPrice, quote, refuse } from "./check-fields.ts";

/** A rule that limits how much is used. */
export type LimitRule =
  | { readonly case: "budget"; readonly value: BudgetRule }
  | { readonly case: "rateLimit"; readonly value: RateLimitRule }
  | { readonly case: "concurrency"; readonly value: ConcurrencyRule };

/** Whether a model answers to a name that clients may ask for. */
export type ServesModel = (name: string) => boolean;

/** Checks a limit. Returns warnings; throws INVALID_REQUEST. */
export function checkLimit(rule: LimitRule, servesModel: ServesModel): string[] {
  switch (rule.case) {
    case "budget":
      return checkBudget(rule.value, servesModel);
    case "rateLimit":
      return checkRate(rule.value);
    case "concurrency":
      checkAmount("policy.concurrency.limit", rule.value.limit, AMOUNT_MAX);
      checkPer("policy.concurrency.per", rule.value.per);
      return warnOfZero(rule.value.limit);
    default:
      return rule satisfies never;
  }
}

function checkBudget(rule: BudgetRule, servesModel: ServesModel): string[] {
  const at = "policy.budget";
  if (!budgetDimensions.has(rule.dimension)) refuse(`${at}.dimension`, describe(budgetDimensions));
  checkAmount(`${at}.limit`, rule.limit, AMOUNT_MAX);
  checkWindow(`${at}.window`, rule.window);
  checkPer(`${at}.per`, rule.per);
  checkCount(`${at}.alert_percents`, rule.alertPercents.length, 20);
  for (const percent of rule.alertPercents) {
    if (percent < 1 || percent > 1000) {
      refuse(`${at}.alert_percents`, `${percent} is out of range: percentages go from 1 to 1000.`);
    }
  }
  checkCount(`${at}.alert_webhooks`, rule.alertWebhooks.length, 20);
  for (const url of rule.alertWebhooks) checkAlertUrl(`${at}.alert_webhooks`, url);
  const unavailable = rule.onUnavailable;
  if (
    unavailable < BudgetRule_OnUnavailable.UNSPECIFIED ||
    unavailable > BudgetRule_OnUnavailable.ALLOW
  ) {
    refuse(`${at}.on_unavailable`, "Use ON_UNAVAILABLE_DENY or ON_UNAVAILABLE_ALLOW.");
  }
  checkDuration(`${at}.survive`, rule.survive, { minMs: 1000, maxMs: 3_600_000 });
  if (rule.defaultPrice !== undefined) checkPrice(`${at}.default_price`, rule.defaultPrice);
  const downgradeTo = rule.onExhausted?.downgradeTo ?? "";
  if (downgradeTo !== "" && !servesModel(downgradeTo)) {
    refuse(
      `${at}.on_exhausted.downgrade_to`,
      `${quote(downgradeTo)} is no model that is there: name one as clients ask for it.`,
    );
  }
  const warnings = warnOfZero(rule.limit);
  if (unavailable === BudgetRule_OnUnavailable.ALLOW) {
    warnings.push(
      "With ON_UNAVAILABLE_ALLOW more than the limit may be spent while the ledger is away.",
    );
  }
  return warnings;
}

function checkRate(rule: RateLimitRule): string[] {
  const at = "policy.rate_limit";
  if (!rateDimensions.has(rule.dimension)) refuse(`${at}.dimension`, describe(rateDimensions));
  checkAmount(`${at}.limit`, rule.limit, BigInt(RATE_MAX));
  if (rule.burst !== undefined) {
    checkAmount(`${at}.burst`, rule.burst, BigInt(RATE_MAX));
    if (rule.burst === 0n && rule.limit > 0n) {
      refuse(
        `${at}.burst`,
        "With a burst of 0 nothing could pass: give 1 or more, or leave it out.",
      );
    }
  }
  checkDuration(`${at}.period`, rule.period, { minMs: 1, maxMs: 31 * 86_400_000 });
  checkPer(`${at}.per`, rule.per);
  return warnOfZero(rule.limit);
}

function checkWindow(field: string, window: Window | undefined): void {
  switch (window?.window.case) {
    case "calendar": {
      const unit = window.window.value;
      if (unit < Window_Calendar.MINUTE || unit > Window_Calendar.YEAR) {
        refuse(`${field}.calendar`, "Use CALENDAR_MINUTE to CALENDAR_YEAR.");
      }
      break;
    }
    case "rollingDays": {
      const days = window.window.value;
      if (days < 1 || days > 366) {
        refuse(`${field}.rolling_days`, `${days} is out of range: give 1 to 366 days.`);
      }
      break;
    }
    case "lifetime":
      break;
    default:
      refuse(field, "A budget needs a window: `calendar`, `rolling_days` or `lifetime`.");
  }
  if (window.timeZone !== "" && !isTimeZone(window.timeZone)) {
    refuse(
      `${field}.time_zone`,
      `${quote(window.timeZone)} is no IANA time zone: give one such as Europe/Berlin.`,
    );
  }
}

function checkPer(field: string, per: Per | undefined): void {
  if (per === undefined) return;
  if (per.scope < Per_Scope.UNSPECIFIED || per.scope > Per_Scope.EACH_LABEL) {
    refuse(`${field}.scope`, `${per.scope} is no scope.`);
  }
  const byLabel = per.scope === Per_Scope.EACH_LABEL;
  if (byLabel && !/^[a-z0-9_.-]{1,63}$/.test(per.label)) {
    refuse(`${field}.label`, "SCOPE_EACH_LABEL needs a `label`: 1 to 63 of a-z, 0-9, _, . and -.");
  }
  if (!byLabel && per.label !== "") {
    refuse(`${field}.label`, "A label belongs to SCOPE_EACH_LABEL alone: leave it out.");
  }
}

function checkAmount(field: string, amount: bigint, max: bigint): void {
  if (amount < 0n || amount > max) refuse(field, `A limit is from 0 to ${max}, not ${amount}.`);
}

function warnOfZero(limit: bigint): string[] {
  return limit === 0n ? ["A limit of 0 lets nothing through."] : [];
}

function describe(allowed: ReadonlyMap<Dimension, string>): string {
  return `It must be one of ${[...allowed.values()].join(", ")}.`;
}

const rateDimensions: ReadonlyMap<Dimension, string> = new Map([
  [Dimension.REQUESTS, "DIMENSION_REQUESTS"],
  [Dimension.TOKENS, "DIMENSION_TOKENS"],
  [Dimension.INPUT_TOKENS, "DIMENSION_INPUT_TOKENS"],
  [Dimension.OUTPUT_TOKENS, "DIMENSION_OUTPUT_TOKENS"],
]);

const budgetDimensions: ReadonlyMap<Dimension, string> = new Map([
  [Dimension.NANO_USD, "DIMENSION_NANO_USD"],
  ...rateDimensions,
]);

/** What a double counts exactly. */
const AMOUNT_MAX = BigInt(Number.MAX_SAFE_INTEGER);
