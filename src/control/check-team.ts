import { type Key, Role, type Team, type User } from "../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { hasPassed } from "./caller.ts";
import { checkCount, checkNaming, checkPatterns, quote, refuse } from "./check-fields.ts";
import { teamKind, teamOf, userKind } from "./kinds.ts";
import { describeRole } from "./permissions.ts";
import {
  listAncestors,
  listSubtree,
  parentOf,
  rootTeam,
  TEAM_DEPTH_MAX,
  type World,
} from "./world.ts";

/**
 * Checks a team as it would be. Returns warnings; throws INVALID_REQUEST or FAILED_PRECONDITION.
 */
export function checkTeam(team: Team, world: World): string[] {
  checkNaming("team", team);
  checkCount("team.members", team.members.length, 10_000);
  checkParent(team, world);
  const seen = new Set<string>();
  for (const { user, role } of team.members) {
    requireUser("team.members", user, world);
    if (seen.has(user)) refuse("team.members", `${user} is a member twice.`);
    seen.add(user);
    if (role === Role.UNSPECIFIED) refuse("team.members", `${user} needs a role.`);
    checkRole("team.members", role, team.name);
  }
  return team.disabled ? [`${team.name} is disabled: every key in it and below is refused.`] : [];
}

export function checkUser(user: User): string[] {
  checkNaming("user", user);
  if (user.email.length > 320 || (user.email !== "" && !/^[^\s@]+@[^\s@]+$/.test(user.email))) {
    refuse("user.email", `${quote(user.email)} is no address.`);
  }
  return user.disabled ? [`${user.name} is disabled: every key of this person is refused.`] : [];
}

/** Checks a key as it would be, its secrets aside. */
export function checkKey(key: Key, world: World, wallMs: number): string[] {
  checkNaming("key", key);
  checkPatterns("key.allowed_models", key.allowedModels);
  const team = teamOf(key.name);
  if (!world.teams.has(team)) throw missing("key.name", team);
  if (key.user !== "") requireUser("key.user", key.user, world);
  checkRole("key.admin_role", key.adminRole, team);
  const warnings: string[] = [];
  if (hasPassed(key.expireTime, wallMs)) warnings.push(`${key.name} has expired already.`);
  if (key.disabled) warnings.push(`${key.name} is disabled.`);
  if (key.adminRole !== Role.UNSPECIFIED && key.allowedModels.length > 0) {
    warnings.push(
      `${key.name} is administrative: it asks no models, whatever allowed_models says.`,
    );
  }
  if (key.adminRole === Role.MEMBER && key.user === "") {
    warnings.push(`${key.name} has the role member and no user, so it has no own keys to manage.`);
  }
  return warnings;
}

/** The error for a name that leads nowhere. */
export function missing(field: string, name: string): MeshError {
  return new MeshError("FAILED_PRECONDITION", `There is no ${quote(name)}. Create it first.`, {
    field,
  });
}

function checkParent(team: Team, world: World): void {
  if (team.name === rootTeam) {
    if (team.parent !== "") refuse("team.parent", "teams/root is the top: it has no parent.");
    if (team.disabled) refuse("team.disabled", "teams/root cannot be disabled: all would be out.");
    return;
  }
  const parent = parentOf(team);
  if (!teamKind.pattern.test(parent)) refuse("team.parent", `It must be ${teamKind.form}.`);
  if (!world.teams.has(parent)) throw missing("team.parent", parent);
  const above = listAncestors(world, parent);
  if (parent === team.name || above.some((each) => each.name === team.name)) {
    refuse("team.parent", `${parent} is below ${team.name}: teams would go round in a circle.`);
  }
  if (above.length + heightOf(world, team.name) > TEAM_DEPTH_MAX) {
    refuse("team.parent", `The tree would be deeper than ${TEAM_DEPTH_MAX} teams.`);
  }
}

/** How many levels a team and what is below it take; 1 for a new team. */
function heightOf(world: World, team: string): number {
  const depth = listAncestors(world, team).length;
  let height = 1;
  for (const below of listSubtree(world, team)) {
    height = Math.max(height, listAncestors(world, below).length - depth + 1);
  }
  return height;
}

function requireUser(field: string, user: string, world: World): void {
  if (!userKind.pattern.test(user)) refuse(field, `${quote(user)} must be ${userKind.form}.`);
  if (!world.users.has(user)) throw missing(field, user);
}

function checkRole(field: string, role: Role, team: string): void {
  if (role < Role.UNSPECIFIED || role > Role.PLATFORM_ADMIN) {
    refuse(field, `${role} is no role.`);
  }
  if (role >= Role.AUDITOR && team !== rootTeam) {
    refuse(field, `Only teams/root has ${describeRole(role)}.`);
  }
}
