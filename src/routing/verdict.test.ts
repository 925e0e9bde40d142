import { describe, expect, it } from "vitest";
import { createTestLeg } from "../../test/support/targets.ts";
import { MeshError } from "../mesh/errors.ts";
import { followsFailure } from "./verdict.ts";

describe("followsFailure() of a leg after the budget", () => {
  const exhausted = (to: string) =>
    new MeshError("BUDGET_EXHAUSTED", "spent", { metadata: { downgrade_to: to } });
  const leg = createTestLeg([], { name: "cheap", after: "budget", askedAs: "bargain" });

  it("knows its model as the policy writes it", () => {
    expect(followsFailure(leg, exhausted("bargain"))).toBe(true);
    expect(followsFailure(leg, exhausted("other"))).toBe(false);
  });

  it("goes by its name where nobody wrote another", () => {
    const plain = createTestLeg([], { name: "cheap", after: "budget" });
    expect(followsFailure(plain, exhausted("cheap"))).toBe(true);
  });

  it("follows no other failure", () => {
    for (const reason of ["RATE_LIMITED", "QUOTA_UNAVAILABLE", "UPSTREAM_FAILED"] as const) {
      const error = new MeshError(reason, "no", { metadata: { downgrade_to: "bargain" } });
      expect(followsFailure(leg, error)).toBe(false);
    }
  });
});
