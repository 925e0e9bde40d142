import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  BudgetRuleSchema,
  Dimension,
  type MatchSchema,
  Per_Scope,
  Policy_Mode,
  type PolicySchema,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { createTestAsk, createTestCall, createTestPrincipal } from "../../test/support/calls.ts";
import { holdSnapshot } from "../../test/support/snapshots.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createPolicyRoom } from "./policy-room.ts";

type PolicyInit = MessageInitShape<typeof PolicySchema>;
type Per = MessageInitShape<typeof BudgetRuleSchema>["per"];

const clock = new VirtualClock();

const all: PolicyInit = {
  name: "policies/all",
  rule: { case: "access", value: { allowModels: ["*"] } },
};

function budget(
  name: string,
  match: MessageInitShape<typeof MatchSchema> = {},
  more: {
    per?: Per;
    downgradeTo?: string;
    policy?: { disabled?: boolean; mode?: Policy_Mode };
  } = {},
): PolicyInit {
  const value = create(BudgetRuleSchema, {
    dimension: Dimension.TOKENS,
    limit: 1000n,
    window: { window: { case: "lifetime", value: {} } },
    ...(more.per && { per: more.per }),
    onExhausted: { downgradeTo: more.downgradeTo ?? "" },
  });
  return { name, match, rule: { case: "budget", value }, ...more.policy };
}

function house(policies: readonly PolicyInit[]) {
  const holder = holdSnapshot({
    teams: [{ name: "teams/root" }, { name: "teams/a" }],
    providers: [{ name: "providers/p", dialect: "sim" }],
    models: [
      { name: "models/chat", targets: [{ provider: "providers/p" }], fallbacks: ["spare"] },
      { name: "models/spare", targets: [{ provider: "providers/p" }] },
      { name: "models/cheap", targets: [{ provider: "providers/p" }] },
      { name: "models/nick", aliasOf: "chat" },
      { name: "models/bargain", aliasOf: "cheap" },
    ],
    policies: [all, ...policies],
  });
  const room = createPolicyRoom(() => holder.current);
  const grant = (
    ask: Parameters<typeof createTestAsk>[1] = {},
    principal = createTestPrincipal(),
  ) => room.grant(principal, createTestAsk("hi", { model: "chat", ...ask }), createTestCall(clock));
  const change = (upserts: readonly PolicyInit[], deletions: readonly string[] = []) => {
    const { revision } = holder.current;
    const given = holdSnapshot({ policies: upserts }).export().upserts;
    const next = { revision: revision + 1, baseRevision: revision, installationId: "test" };
    holder.apply({ ...next, upserts: given, deletions });
  };
  return { holder, room, grant, change };
}

function bucketsOf(...args: Parameters<ReturnType<typeof house>["grant"]>) {
  return (policies: readonly PolicyInit[]) =>
    house(policies)
      .grant(...args)
      .legs[0]?.limits?.map(({ bucket }) => bucket) ?? [];
}

describe("leg.limits", () => {
  it("is left out where nothing limits", () => {
    expect(house([]).grant().legs[0]).not.toHaveProperty("limits");
  });

  it("names budgets, rates and slots, in the order of their names", () => {
    const rate: PolicyInit = {
      name: "policies/b",
      rule: { case: "rateLimit", value: { dimension: Dimension.REQUESTS, limit: 5n } },
    };
    const slots: PolicyInit = {
      name: "policies/a",
      rule: { case: "concurrency", value: { limit: 5n } },
    };
    expect(bucketsOf()([budget("policies/c"), rate, slots])).toEqual([
      "policies/a|slots|",
      "policies/b|requests:rate|",
      "policies/c|tokens:lifetime|",
    ]);
  });

  it("leaves out what is disabled, and keeps what is only audited", () => {
    const off = budget("policies/off", {}, { policy: { disabled: true } });
    const audit = budget("policies/audit", {}, { policy: { mode: Policy_Mode.AUDIT } });
    expect(bucketsOf()([off, audit])).toEqual(["policies/audit|tokens:lifetime|"]);
  });

  const matches: ReadonlyArray<readonly [MessageInitShape<typeof MatchSchema>, boolean]> = [
    [{ teams: { include: ["teams/a"] } }, true],
    [{ teams: { include: ["teams/root"] } }, true],
    [{ teams: { include: ["teams/b"] } }, false],
    [{ teams: { include: ["teams/root"], exclude: ["teams/a"] } }, false],
    [{ users: { include: ["users/ada"] } }, true],
    [{ users: { include: ["users/a*"] } }, true],
    [{ users: { include: ["users/bob"] } }, false],
    [{ keys: { include: ["teams/a/keys/k"] } }, true],
    [{ keys: { include: ["teams/a/keys/*"] } }, true],
    [{ keys: { include: ["teams/a*"] } }, true],
    [{ keys: { include: ["teams/b/keys/*", "teams/b/keys/k"] } }, false],
    [{ keys: { exclude: ["teams/a/keys/k"] } }, false],
    [{ models: { include: ["chat"] } }, true],
    [{ models: { include: ["ch*"] } }, true],
    [{ models: { include: ["nick"] } }, false],
    [{ models: { exclude: ["chat"] } }, false],
    [{ labels: { tier: { values: ["gold"] } } }, true],
    [{ labels: { tier: { values: ["lead"] } } }, false],
    [{ labels: { asked: { values: ["y*"] } } }, true],
    [{ labels: { tier: { values: ["gold"] }, asked: { values: ["no"] } } }, false],
    [{ labels: { constructor: { values: ["*"] } } }, false],
    [{ providers: { include: ["providers/elsewhere"] } }, true],
  ];
  for (const [match, concerned] of matches) {
    it(`${concerned ? "has" : "has not"} a limit on ${JSON.stringify(match)}`, () => {
      const principal = createTestPrincipal({ user: "users/ada", labels: { tier: "gold" } });
      const ask = { labels: { tier: "lead", asked: "yes" } };
      const found = bucketsOf(ask, principal)([budget("policies/p", match)]);
      expect(found).toHaveLength(concerned ? 1 : 0);
    });
  }

  it("holds a team's own policy to its subtree", () => {
    const policies = ["teams/a", "teams/root", "teams/b"].map((team) =>
      budget(`${team}/policies/own`),
    );
    expect(bucketsOf()(policies)).toEqual([
      "teams/a/policies/own|tokens:lifetime|",
      "teams/root/policies/own|tokens:lifetime|",
    ]);
  });

  it("finds a limit on an alias and one on the model behind it, each once", () => {
    const policies = [
      budget("policies/alias", { models: { include: ["nick"] } }),
      budget("policies/model", { models: { include: ["chat"] } }),
      budget("policies/both", { models: { include: ["nick", "chat"] } }),
    ];
    expect(bucketsOf({ model: "nick" })(policies)).toEqual([
      "policies/alias|tokens:lifetime|",
      "policies/both|tokens:lifetime|",
      "policies/model|tokens:lifetime|",
    ]);
    expect(bucketsOf()(policies)).toHaveLength(2);
  });

  const pots: ReadonlyArray<readonly [NonNullable<Per>, string]> = [
    [{ scope: Per_Scope.SHARED }, ""],
    [{ scope: Per_Scope.EACH_TEAM }, "teams/a"],
    [{ scope: Per_Scope.EACH_USER }, "users/ada"],
    [{ scope: Per_Scope.EACH_KEY }, "teams/a/keys/k"],
    [{ scope: Per_Scope.EACH_LABEL, label: "feature" }, "feature=search"],
    [{ scope: Per_Scope.EACH_LABEL, label: "tier" }, "tier=gold"],
    [{ scope: Per_Scope.EACH_LABEL, label: "none" }, "none="],
    [{ scope: Per_Scope.EACH_LABEL, label: "toString" }, "toString="],
  ];
  for (const [per, subject] of pots) {
    it(`counts in the pot "${subject}"`, () => {
      const principal = createTestPrincipal({ user: "users/ada", labels: { tier: "gold" } });
      const ask = { labels: { tier: "lead", feature: "search" } };
      expect(bucketsOf(ask, principal)([budget("policies/p", {}, { per })])).toEqual([
        `policies/p|tokens:lifetime|${subject}`,
      ]);
    });
  }

  it("counts all keys that belong to nobody in one pot", () => {
    const per = { scope: Per_Scope.EACH_USER };
    expect(bucketsOf()([budget("policies/p", {}, { per })])).toEqual([
      "policies/p|tokens:lifetime|(none)",
    ]);
  });
});

describe("what is kept of leg.limits", () => {
  const principal = createTestPrincipal();
  const limitsOf = ({ grant }: ReturnType<typeof house>, ask = {}) =>
    grant(ask, principal).legs[0]?.limits;

  it("stays the same objects while nothing that concerns the key changes", () => {
    const own = house([budget("policies/p"), budget("policies/q")]);
    const before = limitsOf(own);
    expect(limitsOf(own)).toBe(before);
    own.change([budget("policies/b", { keys: { include: ["teams/b/keys/k"] } })]);
    own.change([budget("policies/c", { models: { include: ["cheap"] } })]);
    own.change([budget("policies/d", { teams: { exclude: ["teams/a"] } })]);
    expect(limitsOf(own)).toBe(before);
  });

  it("changes with what concerns the key, and keeps the rest", () => {
    const own = house([budget("policies/p"), budget("policies/q")]);
    const before = limitsOf(own);
    own.change([budget("policies/q", { teams: { include: ["teams/a"] } })]);
    const after = limitsOf(own);
    expect(after?.map(({ limit }) => limit.policy)).toEqual(["policies/p", "policies/q"]);
    expect(after?.[0]).toBe(before?.[0]);
    expect(after?.[1]).not.toBe(before?.[1]);
    own.change([], ["policies/q"]);
    expect(limitsOf(own)).toEqual([before?.[0]]);
  });

  it("is one object for a pot, whoever is counted in it", () => {
    const own = house([budget("policies/p", {}, { per: { scope: Per_Scope.EACH_TEAM } })]);
    const [one] = own.grant({}, principal).legs[0]?.limits ?? [];
    const other = createTestPrincipal({ name: "teams/a/keys/other" });
    const [two] = own.grant({ model: "spare" }, other).legs[0]?.limits ?? [];
    expect(one).toBeDefined();
    expect(two).toBe(one);
  });

  it("follows the labels of each request", () => {
    const own = house([
      budget("policies/gold", { labels: { tier: { values: ["gold"] } } }),
      budget("policies/p"),
      budget("policies/z", {}, { per: { scope: Per_Scope.EACH_LABEL, label: "feature" } }),
    ]);
    const subjects = (labels: Record<string, string>) =>
      limitsOf(own, { labels })?.map(({ limit, subject }) => [limit.policy, subject]);
    expect(subjects({})).toEqual([
      ["policies/p", ""],
      ["policies/z", "feature="],
    ]);
    expect(subjects({ tier: "gold", feature: "x" })).toEqual([
      ["policies/p", ""],
      ["policies/gold", ""],
      ["policies/z", "feature=x"],
    ]);
  });

  it("stays the same array for requests of the same labels, one after the other", () => {
    const own = house([
      budget("policies/p", {}, { per: { scope: Per_Scope.EACH_LABEL, label: "feature" } }),
    ]);
    const one = limitsOf(own, { labels: { feature: "x" } });
    expect(limitsOf(own, { labels: { feature: "x", more: "y" } })).toBe(one);
    const other = limitsOf(own, { labels: { feature: "y" } });
    expect(other).not.toBe(one);
    expect(limitsOf(own, { labels: { feature: "x" } })?.[0]).toBe(one?.[0]);
  });

  it("lets an access policy on labels judge each request, and no others again", () => {
    const own = house([
      {
        name: "policies/no",
        match: { labels: { stage: { values: ["test"] } } },
        rule: { case: "access", value: { denyModels: ["chat"] } },
      },
    ]);
    const leg = own.grant({}, principal).legs[0];
    expect(() => own.grant({ labels: { stage: "test" } }, principal)).toThrow("policies/no");
    expect(own.grant({ labels: { stage: "other" } }, principal).legs[0]).toBe(leg);
  });

  it("takes a key's new labels and a user's new key as they are", () => {
    const own = house([budget("policies/p", { labels: { tier: { values: ["gold"] } } })]);
    expect(own.grant({}, createTestPrincipal()).legs[0]?.limits).toBeUndefined();
    const gold = createTestPrincipal({ labels: { tier: "gold" } });
    expect(own.grant({}, gold).legs[0]?.limits).toHaveLength(1);
  });
});

describe("downgrades", () => {
  const legsOf = (policies: readonly PolicyInit[], ask = {}) =>
    house(policies)
      .grant(ask)
      .legs.map(({ name, after, askedAs }) => [name, after, askedAs]);

  it("come last, after the budget only, by the name behind the alias", () => {
    expect(legsOf([budget("policies/p", {}, { downgradeTo: "bargain" })])).toEqual([
      ["chat", "first", undefined],
      ["spare", "any", undefined],
      ["cheap", "budget", "bargain"],
    ]);
  });

  it("come once, and not for a model that is tried anyway", () => {
    const policies = [
      budget("policies/p", {}, { downgradeTo: "cheap" }),
      budget("policies/q", {}, { downgradeTo: "cheap" }),
      budget("policies/r", {}, { downgradeTo: "spare" }),
      budget("policies/s", {}, { downgradeTo: "chat" }),
    ];
    expect(legsOf(policies).map(([name]) => name)).toEqual(["chat", "spare", "cheap"]);
  });

  it("follow one another, with limits of their own", () => {
    const policies = [
      budget("policies/p", { models: { include: ["spare"] } }, { downgradeTo: "cheap" }),
      budget("policies/q", { models: { include: ["cheap"] } }, { downgradeTo: "nick" }),
    ];
    const { legs } = house(policies).grant({ model: "spare" });
    expect(legs.map(({ name, after }) => [name, after])).toEqual([
      ["spare", "first"],
      ["cheap", "budget"],
      ["chat", "budget"],
    ]);
    expect(legs[1]?.limits?.map(({ limit }) => limit.policy)).toEqual(["policies/q"]);
  });

  it("are judged like any other model, and audits name none", () => {
    const deny: PolicyInit = {
      name: "policies/no",
      rule: { case: "access", value: { denyModels: ["cheap"] } },
    };
    expect(legsOf([deny, budget("policies/p", {}, { downgradeTo: "cheap" })])).toHaveLength(2);
    const audit = { mode: Policy_Mode.AUDIT };
    const policies = [budget("policies/p", {}, { downgradeTo: "cheap", policy: audit })];
    expect(legsOf(policies)).toHaveLength(2);
  });
});
