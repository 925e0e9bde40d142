import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { Strategy } from "../../gen/weir/admin/v1/model_pb.ts";
import { AccessRuleSchema, MatchSchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { MetaSchema, Role } from "../../gen/weir/admin/v1/team_pb.ts";
import {
  adminSecret,
  messageOf,
  openTrial,
  reasonOf,
  reasonsOf,
  type Trial,
} from "./trial.fixture.ts";

let trial: Trial;
let admin: Client<typeof AdminService>;

beforeAll(async () => {
  trial = await openTrial();
  admin = trial.client(AdminService, adminSecret);
});
afterAll(() => trial.close());

/** The meta of a resource as it was read. */
const seen = (body: { meta?: { etag: string } | undefined } | undefined) =>
  create(MetaSchema, { etag: body?.meta?.etag ?? "" });
const access = (rule: { allowModels?: string[]; denyModels?: string[] }) =>
  ({ case: "access", value: create(AccessRuleSchema, rule) }) as const;

describe("standard methods", () => {
  it("creates, reads, changes and deletes a team", async () => {
    const made = await admin.createTeam({ team: { name: "teams/a", displayName: "A" } });
    expect(made.team?.meta?.revision).toBe(made.result?.revision);
    expect((await admin.getTeam({ name: "teams/a" })).team).toEqual(made.team);
    const changed = await admin.updateTeam({
      team: { name: "teams/a", displayName: "B", labels: { x: "ignored, not in the mask" } },
      updateMask: { paths: ["display_name"] },
    });
    expect(changed.team).toMatchObject({ displayName: "B", labels: {} });
    expect(changed.team?.meta?.createTime).toEqual(made.team?.meta?.createTime);
    await admin.deleteTeam({ name: "teams/a", etag: changed.team?.meta?.etag ?? "" });
    expect(await reasonOf(admin.getTeam({ name: "teams/a" }))).toBe("NOT_FOUND");
  });

  it("changes all fields without a mask, and writes nothing when nothing changes", async () => {
    await admin.createTeam({ team: { name: "teams/whole", displayName: "A", labels: { a: "1" } } });
    const first = await admin.updateTeam({ team: { name: "teams/whole", displayName: "B" } });
    expect(first.team?.labels).toEqual({});
    const second = await admin.updateTeam({ team: { name: "teams/whole", displayName: "B" } });
    expect(second.result?.revision).toBe(first.result?.revision);
    expect(second.team?.meta?.etag).toBe(first.team?.meta?.etag);
  });

  it("creates what is missing when asked to", async () => {
    const user = { name: "users/missing" };
    expect(await reasonOf(admin.updateUser({ user }))).toBe("NOT_FOUND");
    expect((await admin.updateUser({ user, allowMissing: true })).user?.name).toBe(user.name);
    expect(await reasonOf(admin.createUser({ user }))).toBe("ALREADY_EXISTS");
  });

  it("checks everything and writes nothing with validate_only", async () => {
    const { revision } = (await admin.listRevisions({ pageSize: 1 })).changes[0] ?? {};
    const options = { validateOnly: true };
    const { team, result } = await admin.createTeam({ team: { name: "teams/no" }, options });
    expect(team?.name).toBe("teams/no");
    expect(result?.revision).toBe(revision);
    expect(await reasonOf(admin.getTeam({ name: "teams/no" }))).toBe("NOT_FOUND");
    const wrong = { name: "teams/no", parent: "teams/none" };
    expect(await reasonOf(admin.createTeam({ team: wrong, options }))).toBe("FAILED_PRECONDITION");
  });

  it("does a write once under one request_id, and says so", async () => {
    const order = {
      team: { name: "teams/once" },
      options: { requestId: "r-1", reason: "because" },
    };
    const first = await admin.createTeam(order);
    const second = await admin.createTeam(order);
    expect(second.team).toEqual(first.team);
    expect(second.result?.revision).toBe(first.result?.revision);
    const other = { team: { name: "teams/twice" }, options: order.options };
    expect(await reasonOf(admin.createTeam(other))).toBe("INVALID_REQUEST");
    const { changes } = await admin.listRevisions({ name: "teams/once" });
    expect(changes).toHaveLength(1);
    expect(changes[0]).toMatchObject({
      reason: "because",
      requestId: "r-1",
      actor: "teams/root/keys/admin",
    });
  });

  it("pages through a list, and refuses foreign tokens", async () => {
    for (let i = 0; i < 5; i++) {
      await admin.createUser({ user: { name: `users/p${i}`, labels: { page: "yes" } } });
    }
    const labels = { page: "yes" };
    const names: string[] = [];
    let pageToken = "";
    do {
      const page = await admin.listUsers({ labels, pageSize: 2, pageToken });
      expect(page.users.length).toBeLessThanOrEqual(2);
      names.push(...page.users.map((user) => user.name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(names).toEqual(["users/p0", "users/p1", "users/p2", "users/p3", "users/p4"]);
    const { nextPageToken } = await admin.listUsers({ labels, pageSize: 2 });
    for (const bad of ["x", nextPageToken.slice(1), Buffer.from("[]").toString("base64url")]) {
      const call = admin.listUsers({ labels, pageToken: bad });
      expect(await reasonOf(call), bad).toBe("INVALID_REQUEST");
    }
    expect(await reasonOf(admin.listUsers({ pageToken: nextPageToken }))).toBe("INVALID_REQUEST");
    expect(await reasonOf(admin.listUsers({ pageSize: 1001 }))).toBe("INVALID_REQUEST");
  });

  it("lists keys and policies by parent", async () => {
    await admin.createTeam({ team: { name: "teams/parent" } });
    await admin.createKey({ key: { name: "teams/parent/keys/k" } });
    const rule = access({ denyModels: ["x*"] });
    await admin.createPolicy({ policy: { name: "teams/parent/policies/p", rule } });
    const names = async (parent: string) =>
      (await admin.listPolicies({ parent })).policies.map((policy) => policy.name);
    expect(await names("teams/parent")).toEqual(["teams/parent/policies/p"]);
    expect(await names("")).toEqual(["policies/first-team-may-use-everything"]);
    expect(await names("-")).toHaveLength(2);
    expect(await names("teams/-")).toEqual(["teams/parent/policies/p"]);
    const { keys } = await admin.listKeys({ parent: "teams/-" });
    expect(keys.map((key) => key.name)).toContain("teams/parent/keys/k");
    expect(await reasonOf(admin.listKeys({}))).toBe("INVALID_REQUEST");
  });
});

describe("etags", () => {
  it("keeps a disjoint change of somebody else", async () => {
    const { team } = await admin.createTeam({ team: { name: "teams/merge", displayName: "A" } });
    await admin.updateTeam({
      team: { name: "teams/merge", labels: { x: "1" } },
      updateMask: { paths: ["labels"] },
    });
    const stale = { name: "teams/merge", displayName: "B", meta: seen(team) };
    const merged = await admin.updateTeam({
      team: stale,
      updateMask: { paths: ["display_name"] },
    });
    expect(merged.result?.merged).toBe(true);
    expect(merged.team).toMatchObject({ displayName: "B", labels: { x: "1" } });
  });

  it("merges a whole resource field by field", async () => {
    const { team } = await admin.createTeam({ team: { name: "teams/three", displayName: "A" } });
    await admin.updateTeam({ team: { name: "teams/three", displayName: "A", labels: { x: "1" } } });
    const merged = await admin.updateTeam({
      team: { name: "teams/three", displayName: "B", meta: seen(team) },
    });
    expect(merged.result?.merged).toBe(true);
    expect(merged.team).toMatchObject({ displayName: "B", labels: { x: "1" } });
  });

  it("refuses a change of what somebody else has changed, and names both", async () => {
    const { team } = await admin.createTeam({ team: { name: "teams/clash", displayName: "A" } });
    await admin.updateTeam({ team: { name: "teams/clash", displayName: "B" } });
    const call = () =>
      admin.updateTeam({ team: { name: "teams/clash", displayName: "C", meta: seen(team) } });
    expect(await reasonOf(call())).toBe("ETAG_MISMATCH");
    expect(await messageOf(call())).toMatch(/display_name changed in between.*display_name/);
    expect(await reasonOf(admin.deleteTeam({ name: "teams/clash", etag: "stale" }))).toBe(
      "ETAG_MISMATCH",
    );
    const unknown = { name: "teams/clash", meta: { etag: "never" } };
    expect(await reasonOf(admin.updateTeam({ team: unknown }))).toBe("ETAG_MISMATCH");
  });

  it("lets one of many writers of a field win, and loses no write of another", async () => {
    const { team } = await admin.createTeam({ team: { name: "teams/race", displayName: "A" } });
    const calls = Array.from({ length: 20 }, (_, i) =>
      reasonOf(
        admin.updateTeam({ team: { name: "teams/race", displayName: `B${i}`, meta: seen(team) } }),
      ),
    );
    const reasons = await Promise.all(calls);
    expect(reasons.filter((reason) => reason === "")).toHaveLength(1);
    expect(reasons.filter((reason) => reason === "ETAG_MISMATCH")).toHaveLength(19);
  });
});

describe("references", () => {
  it("refuses what leads nowhere, and circles", async () => {
    await admin.createTeam({ team: { name: "teams/top" } });
    await admin.createTeam({ team: { name: "teams/below", parent: "teams/top" } });
    const circle = admin.updateTeam({ team: { name: "teams/top", parent: "teams/below" } });
    expect(await reasonOf(circle)).toBe("INVALID_REQUEST");
    const itself = admin.updateTeam({ team: { name: "teams/top", parent: "teams/top" } });
    expect(await reasonOf(itself)).toBe("INVALID_REQUEST");
    const nowhere = [
      admin.createTeam({ team: { name: "teams/x", parent: "teams/none" } }),
      admin.createTeam({
        team: { name: "teams/x", members: [{ user: "users/none", role: Role.MEMBER }] },
      }),
      admin.createKey({ key: { name: "teams/none/keys/x" } }),
      admin.createKey({ key: { name: "teams/top/keys/x", user: "users/none" } }),
      admin.createModel({ model: { name: "models/x", targets: [{ provider: "providers/no" }] } }),
      admin.createModel({ model: { name: "models/x", aliasOf: "none" } }),
    ];
    expect(await reasonsOf(nowhere)).toEqual(nowhere.map(() => "FAILED_PRECONDITION"));
  });

  it("refuses aliases that go round", async () => {
    await admin.createModel({ model: { name: "models/one", aliasOf: "sim/echo" } });
    await admin.createModel({ model: { name: "models/two", aliasOf: "one" } });
    const round = admin.updateModel({ model: { name: "models/one", aliasOf: "two" } });
    expect(await reasonOf(round)).toBe("INVALID_REQUEST");
  });

  it("deletes nothing that others name, and lists them", async () => {
    expect(await messageOf(admin.deleteProvider({ name: "providers/sim" }))).toMatch(
      /models\/sim\/echo/,
    );
    expect(await messageOf(admin.deleteTeam({ name: "teams/first" }))).toMatch(/keys\/first/);
    expect(await reasonOf(admin.deleteTeam({ name: "teams/root" }))).toBe("FAILED_PRECONDITION");
    await admin.createModel({
      model: {
        name: "models/falls",
        targets: [{ provider: "providers/sim", upstreamModel: "text" }],
        fallbacks: ["sim/tools"],
      },
    });
    expect(await messageOf(admin.deleteModel({ name: "models/sim/tools" }))).toMatch(/falls/);
  });

  it("keeps the last key that may do everything", async () => {
    const name = "teams/root/keys/admin";
    const reason = "FAILED_PRECONDITION";
    expect(await reasonOf(admin.deleteKey({ name }))).toBe(reason);
    const disabled = { name, adminRole: Role.PLATFORM_ADMIN, disabled: true };
    expect(await reasonOf(admin.updateKey({ key: disabled }))).toBe(reason);
  });
});

describe("what is not there yet", () => {
  const target = { provider: "providers/sim", upstreamModel: "text" };
  const sim = { name: "providers/x", dialect: "sim" };
  const name = "policies/x";
  const calls: Record<string, () => Promise<unknown>> = {
    cache: () => admin.createPolicy({ policy: { name, rule: { case: "cache", value: {} } } }),
    guard: () => admin.createPolicy({ policy: { name, rule: { case: "guard", value: {} } } }),
    defaults: () => admin.createPolicy({ policy: { name, rule: { case: "defaults", value: {} } } }),
    routing: () => admin.createPolicy({ policy: { name, rule: { case: "routing", value: {} } } }),
    condition: () =>
      admin.createPolicy({
        policy: {
          name,
          match: create(MatchSchema, { condition: "true" }),
          rule: access({ allowModels: ["*"] }),
        },
      }),
    strategy: () =>
      admin.createModel({
        model: { name: "models/x", targets: [target], strategy: Strategy.BALANCED },
      }),
    "a planned dialect": () => admin.createProvider({ provider: { ...sim, dialect: "gemini" } }),
    "account limits": () => admin.createProvider({ provider: { ...sim, limits: {} } }),
    "health checks": () => admin.createProvider({ provider: { ...sim, healthCheck: {} } }),
    options: () => admin.createProvider({ provider: { ...sim, options: { a: "b" } } }),
    SimulatePolicy: () => admin.simulatePolicy({}),
    ExplainRoute: () => admin.explainRoute({}),
  };
  for (const [what, call] of Object.entries(calls)) {
    it(`refuses ${what} and says so`, async () => {
      expect(await reasonOf(call())).toBe("UNIMPLEMENTED");
      expect(await messageOf(call())).toMatch(/not there yet/);
    });
  }
});

describe("malformed resources", () => {
  const target = { provider: "providers/sim", upstreamModel: "text" };
  const model = { name: "models/bad", targets: [target] };
  const provider = { name: "providers/bad", dialect: "openai" };
  const calls: Record<string, () => Promise<unknown>> = {
    "no body": () => admin.createTeam({}),
    "no name": () => admin.createTeam({ team: {} }),
    "an upper-case name": () => admin.createTeam({ team: { name: "teams/A" } }),
    "a name of another kind": () => admin.getTeam({ name: "users/a" }),
    "a path in the name": () => admin.createUser({ user: { name: "users/../x" } }),
    "an unknown path": () =>
      admin.updateTeam({ team: { name: "teams/first" }, updateMask: { paths: ["colour"] } }),
    "a label of capitals": () => admin.createUser({ user: { name: "users/l", labels: { A: "" } } }),
    "a bad address": () => admin.createUser({ user: { name: "users/l", email: "nobody" } }),
    "a negative weight": () =>
      admin.createModel({ model: { ...model, targets: [{ ...target, weight: -1 }] } }),
    "overrides that are no JSON": () =>
      admin.createModel({ model: { ...model, targets: [{ ...target, parameterOverrides: "{" }] } }),
    "overrides that are no object": () =>
      admin.createModel({
        model: { ...model, targets: [{ ...target, parameterOverrides: "[]" }] },
      }),
    "a header with a line break": () =>
      admin.createModel({
        model: { ...model, targets: [{ ...target, headers: { a: "b\r\nc" } }] },
      }),
    "a timeout of a week": () =>
      admin.createModel({ model: { ...model, timeouts: { total: { seconds: 604_800n } } } }),
    "a negative timeout": () =>
      admin.createModel({ model: { ...model, timeouts: { idle: { seconds: -1n } } } }),
    "six retries": () => admin.createModel({ model: { ...model, retriesPerTarget: 6 } }),
    "no target": () => admin.createModel({ model: { name: "models/bad" } }),
    "its own fallback": () => admin.createModel({ model: { ...model, fallbacks: ["bad"] } }),
    "a star without wildcard": () =>
      admin.createModel({ model: { ...model, targets: [{ ...target, upstreamModel: "*" }] } }),
    "an alias with targets": () => admin.createModel({ model: { ...model, aliasOf: "sim/echo" } }),
    "an unknown capability": () =>
      admin.createModel({ model: { ...model, capabilities: ["telepathy"] } }),
    "an unknown dialect": () => admin.createProvider({ provider: { ...provider, dialect: "x" } }),
    "a base URL of files": () =>
      admin.createProvider({ provider: { ...provider, baseUrls: ["file:///etc/passwd"] } }),
    "a base URL with a password": () =>
      admin.createProvider({ provider: { ...provider, baseUrls: ["https://a:b@example.com"] } }),
    "a credential header": () =>
      admin.createProvider({ provider: { ...provider, headers: { authorization: "x" } } }),
    "Weir's own variable": () =>
      admin.createProvider({
        provider: {
          ...provider,
          credential: { source: { case: "env", value: "WEIR_SECRET_KEY" } },
        },
      }),
    "a sealed secret from outside": () =>
      admin.createProvider({
        provider: {
          ...provider,
          credential: { source: { case: "sealed", value: new Uint8Array(40) } },
        },
      }),
    "a policy without a rule": () => admin.createPolicy({ policy: { name: "policies/bad" } }),
    "a star in the middle": () =>
      admin.createPolicy({
        policy: {
          name: "policies/bad",
          rule: { case: "access", value: { allowModels: ["a*b"] } },
        },
      }),
    "a platform admin outside the root": () =>
      admin.createKey({ key: { name: "teams/first/keys/b", adminRole: Role.PLATFORM_ADMIN } }),
    "a weak secret": () => admin.createKey({ key: { name: "teams/first/keys/b" }, secret: "wk_1" }),
    "a long reason": () =>
      admin.createUser({ user: { name: "users/l" }, options: { reason: "r".repeat(1025) } }),
  };
  for (const [what, call] of Object.entries(calls)) {
    it(`refuses ${what}`, async () => expect(await reasonOf(call())).toBe("INVALID_REQUEST"));
  }
});

describe("warnings", () => {
  const target = { provider: "providers/sim", upstreamModel: "text" };
  const warn = async (call: Promise<{ result?: { warnings: string[] } | undefined }>) =>
    (await call).result?.warnings.join(" ");
  it("says what looks wrong and is allowed", async () => {
    const model = { name: "models/w", targets: [{ ...target, weight: 0 }] };
    expect(await warn(admin.createModel({ model }))).toMatch(/weight 0/);
    const expired = { name: "teams/first/keys/w", expireTime: { seconds: 1n } };
    expect(await warn(admin.createKey({ key: expired }))).toMatch(/expired already/);
    const policy = {
      name: "policies/w",
      match: create(MatchSchema, { teams: { include: ["teams/ghost"] } }),
      rule: access({ allowModels: ["ghost"] }),
    };
    expect(await warn(admin.createPolicy({ policy }))).toMatch(/teams\/ghost.*ghost, which/);
  });

  it("says what proxies confirm and refuse", async () => {
    const before = trial.registry;
    trial.registry = {
      ...before,
      waitForRevision: async (revision) => ({
        confirmed: 1,
        connected: 2,
        refusals: [`p2 refuses ${revision}`],
      }),
    };
    const { result } = await admin.createTeam({ team: { name: "teams/acks" } });
    trial.registry = before;
    expect(result).toMatchObject({ proxiesConfirmed: 1, proxiesConnected: 2 });
    expect(result?.warnings).toEqual([`p2 refuses ${result?.revision}`]);
  });
});
