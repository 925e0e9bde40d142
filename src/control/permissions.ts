import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import { type Key, Role, type Team, type User } from "../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Caller } from "./caller.ts";
import { formatPath, listDifferences } from "./field-mask.ts";
import { type Body, type Kind, keyKind, policyKind, teamKind, teamOf } from "./kinds.ts";
import { isWithin, listSubtree, type World } from "./world.ts";

/**
 * What an RPC asks of its caller before it looks at anything: `self` any key that is valid; `team`
 * a role in some team, by which the resource itself is judged then; `audit` a role that reads
 * everything; `platform` the platform's admins.
 */
export type Permission = "self" | "team" | "audit" | "platform";

/** Every RPC of the control plane. One that is missing here is not served; a test compares. */
export const permissions: Readonly<Record<string, Permission>> = {
  ...standard("Team", "Teams", { read: "team", update: "team", create: "platform" }),
  ...standard("User", "Users", { read: "team", update: "platform", create: "platform" }),
  ...standard("Key", "Keys", { read: "team", update: "team", create: "team" }),
  ...standard("Provider", "Providers", { read: "audit", update: "platform", create: "platform" }),
  ...standard("Model", "Models", { read: "audit", update: "platform", create: "platform" }),
  ...standard("Policy", "Policies", { read: "team", update: "team", create: "team" }),
  RotateKey: "team",
  ListRevisions: "audit",
  DiffRevisions: "audit",
  RollbackTo: "platform",
  SimulatePolicy: "audit",
  ExplainRoute: "audit",
  GetQuotaStatus: "team",
  ResumeQuota: "platform",
  ReleaseQuota: "platform",
  ListAlerts: "audit",
  TailAlerts: "audit",
  GetWebhookSecret: "platform",
  ListProxies: "audit",
  GetSelf: "self",
  QueryUsage: "self",
  GetRequest: "self",
  TailRequests: "self",
};

/** Throws PERMISSION_DENIED when the caller's role can never do what the RPC does. */
export function assertPermission(caller: Caller, rpc: string): void {
  const permission = permissions[rpc];
  const { role } = caller;
  switch (permission) {
    case "self":
      return;
    case "team":
      if (role !== Role.UNSPECIFIED) return;
      break;
    case "audit":
      if (readsEverything(caller)) return;
      break;
    case "platform":
      if (role === Role.PLATFORM_ADMIN) return;
      break;
    case undefined:
      break;
    default:
      permission satisfies never;
  }
  throw denied(`A key with ${describeRole(role)} may not call ${rpc}.`);
}

export function readsEverything({ role }: Caller): boolean {
  return role === Role.PLATFORM_ADMIN || role === Role.AUDITOR;
}

/** Whether a caller may see a resource. What it may not see is not there for it. */
export function mayRead<T extends Body>(
  world: World,
  caller: Caller,
  kind: Kind<T>,
  name: string,
): boolean {
  return createVisibility(world, caller)(kind, name);
}

/** Says of many resources whether a caller may see them; good for as long as the world stays. */
export function createVisibility(
  world: World,
  caller: Caller,
): <T extends Body>(kind: Kind<T>, name: string) => boolean {
  if (readsEverything(caller)) return () => true;
  let colleagues: ReadonlySet<string> | undefined;
  return ({ kind }, name) => {
    switch (kind) {
      case "team":
        return isWithin(world, name, caller.team);
      case "key":
      case "policy":
        return isWithin(world, teamOf(name), caller.team);
      case "user":
        colleagues ??= listMembersBelow(world, caller.team);
        return name === caller.user || colleagues.has(name);
      case "provider":
      case "model":
        return false;
      default:
        return kind satisfies never;
    }
  };
}

/** A resource before and after; undefined where it is not there. */
export interface Edit<T extends Body> {
  readonly before: T | undefined;
  readonly after: T | undefined;
}

/**
 * Throws PERMISSION_DENIED unless the caller may make the edit. Both sides count: nobody takes over
 * what was above them.
 */
export function assertMayWrite<T extends Body>(
  world: World,
  caller: Caller,
  kind: Kind<T>,
  edit: Edit<T>,
): void {
  if (caller.role === Role.PLATFORM_ADMIN) return;
  const { before, after } = edit;
  for (const side of [before, after]) {
    if (side === undefined) continue;
    const key = keyKind.unwrap(kind.wrap(side));
    const policy = policyKind.unwrap(kind.wrap(side));
    if (key !== undefined) assertMayManageKey(world, caller, key);
    else if (policy !== undefined) assertMayManagePolicy(world, caller, policy);
    else if (kind.kind !== "team") throw denied("Only platform admins write this.");
  }
  if (kind.kind !== "team") return;
  const [from, to] = [before, after].map((side) => side && teamKind.unwrap(kind.wrap(side)));
  assertMayManageTeam(world, caller, from, to);
}

function assertMayManageKey(world: World, caller: Caller, key: Key): void {
  const { role } = caller;
  if (!isWithin(world, teamOf(key.name), caller.team)) {
    throw denied(`${key.name} is not in ${caller.team} or below it.`);
  }
  // Otherwise a team's admin could rotate the secret of a platform admin, and have it.
  if (key.adminRole > role) {
    throw denied(`${key.name} would have ${describeRole(key.adminRole)}, which is above yours.`);
  }
  if (role === Role.TEAM_ADMIN) return;
  if (role === Role.MEMBER && caller.user !== "" && key.user === caller.user) return;
  throw denied(
    role === Role.MEMBER
      ? `Members manage only their own keys: set \`user\` to ${caller.user || "your user"}.`
      : `A key with ${describeRole(role)} changes nothing.`,
  );
}

function assertMayManagePolicy(world: World, caller: Caller, policy: Policy): void {
  const team = teamOf(policy.name);
  if (caller.role !== Role.TEAM_ADMIN || team === "" || !isWithin(world, team, caller.team)) {
    throw denied(`Only admins of its team or of the platform write ${policy.name}.`);
  }
}

/** What a team's admin may change of a team: who is in it and what it is called. */
const teamAdminFields: ReadonlySet<string> = new Set(["display_name", "members", "labels"]);

function assertMayManageTeam(
  world: World,
  caller: Caller,
  before: Team | undefined,
  after: Team | undefined,
): void {
  if (before === undefined || after === undefined) {
    throw denied("Only platform admins create and delete teams.");
  }
  if (caller.role !== Role.TEAM_ADMIN || !isWithin(world, before.name, caller.team)) {
    throw denied(`Only admins of ${before.name} or of a team above it change it.`);
  }
  for (const path of listDifferences(teamKind.desc, before, after)) {
    if (path[0].name === "meta") continue;
    if (!teamAdminFields.has(formatPath(path))) {
      throw denied(`Only platform admins change \`${formatPath(path)}\` of a team.`);
    }
  }
  const was = new Set(before.members.map((member) => `${member.user} ${member.role}`));
  for (const { user, role } of after.members) {
    if (role > caller.role && !was.has(`${user} ${role}`)) {
      throw denied(`${user} would have ${describeRole(role)}, which is above yours.`);
    }
  }
}

function listMembersBelow(world: World, team: string): ReadonlySet<User["name"]> {
  const members = new Set<string>();
  for (const name of listSubtree(world, team)) {
    for (const { user } of world.teams.get(name)?.members ?? []) members.add(user);
  }
  return members;
}

/** A role in words. */
export function describeRole(role: Role): string {
  return roleWords.get(role) ?? "an unknown role";
}

const roleWords = new Map<Role, string>([
  [Role.UNSPECIFIED, "no administrative role"],
  [Role.VIEWER, "the role viewer"],
  [Role.MEMBER, "the role member"],
  [Role.TEAM_ADMIN, "the role team admin"],
  [Role.AUDITOR, "the role auditor"],
  [Role.PLATFORM_ADMIN, "the role platform admin"],
]);

function standard(
  one: string,
  many: string,
  need: { readonly read: Permission; readonly update: Permission; readonly create: Permission },
): Record<string, Permission> {
  return {
    [`Get${one}`]: need.read,
    [`List${many}`]: need.read,
    [`Create${one}`]: need.create,
    [`Update${one}`]: need.update,
    [`Delete${one}`]: need.create,
  };
}

function denied(message: string): MeshError {
  return new MeshError("PERMISSION_DENIED", message);
}
