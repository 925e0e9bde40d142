import {
  create,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
} from "@bufbuild/protobuf";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { AccessRuleSchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { UsageService } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { permissions } from "./permissions.ts";
import {
  adminSecret,
  firstSecret,
  openTrial,
  reasonOf,
  reasonsOf,
  type Trial,
} from "./trial.fixture.ts";

let trial: Trial;
const secrets = new Map<string, string>();

beforeAll(async () => {
  trial = await openTrial();
  const admin = trial.client(AdminService, adminSecret);
  await admin.createUser({ user: { name: "users/me" } });
  await admin.createUser({ user: { name: "users/you" } });
  await admin.createTeam({ team: { name: "teams/a" } });
  await admin.createTeam({ team: { name: "teams/a-sub", parent: "teams/a" } });
  await admin.createTeam({ team: { name: "teams/b" } });
  await admin.createKey({ key: { name: "teams/b/keys/k" } });
  await admin.createKey({ key: { name: "teams/a-sub/keys/mine", user: "users/me" } });
  await admin.createKey({ key: { name: "teams/a-sub/keys/yours", user: "users/you" } });
  secrets.set("platform", adminSecret);
  secrets.set("auditor", await trial.key("teams/root", "auditor", Role.AUDITOR));
  secrets.set("lead", await trial.key("teams/a", "lead", Role.TEAM_ADMIN));
  secrets.set("member", await trial.key("teams/a", "member", Role.MEMBER, "users/me"));
  secrets.set("viewer", await trial.key("teams/a", "viewer", Role.VIEWER));
  secrets.set("inference", firstSecret);
});
afterAll(() => trial.close());

const as = (who: string) => trial.client(AdminService, secrets.get(who));
const DENIED = "PERMISSION_DENIED";
const access = {
  case: "access",
  value: create(AccessRuleSchema, { denyModels: ["x"] }),
} as const;

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function isServerStreaming(method: DescMethod): method is DescMethodServerStreaming {
  return method.methodKind === "server_streaming";
}

const WAIT_MS = 60_000;
const LEAVE_MS = 200;

describe("every RPC", () => {
  const methods: readonly DescMethod[] = [...AdminService.methods, ...UsageService.methods];

  it("declares its permission, and none is declared for nothing", () => {
    expect(Object.keys(permissions).sort()).toEqual(methods.map((method) => method.name).sort());
  });

  /**
   * Calls by plain HTTP, as nobody's client would: what counts is the door. A stream that is let in
   * says nothing: it is left after a while.
   */
  const call = async (method: DescMethod, headers: Record<string, string>, leaveMs = WAIT_MS) => {
    const baseUrl = `http://${trial.address}`;
    const transport = createConnectTransport({ baseUrl, httpVersion: "2" });
    const input = create(method.input);
    if (isUnary(method)) {
      return reasonOf(transport.unary(method, undefined, WAIT_MS, headers, input));
    }
    if (!isServerStreaming(method)) throw new Error(method.name);
    const once = (async function* () {
      yield input;
    })();
    return reasonOf(
      transport
        .stream(method, AbortSignal.timeout(leaveMs), undefined, headers, once)
        .then(async ({ message }) => {
          for await (const _ of message) return;
        })
        .catch((error: unknown) => {
          if (String(error).includes("timeout")) return;
          throw error;
        }),
    );
  };

  for (const method of methods) {
    it(`${method.name} asks for a valid key and for the right role`, async () => {
      expect(await call(method, {})).toBe("CREDENTIAL_MISSING");
      expect(await call(method, { authorization: "Basic abc" })).toBe("CREDENTIAL_MISSING");
      expect(await call(method, { authorization: "Bearer wk_no" })).toBe("CREDENTIAL_UNKNOWN");
      expect(await call(method, { "x-api-key": "wk_no" })).toBe("CREDENTIAL_UNKNOWN");
      const permission = permissions[method.name] ?? "platform";
      for (const [who, secret] of secrets) {
        const may = {
          self: true,
          team: who !== "inference",
          audit: who === "platform" || who === "auditor",
          platform: who === "platform",
        }[permission];
        const headers = { authorization: `Bearer ${secret}` };
        const reason = await call(method, headers, may ? LEAVE_MS : WAIT_MS);
        if (may) expect(reason, who).not.toMatch(/^CREDENTIAL_|^PERMISSION_/);
        else expect(reason, who).toBe(DENIED);
      }
    });
  }
});

describe("roles", () => {
  it("tells everybody who they are", async () => {
    expect(await as("lead").getSelf({})).toMatchObject({
      key: "teams/a/keys/lead",
      team: "teams/a",
      role: Role.TEAM_ADMIN,
    });
    expect(await as("inference").getSelf({})).toMatchObject({ role: Role.UNSPECIFIED });
  });

  it("shows a team its own subtree only", async () => {
    for (const who of ["lead", "member", "viewer"]) {
      const { teams } = await as(who).listTeams({});
      expect(teams.map((team) => team.name)).toEqual(["teams/a", "teams/a-sub"]);
      expect(await reasonOf(as(who).getTeam({ name: "teams/b" }))).toBe("NOT_FOUND");
      expect(await reasonOf(as(who).getKey({ name: "teams/b/keys/k" }))).toBe("NOT_FOUND");
      const { keys } = await as(who).listKeys({ parent: "teams/-" });
      expect(keys.every((key) => key.name.startsWith("teams/a"))).toBe(true);
      expect((await as(who).listPolicies({ parent: "-" })).policies).toEqual([]);
    }
    const { users } = await as("member").listUsers({});
    expect(users.map((user) => user.name)).toEqual(["users/me"]);
  });

  it("lets an auditor read all and change nothing", async () => {
    const auditor = as("auditor");
    expect((await auditor.listProviders({})).providers).toHaveLength(1);
    expect((await auditor.listRevisions({})).changes.length).toBeGreaterThan(5);
    const calls = [
      auditor.createTeam({ team: { name: "teams/x" } }),
      auditor.updateTeam({ team: { name: "teams/a", displayName: "x" } }),
      auditor.createKey({ key: { name: "teams/root/keys/x" } }),
      auditor.rotateKey({ name: "teams/root/keys/auditor" }),
      auditor.createPolicy({ policy: { name: "policies/x", rule: access } }),
      auditor.deleteKey({ name: "teams/b/keys/k" }),
    ];
    expect(await reasonsOf(calls)).toEqual(calls.map(() => DENIED));
  });

  it("lets a viewer change nothing", async () => {
    const calls = [
      as("viewer").createKey({ key: { name: "teams/a/keys/x" } }),
      as("viewer").rotateKey({ name: "teams/a-sub/keys/mine" }),
      as("viewer").updateTeam({ team: { name: "teams/a", displayName: "x" } }),
    ];
    expect(await reasonsOf(calls)).toEqual(calls.map(() => DENIED));
  });

  it("lets a member manage the own keys only", async () => {
    const member = as("member");
    const own = { name: "teams/a/keys/own", user: "users/me" };
    expect(await reasonOf(member.createKey({ key: own }))).toBe("");
    expect(await reasonOf(member.rotateKey({ name: "teams/a-sub/keys/mine" }))).toBe("");
    const calls = [
      member.createKey({ key: { name: "teams/a/keys/x" } }),
      member.createKey({ key: { name: "teams/a/keys/x", user: "users/you" } }),
      member.createKey({ key: { name: "teams/b/keys/x", user: "users/me" } }),
      member.createKey({ key: { ...own, name: "teams/a/keys/x", adminRole: Role.TEAM_ADMIN } }),
      member.updateKey({ key: { ...own, user: "users/you" } }),
      member.updateKey({ key: { name: "teams/a-sub/keys/yours", user: "users/me" } }),
      member.deleteKey({ name: "teams/a-sub/keys/yours" }),
    ];
    expect(await reasonsOf(calls)).toEqual(calls.map(() => DENIED));
    expect(await reasonOf(member.deleteKey({ name: own.name }))).toBe("");
  });

  it("lets a team's admin manage keys, members and policies of the subtree", async () => {
    const lead = as("lead");
    const calls = [
      lead.createKey({ key: { name: "teams/a-sub/keys/new", adminRole: Role.TEAM_ADMIN } }),
      lead.rotateKey({ name: "teams/a-sub/keys/yours" }),
      lead.updateTeam({
        team: { name: "teams/a-sub", members: [{ user: "users/me", role: Role.TEAM_ADMIN }] },
        updateMask: { paths: ["members"] },
      }),
      lead.createPolicy({ policy: { name: "teams/a/policies/p", rule: access } }),
    ];
    expect(await reasonsOf(calls)).toEqual(calls.map(() => ""));
    expect(await reasonOf(lead.deletePolicy({ name: "teams/a/policies/p" }))).toBe("");
  });

  it("lets a team's admin escalate nowhere", async () => {
    const lead = as("lead");
    const admin = as("platform");
    await admin.createKey({ key: { name: "teams/b/keys/victim" } });
    const rooted = await trial.key("teams/root", "rooted-lead", Role.TEAM_ADMIN);
    const root = trial.client(AdminService, rooted);
    const member = (role: Role) => ({
      team: { name: "teams/root", members: [{ user: "users/me", role }] },
      updateMask: { paths: ["members"] },
    });
    const calls = [
      lead.createKey({ key: { name: "teams/root/keys/x", adminRole: Role.PLATFORM_ADMIN } }),
      lead.createKey({ key: { name: "teams/a/keys/x", adminRole: Role.AUDITOR } }),
      lead.createKey({ key: { name: "teams/b/keys/x" } }),
      lead.updateKey({ key: { name: "teams/b/keys/x" }, allowMissing: true }),
      lead.createPolicy({ policy: { name: "policies/x", rule: access } }),
      lead.createPolicy({ policy: { name: "teams/b/policies/x", rule: access } }),
      lead.updateTeam({ team: { name: "teams/a", parent: "teams/b" } }),
      lead.updateTeam({
        team: { name: "teams/a", disabled: true },
        updateMask: { paths: ["disabled"] },
      }),
      lead.createTeam({ team: { name: "teams/new", parent: "teams/a" } }),
      lead.updateTeam({ team: { name: "teams/new", parent: "teams/a" }, allowMissing: true }),
      lead.deleteTeam({ name: "teams/a-sub" }),
      root.rotateKey({ name: "teams/root/keys/admin" }),
      root.updateKey({ key: { name: "teams/root/keys/admin", disabled: true } }),
      root.deleteKey({ name: "teams/root/keys/auditor" }),
      root.createKey({ key: { name: "teams/root/keys/x", adminRole: Role.PLATFORM_ADMIN } }),
      root.updateKey({
        key: { name: "teams/root/keys/rooted-lead", adminRole: Role.PLATFORM_ADMIN },
      }),
      root.updateTeam(member(Role.PLATFORM_ADMIN)),
      root.updateTeam(member(Role.AUDITOR)),
    ];
    expect(await reasonsOf(calls)).toEqual(calls.map(() => DENIED));
    expect(await reasonOf(lead.rotateKey({ name: "teams/b/keys/victim" }))).toBe("NOT_FOUND");
  });
});
