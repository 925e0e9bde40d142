import { type Key, Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { hasPassed } from "./caller.ts";
import { rootTeam, type World } from "./world.ts";

/**
 * Throws FAILED_PRECONDITION when a write would take the last key away that may do everything:
 * nobody could come in again to mend it.
 */
export function assertAdminRemains(
  world: World,
  before: Key | undefined,
  after: Key | undefined,
  wallMs: number,
): void {
  const key = before;
  if (key === undefined || !administers(key, wallMs)) return;
  if (after !== undefined && administers(after, wallMs)) return;
  for (const other of world.keys.values()) {
    if (other.name !== key.name && administers(other, wallMs)) return;
  }
  throw new MeshError(
    "FAILED_PRECONDITION",
    `${key.name} is the last key of a platform admin: nobody could administer Weir any more. ` +
      "Create another first.",
  );
}

function administers(key: Key, wallMs: number): boolean {
  return (
    key.adminRole === Role.PLATFORM_ADMIN &&
    key.name.startsWith(`${rootTeam}/`) &&
    !key.disabled &&
    !hasPassed(key.expireTime, wallMs) &&
    key.secrets.some((secret) => !hasPassed(secret.expireTime, wallMs))
  );
}
