import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type MatchSchema, PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { holdSnapshot } from "../../test/support/snapshots.ts";
import { compilePolicy } from "./compile-policy.ts";
import { SnapshotRefusal } from "./compile-refusal.ts";
import { GENERAL, PolicyShelves } from "./policy-index.ts";

type MatchInit = MessageInitShape<typeof MatchSchema> | undefined;

function entry(name: string, match?: MatchInit, disabled = false) {
  return compilePolicy(create(PolicySchema, { name, disabled, ...(match && { match }) }));
}

function namesOn(shelves: PolicyShelves, place: string): string[] {
  return [...(shelves.shelf(place)?.entries.keys() ?? [])];
}

describe("the shelves of a policy", () => {
  const cases: ReadonlyArray<readonly [string, MatchInit, readonly string[]]> = [
    ["policies/p", undefined, [GENERAL]],
    ["policies/p", {}, [GENERAL]],
    ["policies/p", { keys: { include: ["teams/a/keys/k"] } }, ["teams/a/keys/k"]],
    ["policies/p", { keys: { include: ["teams/a/keys/*"] } }, ["teams/a"]],
    [
      "policies/p",
      { keys: { include: ["teams/a/keys/x", "teams/b/keys/y*"] } },
      ["teams/a/keys/x", "teams/b"],
    ],
    ["policies/p", { keys: { include: ["teams/a*"] } }, [GENERAL]],
    ["policies/p", { keys: { exclude: ["teams/a/keys/k"] } }, [GENERAL]],
    ["policies/p", { keys: { include: ["*"] }, users: { include: ["users/u"] } }, ["users/u"]],
    ["policies/p", { users: { include: ["users/u", "users/v*"] } }, [GENERAL]],
    ["policies/p", { teams: { include: ["teams/a", "teams/b"] } }, ["teams/a", "teams/b"]],
    ["policies/p", { models: { include: ["chat"] } }, ["models/chat"]],
    ["policies/p", { models: { include: ["c*"] } }, [GENERAL]],
    ["policies/p", { labels: { x: { values: ["y"] } } }, [GENERAL]],
    ["teams/a/policies/p", undefined, ["teams/a"]],
    ["teams/a/policies/p", { models: { include: ["chat"] } }, ["teams/a"]],
    ["teams/a/policies/p", { keys: { include: ["teams/a/keys/k"] } }, ["teams/a/keys/k"]],
  ];
  for (const [name, match, places] of cases) {
    it(`are ${JSON.stringify(places)} for ${name} with ${JSON.stringify(match)}`, () => {
      const shelves = new PolicyShelves();
      shelves.put(entry(name, match));
      for (const place of places) expect(namesOn(shelves, place)).toEqual([name]);
      shelves.remove(name);
      for (const place of places) expect(shelves.shelf(place)).toBeUndefined();
    });
  }

  it("are none while it is disabled", () => {
    const shelves = new PolicyShelves();
    shelves.put(entry("policies/p", { keys: { include: ["teams/a/keys/k"] } }));
    shelves.put(entry("policies/p", {}, true));
    expect(shelves.shelf("teams/a/keys/k")).toBeUndefined();
    expect(shelves.shelf(GENERAL)).toBeUndefined();
  });

  it("are others when it comes to concern others", () => {
    const shelves = new PolicyShelves();
    shelves.put(entry("policies/p", { teams: { include: ["teams/a"] } }));
    shelves.put(entry("policies/p", { teams: { include: ["teams/b"] } }));
    expect(shelves.shelf("teams/a")).toBeUndefined();
    expect(namesOn(shelves, "teams/b")).toEqual(["policies/p"]);
  });
});

describe("changesSince()", () => {
  it("names what has changed, each once, and nothing to who has seen it", () => {
    const shelves = new PolicyShelves();
    shelves.put(entry("policies/a"));
    const seen = shelves.shelf(GENERAL)?.version ?? 0;
    shelves.put(entry("policies/b"));
    shelves.put(entry("policies/b"));
    shelves.remove("policies/a");
    const shelf = shelves.shelf(GENERAL);
    expect(shelf?.changesSince(seen)?.toSorted()).toEqual(["policies/a", "policies/b"]);
    expect(shelf?.changesSince(shelf.version)).toEqual([]);
  });

  it("does not know to who has seen nothing, or another shelf of the name, or is far behind", () => {
    const shelves = new PolicyShelves();
    shelves.put(entry("policies/a"));
    const first = shelves.shelf(GENERAL)?.version ?? 0;
    expect(shelves.shelf(GENERAL)?.changesSince(0)).toBeUndefined();
    shelves.remove("policies/a");
    shelves.put(entry("policies/b"));
    const second = shelves.shelf(GENERAL);
    expect(second?.changesSince(first)).toBeUndefined();
    const seen = second?.version ?? 0;
    for (let at = 0; at < 100; at++) shelves.put(entry(`policies/p${at}`));
    expect(second?.changesSince(seen)).toBeUndefined();
    expect(second?.changesSince((second?.version ?? 0) - 3)).toBeDefined();
  });
});

describe("a snapshot", () => {
  it("is refused with a limit that is not understood", () => {
    const rule = { case: "rateLimit", value: { limit: 1n } } as const;
    expect(() => holdSnapshot({ policies: [{ name: "policies/p", rule }] })).toThrow(
      SnapshotRefusal,
    );
  });

  it("indexes what comes, changes and goes", () => {
    const holder = holdSnapshot({ policies: [{ name: "policies/p" }] });
    const namesOfAll = () => [...(holder.current.policyIndex.shelf(GENERAL)?.entries.keys() ?? [])];
    expect(namesOfAll()).toEqual(["policies/p"]);
    const next = { revision: 2, baseRevision: 1, installationId: "test", upserts: [] };
    holder.apply({ ...next, deletions: ["policies/p"] });
    expect(namesOfAll()).toEqual([]);
  });
});
