import { parseBucket } from "../mesh/limit.ts";
import { findWindow } from "../mesh/window.ts";
import type { QuotaGrant } from "../store/quota-report.ts";
import type { BudgetReading } from "./quota-alerts.ts";
import type { LimitFinder } from "./quota-limits.ts";

/** What the budgets of a report stand at, for those who want to be told. */
export function readBudgets(
  grants: readonly QuotaGrant[],
  limits: LimitFinder,
): readonly BudgetReading[] {
  const readings: BudgetReading[] = [];
  for (const grant of grants) {
    const reading = grant.windowEndsInMs === 0 ? undefined : readBudget(grant, limits);
    if (reading !== undefined) readings.push(reading);
  }
  return readings;
}

function readBudget(grant: QuotaGrant, limits: LimitFinder): BudgetReading | undefined {
  const parts = parseBucket(grant.bucket);
  if (parts === undefined || grant.refusal === "gone" || grant.refusal === "full") return undefined;
  const rule = limits.policy(parts.policy)?.rule;
  const limit = limits.find(parts.policy);
  if (limit?.window === undefined || rule?.case !== "budget") return undefined;
  const { endMs } = findWindow(limit.window, grant.windowStartMs);
  return {
    bucket: grant.bucket,
    policy: parts.policy,
    subject: parts.subject,
    unit: limit.unit,
    windowStartMs: grant.windowStartMs,
    windowEndMs: Number.isFinite(endMs) ? endMs : null,
    ceiling: grant.ceiling,
    spent: grant.spent,
    exhausted: grant.refusal === "exhausted",
    percents: rule.value.alertPercents,
    urls: rule.value.alertWebhooks,
  };
}
