import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import {
  BudgetRule_OnUnavailable,
  BudgetRuleSchema,
  ConcurrencyRuleSchema,
  Dimension,
  type Policy,
  Policy_Mode,
  PolicySchema,
  RateLimitRuleSchema,
  type Window,
  Window_Calendar,
  WindowSchema,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import type { Chance } from "./chance.ts";

/** A policy that limits, and in whose pots requests are counted. */
export interface Pot {
  readonly policy: Policy;
  readonly subjects: readonly string[];
}

/** The policies of a world: budgets of all kinds, a rate or two, slots. */
export function createPots(chance: Chance): readonly Pot[] {
  const count = chance.integer(1, 5);
  const pots: Pot[] = [];
  for (let at = 0; at < count; at += 1) {
    const name = `policies/p${at}`;
    const kind = at === 0 ? "money" : chance.pick(["money", "count", "rate", "slots"] as const);
    pots.push({ policy: createPolicy(chance, name, kind), subjects: createSubjects(chance) });
  }
  return pots;
}

/** The same policy with another ceiling. */
export function withAmount(policy: Policy, amount: number): Policy {
  const copy = create(PolicySchema, { ...policy });
  const limit = BigInt(Math.max(0, Math.floor(amount)));
  if (copy.rule.case === "budget") {
    copy.rule = { case: "budget", value: create(BudgetRuleSchema, { ...copy.rule.value, limit }) };
  } else if (copy.rule.case === "rateLimit") {
    const value = create(RateLimitRuleSchema, { ...copy.rule.value, limit });
    copy.rule = { case: "rateLimit", value };
  } else if (copy.rule.case === "concurrency") {
    copy.rule = { case: "concurrency", value: create(ConcurrencyRuleSchema, { limit }) };
  }
  return copy;
}

/** The same policy over another window; what is no budget stays. */
export function withWindow(policy: Policy, chance: Chance): Policy {
  if (policy.rule.case !== "budget") return policy;
  const copy = create(PolicySchema, { ...policy });
  const value = create(BudgetRuleSchema, { ...policy.rule.value, window: createWindow(chance) });
  copy.rule = { case: "budget", value };
  return copy;
}

export function readAmount(policy: Policy): number {
  switch (policy.rule.case) {
    case "budget":
    case "rateLimit":
    case "concurrency":
      return Number(policy.rule.value.limit);
    default:
      return 0;
  }
}

function createSubjects(chance: Chance): readonly string[] {
  if (chance.happens(0.6)) return [""];
  return ["teams/a", "teams/b", "teams/c"].slice(0, chance.integer(1, 3));
}

function createPolicy(
  chance: Chance,
  name: string,
  kind: "money" | "count" | "rate" | "slots",
): Policy {
  const mode = chance.happens(0.05) ? Policy_Mode.AUDIT : Policy_Mode.ENFORCE;
  const base = { name, mode };
  if (kind === "slots") {
    const value = create(ConcurrencyRuleSchema, { limit: BigInt(chance.integer(1, 40)) });
    return create(PolicySchema, { ...base, rule: { case: "concurrency", value } });
  }
  if (kind === "rate") {
    const dimension = chance.pick([Dimension.REQUESTS, Dimension.REQUESTS, Dimension.TOKENS]);
    const unit = dimension === Dimension.REQUESTS ? 1 : 3_000;
    const limit = BigInt(Math.ceil(chance.magnitude(3, 600) * unit));
    const seconds = BigInt(chance.pick([1, 10, 60]));
    const value = create(RateLimitRuleSchema, {
      dimension,
      limit,
      period: create(DurationSchema, { seconds }),
    });
    if (chance.happens(0.5)) value.burst = BigInt(Math.ceil(chance.magnitude(2, 60) * unit));
    return create(PolicySchema, { ...base, rule: { case: "rateLimit", value } });
  }
  const value = create(BudgetRuleSchema, {
    ...chooseCount(chance, kind),
    window: createWindow(chance),
    clamp: chance.happens(0.2),
  });
  if (chance.happens(0.5)) {
    value.survive = create(DurationSchema, { seconds: BigInt(chance.pick([1, 5, 60])) });
  }
  if (chance.happens(0.08)) value.onUnavailable = BudgetRule_OnUnavailable.ALLOW;
  return create(PolicySchema, { ...base, rule: { case: "budget", value } });
}

/** From a few requests' worth to more than the world will ask for. */
function chooseCount(chance: Chance, kind: "money" | "count") {
  if (kind === "money") {
    // A usual request costs a few hundredths of a dollar at most.
    const limit = BigInt(Math.round(chance.magnitude(2e8, 2e10)));
    return { dimension: Dimension.NANO_USD, limit };
  }
  if (chance.happens(0.4)) {
    return { dimension: Dimension.REQUESTS, limit: BigInt(chance.integer(1, 250)) };
  }
  const dimension = chance.pick([
    Dimension.TOKENS,
    Dimension.INPUT_TOKENS,
    Dimension.OUTPUT_TOKENS,
  ]);
  return { dimension, limit: BigInt(Math.round(chance.magnitude(1e5, 1e7))) };
}

function createWindow(chance: Chance): Window {
  const timeZone = chance.pick(["", "UTC", "Europe/Berlin", "Asia/Kolkata"]);
  const roll = chance.unit();
  if (roll < 0.35) return create(WindowSchema, { window: { case: "lifetime", value: {} } });
  if (roll < 0.5) {
    const value = chance.pick([1, 2, 30]);
    return create(WindowSchema, { timeZone, window: { case: "rollingDays", value } });
  }
  const value = chance.pick([
    Window_Calendar.MINUTE,
    Window_Calendar.HOUR,
    Window_Calendar.DAY,
    Window_Calendar.WEEK,
    Window_Calendar.MONTH,
    Window_Calendar.YEAR,
  ]);
  return create(WindowSchema, { timeZone, window: { case: "calendar", value } });
}
