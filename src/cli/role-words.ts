import { Role } from "../../gen/weir/admin/v1/team_pb.ts";

/** Roles as they are typed and shown. */
const roleWords: ReadonlyArray<readonly [Role, string]> = [
  [Role.VIEWER, "viewer"],
  [Role.MEMBER, "member"],
  [Role.TEAM_ADMIN, "team-admin"],
  [Role.AUDITOR, "auditor"],
  [Role.PLATFORM_ADMIN, "platform-admin"],
];

/** The role in one word; `-` for a key that asks models. */
export function formatRole(role: Role): string {
  return roleWords.find(([each]) => each === role)?.[1] ?? "-";
}

/** Undefined when there is no such role. */
export function parseRole(word: string): Role | undefined {
  return roleWords.find(([, each]) => each === word)?.[0];
}

/** All of them, for errors. */
export function listRoleWords(): string {
  return roleWords.map(([, word]) => word).join(", ");
}
