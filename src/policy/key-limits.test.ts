import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  Dimension,
  type MatchSchema,
  Per_Scope,
  type PolicySchema,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { createTestPrincipal } from "../../test/support/calls.ts";
import { holdSnapshot } from "../../test/support/snapshots.ts";
import type { Principal } from "../mesh/grant.ts";
import { createPolicyRoom } from "./policy-room.ts";

type PolicyInit = MessageInitShape<typeof PolicySchema>;
type Match = MessageInitShape<typeof MatchSchema>;

function rate(
  name: string,
  match: Match = {},
  scope: Per_Scope = Per_Scope.SHARED,
  label = "",
): PolicyInit {
  const value = { dimension: Dimension.REQUESTS, limit: 5n, per: { scope, label } };
  return { name: `policies/${name}`, match, rule: { case: "rateLimit", value } };
}

const access: PolicyInit = {
  name: "policies/access",
  rule: { case: "access", value: { allowModels: ["*"], denyModels: ["secret"] } },
};

function limitsOf(policies: readonly PolicyInit[], principal: Principal = createTestPrincipal()) {
  const holder = holdSnapshot({
    teams: [{ name: "teams/root" }, { name: "teams/a" }, { name: "teams/b" }],
    providers: [{ name: "providers/p", dialect: "sim" }],
    models: [
      { name: "models/chat", targets: [{ provider: "providers/p" }] },
      { name: "models/secret", targets: [{ provider: "providers/p" }] },
      { name: "models/wild/*", targets: [{ provider: "providers/p", upstreamModel: "x-*" }] },
    ],
    policies: [access, ...policies],
  });
  return createPolicyRoom(() => holder.current).limitsOf(principal);
}

function namesOf(...given: Parameters<typeof limitsOf>): string[] {
  return limitsOf(...given).map(({ limit }) => limit.policy.slice("policies/".length));
}

describe("the limits of a key", () => {
  it("are those that concern it whatever it asks, and none of others", () => {
    const named = namesOf([
      rate("general"),
      rate("mine", { keys: { include: ["teams/a/keys/k"] } }),
      rate("above", { teams: { include: ["teams/root"] } }),
      rate("theirs", { teams: { include: ["teams/b"] } }),
      rate("yours", { users: { include: ["users/u"] } }),
      { ...rate("off"), disabled: true },
    ]);
    expect(named).toEqual(["above", "general", "mine"]);
  });

  it("are those of single models too, if the key may use these", () => {
    const policies = [
      rate("chat", { models: { include: ["chat"] } }),
      rate("wild", { models: { include: ["wild/one"] } }),
      rate("secret", { models: { include: ["secret"] } }),
      rate("mixed", { models: { include: ["secret", "chat"], exclude: ["secret"] } }),
      rate("mine", { keys: { include: ["teams/a/keys/k"] }, models: { include: ["secret"] } }),
    ];
    expect(namesOf(policies)).toEqual(["chat", "mixed", "wild"]);
    const mixed = limitsOf(policies).find(({ limit }) => limit.policy === "policies/mixed");
    expect(mixed?.models).toEqual({ include: ["chat"], exclude: [] });
  });

  it("say whose pot it is, unless a request's labels decide", () => {
    const [bySource, byTeam] = limitsOf([
      rate("a", {}, Per_Scope.EACH_LABEL, "source"),
      rate("b", { labels: { source: { values: ["x", "y*"] } } }, Per_Scope.EACH_TEAM),
    ]);
    expect(bySource?.bound).toBeUndefined();
    expect(byTeam?.bound?.subject).toBe("teams/a");
    expect(byTeam?.labels).toEqual({ source: ["x", "y*"] });
    const labelled = createTestPrincipal({ labels: { source: "z" } });
    const own = limitsOf([rate("a", {}, Per_Scope.EACH_LABEL, "source")], labelled);
    expect(own[0]?.bound?.subject).toBe("source=z");
  });

  it("name providers as callers know them", () => {
    const [first] = limitsOf([rate("a", { providers: { include: ["providers/p"] } })]);
    expect(first?.providers).toEqual({ include: ["p"], exclude: [] });
  });

  it("are none for a key that administers", () => {
    const admin = createTestPrincipal({ adminRole: Role.PLATFORM_ADMIN });
    expect(limitsOf([rate("general")], admin)).toEqual([]);
  });
});
