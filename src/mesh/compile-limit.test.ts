import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  BudgetRule_OnUnavailable,
  Dimension,
  Per_Scope,
  Policy_Mode,
  PolicySchema,
  Window_Calendar,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { compileLimit } from "./compile-limit.ts";

type Init = MessageInitShape<typeof PolicySchema>;
type Rule = NonNullable<Init["rule"]>;

const lifetime = { window: { case: "lifetime", value: {} } } as const;

function compile(rule: Rule, more: Init = {}) {
  return compileLimit(create(PolicySchema, { name: "policies/p", rule, ...more }));
}

describe("compileLimit", () => {
  it("compiles a budget with everything said", () => {
    const limit = compile(
      {
        case: "budget",
        value: {
          dimension: Dimension.NANO_USD,
          limit: 5_000_000_000n,
          window: {
            window: { case: "calendar", value: Window_Calendar.MONTH },
            timeZone: "Europe/Berlin",
          },
          per: { scope: Per_Scope.EACH_LABEL, label: "project" },
          clamp: true,
          onExhausted: { downgradeTo: "small" },
          onUnavailable: BudgetRule_OnUnavailable.ALLOW,
          survive: { seconds: 90n, nanos: 500_000_000 },
        },
      },
      { mode: Policy_Mode.AUDIT },
    );
    expect(limit).toMatchObject({
      policy: "policies/p",
      kind: "budget",
      unit: "nano_usd",
      form: "nano_usd:month@Europe/Berlin",
      amount: 5_000_000_000,
      per: { kind: "label", label: "project" },
      audit: true,
      clamp: true,
      downgradeTo: "small",
      allowUnproven: true,
      surviveMs: 90_500,
    });
  });

  it("fills in what a budget leaves unsaid", () => {
    const limit = compile({
      case: "budget",
      value: { dimension: Dimension.REQUESTS, limit: 3n, window: lifetime },
    });
    expect(limit).toMatchObject({
      form: "requests:lifetime",
      per: { kind: "shared" },
      audit: false,
      allowUnproven: false,
      surviveMs: 60_000,
      defaultPrice: undefined,
    });
  });

  it("names the days of a rolling window and its zone in the form", () => {
    const window = { window: { case: "rollingDays", value: 30 } } as const;
    const limit = compile({
      case: "budget",
      value: { dimension: Dimension.TOKENS, limit: 3n, window },
    });
    expect(limit?.form).toBe("tokens:rolling30@UTC");
  });

  it("gives a rate its limit as burst, and a minute, unless it says otherwise", () => {
    const value = { dimension: Dimension.REQUESTS, limit: 60n };
    expect(compile({ case: "rateLimit", value })).toMatchObject({
      kind: "rate",
      form: "requests:rate",
      amount: 60,
      periodMs: 60_000,
      burst: 60,
      window: undefined,
    });
    const said = { ...value, burst: 5n, period: { seconds: 1n } };
    expect(compile({ case: "rateLimit", value: said })).toMatchObject({ periodMs: 1000, burst: 5 });
  });

  it("counts slots for concurrency", () => {
    expect(compile({ case: "concurrency", value: { limit: 4n } })).toMatchObject({
      kind: "concurrency",
      unit: "slots",
      form: "slots",
      amount: 4,
    });
  });

  it("leaves out other kinds and what is disabled", () => {
    expect(compile({ case: "access", value: {} })).toBeUndefined();
    const disabled = { disabled: true };
    expect(compile({ case: "concurrency", value: { limit: 4n } }, disabled)).toBeUndefined();
  });

  it("concerns the providers that are selected", () => {
    const match = { providers: { include: ["providers/a*"], exclude: ["providers/ab"] } };
    const limit = compile({ case: "concurrency", value: { limit: 4n } }, { match });
    const asked = ["providers/a", "providers/ab", "providers/b"];
    expect(asked.map((name) => limit?.concernsProvider(name))).toEqual([true, false, false]);
  });

  it("refuses limits that it does not understand, rather than not to hold them", () => {
    const budget = { dimension: Dimension.TOKENS, limit: 1n, window: lifetime };
    const wrong: Rule[] = [
      { case: "budget", value: { ...budget, dimension: 99 as Dimension } },
      { case: "budget", value: { ...budget, limit: -1n } },
      { case: "budget", value: { ...budget, limit: 2n ** 53n } },
      { case: "budget", value: { dimension: Dimension.TOKENS, limit: 1n } },
      { case: "budget", value: { ...budget, window: { window: { case: "calendar", value: 0 } } } },
      { case: "rateLimit", value: { limit: 1n } },
      { case: "rateLimit", value: { dimension: Dimension.TOKENS, limit: 2n ** 40n } },
    ];
    for (const rule of wrong) expect(() => compile(rule)).toThrow("Upgrade this Weir");
  });
});
