import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { MatchSchema, PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { createTestAsk, createTestCall, createTestPrincipal } from "../../test/support/calls.ts";
import { holdSnapshot } from "../../test/support/snapshots.ts";
import { compilePolicy } from "../mesh/compile-policy.ts";
import type { Principal } from "../mesh/grant.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { concernsModel, concernsPrincipal, matchesLabels } from "./concerns.ts";
import { createPolicyRoom } from "./policy-room.ts";

type PolicyInit = MessageInitShape<typeof PolicySchema>;
type MatchInit = MessageInitShape<typeof MatchSchema>;

const clock = new VirtualClock();
const provider = { name: "providers/p", dialect: "sim" };
const models = [
  { name: "models/chat", targets: [{ provider: provider.name }] },
  { name: "models/nick", aliasOf: "chat" },
];

const all: PolicyInit = {
  name: "policies/all",
  rule: { case: "access", value: { allowModels: ["*"] } },
};

function slots(name: string, match: MatchInit, limit = 1n): PolicyInit {
  return { name, match, rule: { case: "concurrency", value: { limit } } };
}

function change(holder: ReturnType<typeof holdSnapshot>, policies: readonly PolicyInit[]): void {
  const { revision } = holder.current;
  holder.apply({
    revision: revision + 1,
    baseRevision: revision,
    installationId: "test",
    upserts: policies.map((value) =>
      create(ResourceSchema, { resource: { case: "policy", value } }),
    ),
    deletions: [],
  });
}

describe("what finding a request's policies costs", () => {
  /** A house with a policy for each key, for each tenth's user and team, and one for all. */
  function createHouse(count: number) {
    const tally = { looked: 0 };
    const policies = [all];
    const principals: Principal[] = [];
    for (let at = 0; at < count; at++) {
      const name = `teams/a/keys/k${at}`;
      policies.push(slots(`policies/k${at}`, { keys: { include: [name] } }));
      principals.push(createTestPrincipal({ name, user: `users/u${at % 10}` }));
    }
    for (let at = 0; at < 10; at++) {
      policies.push(slots(`policies/u${at}`, { users: { include: [`users/u${at}`] } }));
      policies.push(slots(`policies/t${at}`, { teams: { include: [`teams/t${at}`] } }));
      policies.push(slots(`teams/t${at}/policies/own`, {}));
      policies.push(slots(`policies/m${at}`, { models: { include: [`m${at}`] } }));
    }
    const holder = holdSnapshot({ providers: [provider], models, policies });
    const room = createPolicyRoom(() => holder.current, tally);
    const grant = (principal: Principal) =>
      room.grant(principal, createTestAsk("hi", { model: "chat" }), createTestCall(clock));
    /** The policies that are looked at while each key asks once. */
    const look = () => {
      tally.looked = 0;
      for (const principal of principals) {
        expect(grant(principal).legs[0]?.limits?.length).toBeGreaterThanOrEqual(2);
      }
      return tally.looked;
    };
    return { holder, look };
  }

  it("is the key's own policies, each looked at twice, however many there are", () => {
    // Its own, its user's and the one for all: once for the key and once for the model.
    for (const count of [10, 1000]) expect(createHouse(count).look()).toBe(count * 6);
  });

  it("is nothing when the same is asked again", () => {
    const { look } = createHouse(100);
    look();
    expect(look()).toBe(0);
  });

  it("is nothing after a change that cannot concern the key", () => {
    const { holder, look } = createHouse(100);
    look();
    change(holder, [slots("policies/t1", { teams: { include: ["teams/t1"] } }, 7n)]);
    change(holder, [slots("policies/m1", { models: { include: ["m1"] } }, 7n)]);
    change(holder, [slots("policies/k-new", { keys: { include: ["teams/b/keys/k"] } })]);
    expect(look()).toBe(0);
  });

  it("is one look after a change of what might concern everyone and does not", () => {
    const { holder, look } = createHouse(100);
    look();
    change(holder, [slots("policies/no", { keys: { include: ["teams/other*"] } })]);
    expect(look()).toBe(100);
  });

  it("is the key's own policies again after a change that concerns it", () => {
    const { holder, look } = createHouse(100);
    look();
    change(holder, [slots("policies/k7", { keys: { include: ["teams/a/keys/k7"] } }, 7n)]);
    expect(look()).toBe(1 + 3);
    change(holder, [slots("policies/everyone", {})]);
    expect(look()).toBe(100 * (1 + 4));
  });
});

const patterns = {
  team: ["teams/a", "teams/root", "teams/b", "teams/*", "teams/a*"],
  user: ["users/ada", "users/bob", "users/*"],
  key: ["teams/a/keys/k", "teams/b/keys/k", "teams/a/keys/*", "teams/*"],
  model: ["chat", "nick", "c*", "spare"],
};

function drawSelector(from: readonly string[]) {
  const names = fc.subarray([...from], { maxLength: 2 });
  return fc.option(
    fc.record({ include: names, exclude: fc.subarray([...from], { maxLength: 1 }) }),
    {
      nil: undefined,
      freq: 2,
    },
  );
}

const drawMatch: fc.Arbitrary<MatchInit> = fc
  .record({
    teams: drawSelector(patterns.team),
    users: drawSelector(patterns.user),
    keys: drawSelector(patterns.key),
    models: drawSelector(patterns.model),
    labels: fc.constantFrom<NonNullable<MatchInit["labels"]>[]>(
      {},
      {},
      { tier: { values: ["gold"] } },
      { stage: { values: ["t*"] } },
    ),
  })
  .map(({ teams, users, keys, models: names, labels }) => ({
    labels,
    ...(teams && { teams }),
    ...(users && { users }),
    ...(keys && { keys }),
    ...(names && { models: names }),
  }));

const drawPolicy: fc.Arbitrary<PolicyInit> = fc
  .record({
    id: fc.integer({ min: 0, max: 5 }),
    at: fc.constantFrom("", "", "teams/a/", "teams/b/", "teams/root/"),
    match: drawMatch,
    denies: fc.integer({ min: 0, max: 3 }),
    disabled: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ id, at, match, denies, disabled }) => ({
    name: `${at}policies/p${id}`,
    match,
    disabled: disabled === 0,
    rule:
      denies === 0
        ? ({ case: "access", value: { denyModels: ["chat"] } } as const)
        : ({ case: "concurrency", value: { limit: 1n } } as const),
  }));

const drawPrincipal: fc.Arbitrary<Principal> = fc
  .record({
    name: fc.constantFrom("teams/a/keys/k", "teams/a/keys/l"),
    user: fc.constantFrom("", "users/ada"),
    labels: fc.constantFrom<Record<string, string>[]>({}, { tier: "gold" }, { tier: "lead" }),
  })
  .map((fields) => createTestPrincipal(fields));

const drawLabels = fc.constantFrom<Record<string, string>[]>(
  {},
  { tier: "gold" },
  { stage: "test" },
);

/** What a scan of all policies would say. */
function scan(snapshot: Snapshot, principal: Principal, model: string, labels = {}): string[] {
  const names = model === "nick" ? ["nick", "chat"] : [model];
  return [...snapshot.policies.values()]
    .map(compilePolicy)
    .filter((entry) => !entry.policy.disabled)
    .filter((entry) => concernsPrincipal(entry, principal) && concernsModel(entry, names))
    .filter((entry) => matchesLabels(entry, labels, principal.key.labels))
    .map(({ policy }) => policy.name)
    .sort();
}

describe("what is found through the index", () => {
  it("is what a look at all policies finds, through any changes", () => {
    const drawSteps = fc.array(fc.tuple(drawPolicy, drawLabels), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        drawSteps,
        fc.array(drawPrincipal, { minLength: 1, maxLength: 3 }),
        (steps, who) => {
          const holder = holdSnapshot({ providers: [provider], models, policies: [all] });
          const room = createPolicyRoom(() => holder.current);
          for (const [policy, labels] of steps) {
            change(holder, [policy]);
            for (const principal of who) {
              for (const model of ["chat", "nick"]) {
                const ask = createTestAsk("hi", { model, labels });
                const found = scan(holder.current, principal, model, labels);
                const isDenied = found.some(
                  (name) =>
                    holder.current.policies.get(name)?.rule.case === "access" && name !== all.name,
                );
                const grant = () => room.grant(principal, ask, createTestCall(clock));
                if (isDenied) {
                  expect(grant).toThrow("does not allow");
                  continue;
                }
                const limits = grant().legs[0]?.limits ?? [];
                const names = limits.map(({ limit }) => limit.policy).sort();
                expect(names).toEqual(found.filter((name) => name !== all.name));
              }
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
