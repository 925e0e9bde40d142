import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Resource, ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { PriceSchema } from "../../gen/weir/v1/usage_pb.ts";
import type { PriceQuery } from "./compile-model.ts";
import { SnapshotRefusal } from "./compile-refusal.ts";
import type { SnapshotChange } from "./snapshot.ts";
import { createSnapshotHolder, type SnapshotHolder } from "./snapshot-holder.ts";

type ResourceInit = Exclude<MessageInitShape<typeof ResourceSchema>["resource"], undefined>;

function resource(init: ResourceInit): Resource {
  return create(ResourceSchema, { resource: init });
}

function provider(id: string, more: Record<string, unknown> = {}): Resource {
  return resource({
    case: "provider",
    value: { name: `providers/${id}`, dialect: "openai", ...more },
  });
}

function model(name: string, providerId: string, upstreamModel = "", more = {}): Resource {
  return resource({
    case: "model",
    value: {
      name: `models/${name}`,
      targets: [{ provider: `providers/${providerId}`, upstreamModel, ...more }],
    },
  });
}

function key(name: string, secret: string): Resource {
  const sha256 = createHash("sha256").update(secret).digest();
  return resource({ case: "key", value: { name, secrets: [{ sha256 }] } });
}

function createHolder(more: Partial<Parameters<typeof createSnapshotHolder>[0]> = {}) {
  return createSnapshotHolder({
    env: {},
    readFile: () => {
      throw new Error("no such file");
    },
    findPrice: () => undefined,
    ...more,
  });
}

function whole(revision: number, upserts: Resource[]): SnapshotChange {
  return { revision, baseRevision: 0, installationId: "i", upserts, deletions: [] };
}

function delta(base: number, upserts: Resource[], deletions: string[] = []): SnapshotChange {
  return { revision: base + 1, baseRevision: base, installationId: "i", upserts, deletions };
}

function targetsOf(holder: SnapshotHolder, name: string) {
  return holder.current.models.get(name)?.targetsFor(name) ?? [];
}

function refusalOf(run: () => void): SnapshotRefusal {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof SnapshotRefusal) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

/** All that a reader can see of a snapshot, in one comparable value. */
function describeSnapshot(holder: SnapshotHolder) {
  const { teams, users, keys, secrets, providers, models, wildcards, policies } = holder.current;
  const byName = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    plain: [teams, users, keys, policies].map((map) => byName<unknown>(map)),
    secrets: byName(secrets),
    providers: byName(providers),
    models: byName(models).map(([name, entry]) => [name, entry.resource, entry.targetsFor(name)]),
    wildcards: wildcards.map((entry) => [entry.name, entry.targetsFor(`${entry.name}-x`)]),
  };
}

describe("createSnapshotHolder()", () => {
  it("gives providers their dialect's usual address and strips slashes", () => {
    const holder = createHolder();
    holder.apply(
      whole(1, [
        provider("a"),
        provider("b", { dialect: "anthropic" }),
        provider("c", { baseUrls: ["http://127.0.0.1:1234/v1//"] }),
        provider("d", { dialect: "sim" }),
      ]),
    );
    const urls = [...holder.current.providers.values()].map((entry) => entry.baseUrls);
    expect(urls).toEqual([
      ["https://api.openai.com/v1"],
      ["https://api.anthropic.com/v1"],
      ["http://127.0.0.1:1234/v1"],
      [],
    ]);
  });

  it("takes secrets from the credential, the environment and files", () => {
    const holder = createHolder({ env: { THE_KEY: " from-env\n" }, readFile: () => "from-file\n" });
    holder.apply(
      whole(1, [
        provider("a", { credential: { source: { case: "secret", value: "written" } } }),
        provider("b", { credential: { source: { case: "env", value: "THE_KEY" } } }),
        provider("c", { credential: { source: { case: "file", value: "/secret" } } }),
      ]),
    );
    const secrets = [...holder.current.providers.values()].map((entry) => entry.secret);
    expect(secrets).toEqual(["written", "from-env", "from-file"]);
    expect(holder.faults()).toEqual([]);
  });

  for (const [why, source] of [
    ["an unset variable", { case: "env", value: "NOT_SET" }],
    ["an unreadable file", { case: "file", value: "/not/there" }],
    ["a secret that would split a header", { case: "secret", value: "a\r\nx: y" }],
  ] as const) {
    it(`serves on with a fault in the one provider: ${why}`, () => {
      const holder = createHolder();
      holder.apply(whole(1, [provider("a", { credential: { source } }), model("m", "a")]));
      expect(targetsOf(holder, "m")[0]?.provider.fault).toContain("providers/a");
      expect(holder.faults()).toHaveLength(1);
    });
  }

  it("finds a secret that has come since", () => {
    const env: Record<string, string> = {};
    const holder = createHolder({ env });
    const source = { case: "env", value: "THE_KEY" } as const;
    holder.apply(whole(1, [provider("a", { credential: { source } }), model("m", "a")]));
    expect(targetsOf(holder, "m")[0]?.provider.secret).toBeUndefined();
    expect(holder.refreshSecrets()).toBe(false);
    env.THE_KEY = "s";
    expect(holder.refreshSecrets()).toBe(true);
    expect(targetsOf(holder, "m")[0]?.provider.secret).toBe("s");
  });

  it("compiles targets: weight, overrides, headers, capabilities", () => {
    const holder = createHolder();
    const more = {
      weight: 0,
      priority: 2,
      parameterOverrides: '{"top_k":3}',
      headers: { "X-B": "2" },
      capabilities: ["tools"],
    };
    holder.apply(
      whole(1, [
        provider("a", { headers: { "x-a": "1", "x-b": "1" } }),
        model("m", "a", "up", more),
        model("n", "a"),
      ]),
    );
    expect(targetsOf(holder, "m")[0]).toMatchObject({
      id: "a/up",
      model: "m",
      upstreamModel: "up",
      weight: 0,
      priority: 2,
      overrides: { top_k: 3 },
      headers: { "x-a": "1", "x-b": "2" },
    });
    expect(targetsOf(holder, "m")[0]?.capabilities).toEqual(new Set(["tools"]));
    expect(targetsOf(holder, "n")[0]).toMatchObject({ upstreamModel: "n", weight: 1, priority: 0 });
  });

  it("prices by target, then provider, then its longest pattern, then catalogue", () => {
    const price = (n: number) => create(PriceSchema, { requestNanoUsd: BigInt(n) });
    const asked: PriceQuery[] = [];
    const holder = createHolder({
      findPrice: (query) => {
        asked.push(query);
        return price(5);
      },
    });
    const prices = { "up-1": price(2), "up-*": price(4), "up-2*": price(3) };
    holder.apply(
      whole(1, [
        provider("a", { prices, catalogue: "c" }),
        model("m0", "a", "up-1", { price: price(1) }),
        model("m1", "a", "up-1"),
        model("m2", "a", "up-22"),
        model("m3", "a", "up-3"),
        model("m4", "a", "other"),
      ]),
    );
    const found = ["m0", "m1", "m2", "m3", "m4"].map(
      (name) => targetsOf(holder, name)[0]?.price?.requestNanoUsd,
    );
    expect(found).toEqual([1n, 2n, 3n, 4n, 5n]);
    expect(asked).toEqual([
      {
        catalogue: "c",
        baseUrl: "https://api.openai.com/v1",
        dialect: "openai",
        upstreamModel: "other",
      },
    ]);
  });

  it("sorts wildcards by length and puts the match into the upstream model", () => {
    const holder = createHolder();
    holder.apply(whole(1, [provider("a"), model("x/*", "a", "*"), model("x/y/*", "a", "v-*-$&")]));
    holder.apply(delta(1, [model("*", "a")]));
    expect(holder.current.wildcards.map((entry) => entry.name)).toEqual(["x/y/*", "x/*", "*"]);
    expect(holder.current.models.size).toBe(0);
    const upstream = (index: number, name: string) =>
      holder.current.wildcards[index]?.targetsFor(name)[0]?.upstreamModel;
    expect(upstream(0, "x/y/z")).toBe("v-z-$&");
    expect(upstream(1, "x/q")).toBe("q");
    expect(upstream(2, "any")).toBe("any");
  });

  it("binds models anew when their provider changes, and only those", () => {
    const holder = createHolder();
    holder.apply(
      whole(1, [provider("a"), provider("b"), model("m", "a"), model("n", "b"), model("w*", "a")]),
    );
    const untouched = holder.current.models.get("n");
    expect(targetsOf(holder, "m")[0]?.provider.baseUrls).toEqual(["https://api.openai.com/v1"]);
    holder.apply(delta(1, [provider("a", { baseUrls: ["http://localhost/v2"] })]));
    expect(targetsOf(holder, "m")[0]?.provider.baseUrls).toEqual(["http://localhost/v2"]);
    const wildcard = holder.current.wildcards[0]?.targetsFor("w1")[0];
    expect(wildcard?.provider.baseUrls).toEqual(["http://localhost/v2"]);
    expect(holder.current.models.get("n")).toBe(untouched);
  });

  it("forgets the secrets that a key no longer has", () => {
    const holder = createHolder();
    holder.apply(whole(1, [key("teams/t/keys/k", "one")]));
    holder.apply(delta(1, [key("teams/t/keys/k", "two")]));
    expect([...holder.current.secrets.keys()]).toEqual([
      createHash("sha256").update("two").digest("hex"),
    ]);
    holder.apply(delta(2, [], ["teams/t/keys/k"]));
    expect(holder.current.secrets.size).toBe(0);
  });

  it("tells listeners until they stop", () => {
    const holder = createHolder();
    const seen: number[] = [];
    const stop = holder.onChange((snapshot) => seen.push(snapshot.revision));
    holder.apply(whole(4, []));
    stop();
    holder.apply(delta(4, []));
    expect(seen).toEqual([4]);
  });
});

describe("refusals", () => {
  const good = [
    provider("a"),
    provider("b"),
    model("m", "a"),
    model("w/*", "b"),
    key("teams/t/keys/k", "one"),
  ];
  const cases: [string, SnapshotChange, string][] = [
    ["an unknown dialect", delta(1, [provider("z", { dialect: "telex" })]), "providers/z"],
    ["no base URL", delta(1, [provider("z", { baseUrls: ["localhost:80"] })]), "providers/z"],
    ["a missing provider", delta(1, [model("n", "nobody")]), "models/n"],
    [
      "a provider that is deleted with it",
      delta(1, [model("n", "b")], ["providers/b"]),
      "models/n",
    ],
    ["a provider still in use", delta(1, [], ["providers/a"]), "models/m"],
    ["a provider still in use by a wildcard", delta(1, [], ["providers/b"]), "models/w/*"],
    [
      "overrides that are no JSON",
      delta(1, [model("n", "a", "", { parameterOverrides: "{" })]),
      "models/n",
    ],
    [
      "overrides that are no object",
      delta(1, [model("n", "a", "", { parameterOverrides: "[]" })]),
      "models/n",
    ],
    ["a secret of another key", delta(1, [key("teams/u/keys/k", "one")]), "teams/u/keys/k"],
    [
      "two keys of one secret",
      delta(1, [key("teams/u/keys/a", "x"), key("teams/u/keys/b", "x")]),
      "teams/u/keys/b",
    ],
    [
      "a name of another kind",
      delta(1, [resource({ case: "team", value: { name: "users/x" } })]),
      "users/x",
    ],
    ["no name", delta(1, [resource({ case: "model", value: { name: "models/" } })]), "models/"],
    ["an unknown kind", delta(1, [create(ResourceSchema)]), ""],
    ["another base", delta(7, []), ""],
    ["another installation", { ...delta(1, []), installationId: "j" }, ""],
    ["a whole snapshot with a fault", whole(9, [provider("q"), model("n", "nobody")]), "models/n"],
  ];
  for (const [why, change, name] of cases) {
    it(`names the resource and changes nothing: ${why}`, () => {
      const holder = createHolder();
      holder.apply(whole(1, good));
      const before = holder.current;
      const seen = describeSnapshot(holder);
      const accompanied = { ...change, upserts: [provider("extra"), ...change.upserts] };
      expect(refusalOf(() => holder.apply(accompanied)).resource).toBe(name);
      expect(holder.current).toBe(before);
      expect(describeSnapshot(holder)).toEqual(seen);
    });
  }

  it("lets a secret move from one key to another in one change", () => {
    const holder = createHolder();
    holder.apply(whole(1, good));
    holder.apply(delta(1, [key("teams/u/keys/k", "one")], ["teams/t/keys/k"]));
    expect([...holder.current.secrets.values()].map((found) => found.key.name)).toEqual([
      "teams/u/keys/k",
    ]);
  });
});

describe("deltas and whole snapshots", () => {
  const id = fc.constantFrom("a", "b", "c");
  const upsert = fc.oneof(
    fc.tuple(id, id).map(([a, b]) => provider(a, { region: b })),
    fc.tuple(id, id, id).map(([a, b, c]) => model(a, b, c)),
    fc.tuple(id, id, id).map(([a, b, c]) => model(`${a}/*`, b, `${c}-*`)),
    fc.tuple(id, id).map(([a, b]) => key(`teams/t/keys/${a}`, b)),
    id.map((a) => resource({ case: "team", value: { name: `teams/${a}` } })),
    fc
      .tuple(id, id)
      .map(([a, b]) => resource({ case: "user", value: { name: `users/${a}`, email: b } })),
    fc
      .tuple(id, fc.boolean())
      .map(([a, disabled]) =>
        resource({ case: "policy", value: { name: `policies/${a}`, disabled } }),
      ),
  );
  const deletion = fc
    .tuple(
      fc.constantFrom("providers/", "models/", "teams/t/keys/", "teams/", "users/", "policies/"),
      id,
      fc.constantFrom("", "/*"),
    )
    .map(([prefix, name, end]) => prefix + name + (prefix === "models/" ? end : ""));
  const step = fc.record({
    upserts: fc.array(upsert, { maxLength: 6 }),
    deletions: fc.array(deletion, { maxLength: 3 }),
  });

  it("lead to the same", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const stepwise = createHolder();
        stepwise.apply(whole(1, []));
        const resources = new Map<string, Resource>();
        for (const { upserts, deletions } of steps) {
          const revision = stepwise.current.revision;
          try {
            stepwise.apply(delta(revision, upserts, deletions));
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(SnapshotRefusal);
            continue;
          }
          for (const name of deletions) resources.delete(name);
          for (const one of upserts) resources.set(one.resource.value?.name ?? "", one);
          describeSnapshot(stepwise);
        }
        const atOnce = createHolder();
        atOnce.apply(whole(stepwise.current.revision, [...resources.values()]));
        expect(describeSnapshot(stepwise)).toEqual(describeSnapshot(atOnce));
        const copied = createHolder();
        copied.apply(stepwise.export());
        expect(describeSnapshot(copied)).toEqual(describeSnapshot(atOnce));
      }),
      { numRuns: 200 },
    );
  });

  it("cost what they change, however much there is", () => {
    const holder = createHolder();
    const keys = Array.from({ length: 50_000 }, (_, i) => key(`teams/t/keys/k${i}`, `s${i}`));
    // Processor time, which does not pass while others have the processor.
    const timeOf = (run: () => void) => {
      const begin = process.cpuUsage();
      run();
      return process.cpuUsage(begin).user;
    };
    const wholeUs = timeOf(() => holder.apply(whole(1, keys)));
    const edits = Array.from({ length: 20 }, (_, i) =>
      timeOf(() => holder.apply(delta(i + 1, [key("teams/t/keys/k7", `new${i}`)]))),
    );
    expect(Math.min(...edits)).toBeLessThan(wholeUs / 20);
    expect(holder.current.keys.size).toBe(50_000);
  });
});
