import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { AccessRuleSchema, Policy_Mode } from "../../gen/weir/admin/v1/policy_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { RoutingPreferences_Sort, RoutingPreferencesSchema } from "../../gen/weir/v1/chat_pb.ts";
import { createTestAsk, createTestCall, createTestPrincipal } from "../../test/support/calls.ts";
import { holdSnapshot, type TestResources } from "../../test/support/snapshots.ts";
import { MeshError } from "../mesh/errors.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createModelDirectory } from "./model-directory.ts";
import { createPolicyRoom } from "./policy-room.ts";

type Policies = NonNullable<TestResources["policies"]>;

const clock = new VirtualClock();

const house = {
  teams: [{ name: "teams/root" }, { name: "teams/a" }],
  providers: [
    { name: "providers/eu", dialect: "sim", region: "eu-west-1", zeroDataRetention: true },
    { name: "providers/us", dialect: "sim", region: "us-east-1" },
    { name: "providers/off", dialect: "sim", disabled: true },
  ],
  models: [
    {
      name: "models/chat",
      targets: [{ provider: "providers/eu" }, { provider: "providers/us" }],
      fallbacks: ["spare", "secret"],
      contextWindowFallbacks: ["spare"],
    },
    { name: "models/spare", targets: [{ provider: "providers/us" }] },
    { name: "models/secret", targets: [{ provider: "providers/us" }] },
    { name: "models/nick", aliasOf: "chat" },
    { name: "models/loop", aliasOf: "loop" },
    { name: "models/gone", targets: [{ provider: "providers/us" }], disabled: true },
    { name: "models/dark", targets: [{ provider: "providers/off" }] },
    { name: "models/wild/*", targets: [{ provider: "providers/us", upstreamModel: "x-*" }] },
  ],
} satisfies TestResources;

function allow(fields: MessageInitShape<typeof AccessRuleSchema> = {}) {
  const value = create(AccessRuleSchema, { allowModels: ["*"], ...fields });
  return { case: "access", value } as const;
}

function grantOf(
  policies: Policies,
  ask: Parameters<typeof createTestAsk>[1] = {},
  principal = createTestPrincipal(),
) {
  const holder = holdSnapshot({ ...house, policies });
  const call = createTestCall(clock);
  const room = createPolicyRoom(() => holder.current);
  const grant = room.grant(principal, createTestAsk("hi", { model: "chat", ...ask }), call);
  return { grant, call, room };
}

function reasonOf(...args: Parameters<typeof grantOf>): string {
  try {
    grantOf(...args);
  } catch (error) {
    if (error instanceof Error && "reason" in error) return String(error.reason);
    throw error;
  }
  return "allowed";
}

function targetsOf(...args: Parameters<typeof grantOf>): string[] {
  return grantOf(...args).grant.legs[0]?.targets.map((target) => target.provider.name) ?? [];
}

const everything: Policies = [{ name: "policies/all", rule: allow() }];

describe("grant()", () => {
  it("denies by default", () => {
    expect(reasonOf([])).toBe("MODEL_NOT_ALLOWED");
  });

  it("allows what a policy allows, and nothing else", () => {
    const policies: Policies = [{ name: "policies/p", rule: allow({ allowModels: ["spa*"] }) }];
    expect(reasonOf(policies, { model: "spare" })).toBe("allowed");
    expect(reasonOf(policies, { model: "chat" })).toBe("MODEL_NOT_ALLOWED");
  });

  it("lets no other policy allow what one denies", () => {
    const deny = allow({ allowModels: [], denyModels: ["chat"] });
    const policies: Policies = [...everything, { name: "policies/no", rule: deny }];
    expect(reasonOf(policies)).toBe("MODEL_NOT_ALLOWED");
  });

  it("gives an administrative key no model", () => {
    const admin = createTestPrincipal({ adminRole: Role.PLATFORM_ADMIN });
    expect(reasonOf(everything, {}, admin)).toBe("PERMISSION_DENIED");
  });

  it("leaves out disabled policies", () => {
    expect(reasonOf([{ name: "policies/p", rule: allow(), disabled: true }])).toBe(
      "MODEL_NOT_ALLOWED",
    );
  });

  it("says that a model is unknown only to those who may ask for it", () => {
    expect(reasonOf(everything, { model: "never" })).toBe("MODEL_NOT_FOUND");
    expect(reasonOf([], { model: "never" })).toBe("MODEL_NOT_ALLOWED");
    expect(reasonOf(everything, { model: "gone" })).toBe("MODEL_NOT_FOUND");
    expect(reasonOf(everything, { model: "loop" })).toBe("MODEL_NOT_FOUND");
  });

  it("refuses a strategy suffix that is not there yet, clearly", () => {
    expect(reasonOf(everything, { model: "chat:floor" })).toBe("UNIMPLEMENTED");
  });

  it("lets a key narrow, never widen", () => {
    const narrow = createTestPrincipal({ allowedModels: ["spare"] });
    expect(reasonOf(everything, { model: "spare" }, narrow)).toBe("allowed");
    expect(reasonOf(everything, { model: "chat" }, narrow)).toBe("MODEL_NOT_ALLOWED");
    expect(reasonOf([], { model: "spare" }, narrow)).toBe("MODEL_NOT_ALLOWED");
  });

  it("lets a team's own policy tighten, never loosen", () => {
    const own: Policies[number] = {
      name: "teams/a/policies/own",
      rule: allow({ allowModels: ["spare"] }),
    };
    expect(reasonOf([own], { model: "spare" })).toBe("MODEL_NOT_ALLOWED");
    expect(reasonOf([...everything, own], { model: "spare" })).toBe("allowed");
    expect(reasonOf([...everything, own], { model: "chat" })).toBe("MODEL_NOT_ALLOWED");
    const elsewhere = { ...own, name: "teams/b/policies/own" };
    expect(reasonOf([...everything, elsewhere], { model: "chat" })).toBe("allowed");
  });

  it("matches teams with their subtree, users, keys and labels", () => {
    const cases: ReadonlyArray<readonly [Policies[number]["match"] & object, string]> = [
      [{ teams: { include: ["teams/a"] } }, "allowed"],
      [{ teams: { include: ["teams/root"] } }, "allowed"],
      [{ teams: { include: ["teams/b"] } }, "MODEL_NOT_ALLOWED"],
      [{ teams: { exclude: ["teams/a"] } }, "MODEL_NOT_ALLOWED"],
      [{ keys: { include: ["teams/a/keys/*"] } }, "allowed"],
      [{ keys: { exclude: ["teams/a/keys/k"] } }, "MODEL_NOT_ALLOWED"],
      [{ users: { include: ["users/ada"] } }, "MODEL_NOT_ALLOWED"],
      [{ models: { include: ["spare"] } }, "MODEL_NOT_ALLOWED"],
      [{ labels: { feature: { values: ["search*"] } } }, "allowed"],
      [{ labels: { feature: { values: ["chat"] } } }, "MODEL_NOT_ALLOWED"],
    ];
    for (const [match, expected] of cases) {
      const policies: Policies = [{ name: "policies/p", match, rule: allow() }];
      const ask = { labels: { feature: "search-box" } };
      expect([match, reasonOf(policies, ask)]).toEqual([match, expected]);
    }
  });

  it("does not let a caller's label stand for the key's own", () => {
    const match = { labels: { stage: { values: ["dev"] } } };
    const policies: Policies = [{ name: "policies/p", match, rule: allow() }];
    const key = createTestPrincipal({ labels: { stage: "production" } });
    expect(reasonOf(policies, { labels: { stage: "dev" } }, key)).toBe("MODEL_NOT_ALLOWED");
  });

  it("takes away targets by provider, region and data retention", () => {
    expect(targetsOf(everything)).toEqual(["providers/eu", "providers/us"]);
    for (const rule of [
      allow({ allowProviders: ["providers/eu"] }),
      allow({ denyProviders: ["providers/us"] }),
      allow({ allowRegions: ["eu-*"] }),
      allow({ requireZeroDataRetention: true }),
    ]) {
      expect(targetsOf([{ name: "policies/p", rule }])).toEqual(["providers/eu"]);
    }
  });

  it("holds a policy about one provider to that provider", () => {
    const match = { providers: { include: ["providers/us"] } };
    expect(targetsOf([{ name: "policies/p", match, rule: allow() }])).toEqual(["providers/us"]);
    const deny: Policies[number] = {
      name: "policies/no",
      match,
      rule: allow({ allowModels: [], denyModels: ["chat"] }),
    };
    expect(targetsOf([...everything, deny])).toEqual(["providers/eu"]);
  });

  it("says why a target is out", () => {
    const { grant } = grantOf(everything, { model: "dark" });
    expect(grant.legs[0]?.excluded.map((each) => each.reason)).toEqual([
      "the provider is disabled",
    ]);
  });

  it("denies parameters by name", () => {
    const policies: Policies = [
      { name: "policies/p", rule: allow({ denyParameters: ["provider_options"] }) },
    ];
    expect(reasonOf(policies, { providerOptions: "{}" })).toBe("PARAMETER_NOT_ALLOWED");
    expect(reasonOf(policies)).toBe("allowed");
  });

  it("leaves out a fallback at which policy denies a parameter that the request sets", () => {
    const policies: Policies = [
      ...everything,
      {
        name: "policies/p",
        match: { models: { include: ["spare"] } },
        rule: allow({ denyParameters: ["provider_options"] }),
      },
    ];
    const legsOf = (ask: Parameters<typeof grantOf>[1]) =>
      grantOf(policies, ask).grant.legs.map((leg) => leg.name);
    expect(legsOf({})).toEqual(["chat", "spare", "secret"]);
    expect(legsOf({ providerOptions: "{}" })).toEqual(["chat", "secret"]);
    const ask = { model: "secret", fallbackModels: ["spare"], providerOptions: "{}" };
    expect(legsOf(ask)).toEqual(["secret"]);
    expect(grantOf(policies, ask).call.trail.excluded).toMatchObject([
      {
        upstreamModel: "spare",
        reason: "policies/p does not allow the parameter provider_options",
      },
    ]);
  });

  it("records the parameters that a policy in audit mode would deny", () => {
    const audit: Policies[number] = {
      name: "policies/audit",
      mode: Policy_Mode.AUDIT,
      rule: allow({ denyParameters: ["provider_options"] }),
    };
    const auditedOf = (ask: Parameters<typeof grantOf>[1]) =>
      grantOf([...everything, audit], ask).call.trail.auditDeniedBy;
    expect(auditedOf({ providerOptions: "{}" })).toEqual(["policies/audit"]);
    expect(auditedOf({})).toEqual([]);
  });

  it("only records what a policy in audit mode would deny", () => {
    const audit: Policies[number] = {
      name: "policies/audit",
      mode: Policy_Mode.AUDIT,
      rule: allow({ allowModels: [], denyModels: ["chat"] }),
    };
    const { call } = grantOf([...everything, audit]);
    expect(call.trail.auditDeniedBy).toEqual(["policies/audit"]);
    expect(reasonOf([{ ...audit, rule: allow() }])).toBe("MODEL_NOT_ALLOWED");
  });

  it("follows an alias and a wildcard", () => {
    expect(grantOf(everything, { model: "nick" }).grant.legs[0]?.name).toBe("chat");
    const wild = grantOf(everything, { model: "wild/one" }).grant.legs[0]?.targets[0];
    expect(wild?.upstreamModel).toBe("x-one");
  });

  it("adds the caller's fallbacks before the model's, each model once, and only allowed ones", () => {
    const rule = allow({ allowModels: ["chat", "spare", "dark"] });
    const policies: Policies = [{ name: "policies/p", rule }];
    const { grant, call } = grantOf(policies, { fallbackModels: ["dark", "never"] });
    expect(grant.legs.map((leg) => [leg.name, leg.after])).toEqual([
      ["chat", "first"],
      ["dark", "any"],
      ["spare", "any"],
    ]);
    expect(call.trail.excluded.map((each) => each.upstreamModel)).toEqual(["never", "secret"]);
  });

  it("says little of a name that is a megabyte long: errors travel in headers", () => {
    const policies: Policies = [{ name: "policies/p", rule: allow() }];
    let said = "";
    try {
      grantOf(policies, { model: "x".repeat(1_048_576) });
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      said = JSON.stringify([error.reason, error.message, error.details]);
    }
    expect(said).toContain("MODEL_NOT_FOUND");
    expect(said.length).toBeLessThan(1_000);
  });

  it("notes no more of a caller's fallbacks than it would have tried", () => {
    const policies: Policies = [{ name: "policies/p", rule: allow() }];
    const fallbackModels = Array.from({ length: 10_000 }, (_, at) => `${at}-${"x".repeat(9_000)}`);
    const { call } = grantOf(policies, { fallbackModels });
    expect(call.trail.excluded.length).toBeLessThanOrEqual(16);
    for (const { upstreamModel } of call.trail.excluded) {
      expect(upstreamModel.length).toBeLessThan(600);
    }
  });
});

describe("a caller's wishes", () => {
  type Wishes = MessageInitShape<typeof RoutingPreferencesSchema>;
  const wish = (fields: Wishes) => ({ routing: create(RoutingPreferencesSchema, fields) });
  const narrowing: ReadonlyArray<readonly [Wishes, readonly string[]]> = [
    [{ only: ["eu"] }, ["providers/eu"]],
    [{ only: ["providers/us"] }, ["providers/us"]],
    [{ ignore: ["us"] }, ["providers/eu"]],
    [{ zeroDataRetention: true }, ["providers/eu"]],
    [{ only: ["elsewhere"] }, []],
  ];
  for (const [fields, expected] of narrowing) {
    it(`narrow the targets: ${JSON.stringify(fields)}`, () => {
      expect(targetsOf(everything, wish(fields))).toEqual(expected);
    });
  }

  it("never widen what policy allows", () => {
    const rule = allow({ denyProviders: ["providers/us"] });
    expect(targetsOf([{ name: "policies/p", rule }], wish({ only: ["us"] }))).toEqual([]);
  });

  it("put the providers of an order first", () => {
    const { grant } = grantOf(everything, wish({ order: ["us", "eu"] }));
    const priorities = new Map(
      grant.legs[0]?.targets.map(({ provider, priority }) => [provider.name, priority]),
    );
    const us = priorities.get("providers/us") ?? 0;
    expect(us).toBeLessThan(priorities.get("providers/eu") ?? 0);
  });

  it("hold the request to one target without fallbacks", () => {
    expect(grantOf(everything, wish({ allowFallbacks: false })).grant.targetsMax).toBe(1);
  });

  const unfollowed: readonly Wishes[] = [
    { sort: RoutingPreferences_Sort.PRICE },
    { requireParameters: true },
    { quantizations: ["fp8"] },
    { maxOutputPriceNanoUsdPerMillion: 1n },
  ];
  for (const fields of unfollowed) {
    it(`are refused where nothing follows them yet: ${Object.keys(fields)}`, () => {
      expect(reasonOf(everything, wish(fields))).toBe("UNIMPLEMENTED");
    });
  }
});

describe("model directory", () => {
  it("lists only what the principal may use", () => {
    const rule = allow({ allowModels: ["chat", "spare"] });
    const holder = holdSnapshot({ ...house, policies: [{ name: "policies/p", rule }] });
    const room = createPolicyRoom(() => holder.current);
    const directory = createModelDirectory(
      () => holder.current,
      room,
      () => true,
    );
    const names = directory.list(createTestPrincipal()).map((model) => model.name);
    expect(names).toEqual(["chat", "nick", "spare"]);
    expect(directory.find(createTestPrincipal(), "secret")).toBeUndefined();
  });
});
