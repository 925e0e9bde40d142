import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  BudgetRuleSchema,
  ConcurrencyRuleSchema,
  Dimension,
  Per_Scope,
  RateLimitRuleSchema,
  Window_Calendar,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { checkLimit, type LimitRule } from "./check-limit.ts";

type Budget = Omit<MessageInitShape<typeof BudgetRuleSchema>, "$typeName" | "$unknown">;
type Rate = Omit<MessageInitShape<typeof RateLimitRuleSchema>, "$typeName" | "$unknown">;

function budget(more: Budget): LimitRule {
  const sound: Budget = {
    dimension: Dimension.NANO_USD,
    limit: 5n,
    window: { window: { case: "calendar", value: Window_Calendar.MONTH } },
  };
  return { case: "budget", value: create(BudgetRuleSchema, { ...sound, ...more }) };
}

function rate(more: Rate): LimitRule {
  const sound: Rate = { dimension: Dimension.REQUESTS, limit: 5n };
  return { case: "rateLimit", value: create(RateLimitRuleSchema, { ...sound, ...more }) };
}

function concurrency(limit: bigint): LimitRule {
  return { case: "concurrency", value: create(ConcurrencyRuleSchema, { limit }) };
}

function check(rule: LimitRule): string[] {
  return checkLimit(rule, (name) => name === "small");
}

/** The field that is refused; "" when none is. */
function refusedField(rule: LimitRule): string {
  try {
    check(rule);
    return "";
  } catch (error) {
    if (!(error instanceof MeshError) || error.reason !== "INVALID_REQUEST") throw error;
    return error.details.field ?? "?";
  }
}

const rolling = (value: number): Budget => ({ window: { window: { case: "rollingDays", value } } });
const zone = (timeZone: string): Budget => ({
  window: { window: { case: "lifetime", value: {} }, timeZone },
});

describe("checkLimit", () => {
  it("takes what can be held", () => {
    const sound: LimitRule[] = [
      budget({}),
      budget({ ...rolling(1), limit: 2n ** 53n - 1n }),
      budget(rolling(366)),
      budget({ ...zone("Europe/Berlin"), dimension: Dimension.REQUESTS }),
      budget({ alertPercents: [1, 1000], alertWebhooks: ["https://a.example/x"] }),
      budget({ survive: { seconds: 1n }, onExhausted: { downgradeTo: "small" } }),
      budget({ per: { scope: Per_Scope.EACH_LABEL, label: "project" }, clamp: true }),
      rate({}),
      rate({ dimension: Dimension.OUTPUT_TOKENS, burst: 1n, period: { seconds: 3600n } }),
      concurrency(1n),
    ];
    for (const rule of sound) expect(check(rule)).toEqual([]);
  });

  it("warns of what can hardly be meant", () => {
    for (const rule of [budget({ limit: 0n }), rate({ limit: 0n }), concurrency(0n)]) {
      expect(check(rule)).toEqual(["A limit of 0 lets nothing through."]);
    }
    expect(check(budget({ onUnavailable: 2 }))[0]).toContain("more than the limit may be spent");
  });

  it("refuses budgets that nobody could hold, and names the field", () => {
    const wrong: readonly (readonly [Budget, string])[] = [
      [{ dimension: Dimension.UNSPECIFIED }, "dimension"],
      [{ dimension: 77 as Dimension }, "dimension"],
      [{ limit: -1n }, "limit"],
      [{ limit: 2n ** 53n }, "limit"],
      [{ window: {} }, "window"],
      [{ window: { window: { case: "calendar", value: 0 } } }, "window.calendar"],
      [
        { window: { window: { case: "calendar", value: 8 as Window_Calendar } } },
        "window.calendar",
      ],
      [rolling(0), "window.rolling_days"],
      [rolling(367), "window.rolling_days"],
      [zone("Mars/Olympus"), "window.time_zone"],
      [zone("+01:00"), "window.time_zone"],
      [zone("UTC|x"), "window.time_zone"],
      [{ per: { scope: Per_Scope.EACH_LABEL } }, "per.label"],
      [{ per: { scope: Per_Scope.EACH_LABEL, label: "No|" } }, "per.label"],
      [{ per: { scope: Per_Scope.SHARED, label: "project" } }, "per.label"],
      [{ per: { scope: 9 as Per_Scope } }, "per.scope"],
      [{ alertPercents: [0] }, "alert_percents"],
      [{ alertPercents: [1001] }, "alert_percents"],
      [{ alertPercents: Array(21).fill(50) }, "alert_percents"],
      [{ alertWebhooks: ["ftp://a.example"] }, "alert_webhooks"],
      [{ alertWebhooks: ["nonsense"] }, "alert_webhooks"],
      [{ onUnavailable: 3 as 2 }, "on_unavailable"],
      [{ survive: { nanos: 999_000_000 } }, "survive"],
      [{ survive: { seconds: 3601n } }, "survive"],
      [{ survive: { seconds: -60n } }, "survive"],
      [{ defaultPrice: { inputNanoUsdPerMillion: -1n } }, "default_price"],
      [{ onExhausted: { downgradeTo: "large" } }, "on_exhausted.downgrade_to"],
    ];
    for (const [more, field] of wrong) {
      expect(refusedField(budget(more)), field).toBe(`policy.budget.${field}`);
    }
    const windowless = create(BudgetRuleSchema, { dimension: Dimension.TOKENS, limit: 1n });
    expect(refusedField({ case: "budget", value: windowless })).toBe("policy.budget.window");
  });

  it("refuses rates and concurrency that nobody could hold", () => {
    const wrong: readonly (readonly [Rate, string])[] = [
      [{ dimension: Dimension.UNSPECIFIED }, "dimension"],
      [{ dimension: Dimension.NANO_USD }, "dimension"],
      [{ limit: -1n }, "limit"],
      [{ limit: 9_007_199_255n }, "limit"],
      [{ burst: -1n }, "burst"],
      [{ burst: 0n }, "burst"],
      [{ burst: 9_007_199_255n }, "burst"],
      [{ period: {} }, "period"],
      [{ period: { seconds: -1n } }, "period"],
      [{ per: { scope: Per_Scope.EACH_LABEL } }, "per.label"],
    ];
    for (const [more, field] of wrong) {
      expect(refusedField(rate(more)), field).toBe(`policy.rate_limit.${field}`);
    }
    expect(refusedField(concurrency(-1n))).toBe("policy.concurrency.limit");
    expect(refusedField(concurrency(2n ** 53n))).toBe("policy.concurrency.limit");
  });
});
