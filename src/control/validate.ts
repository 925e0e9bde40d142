import { MeshError } from "../mesh/errors.ts";
import type { StoredResource } from "../store/store.ts";
import { quote } from "./check-fields.ts";
import { checkModel } from "./check-model.ts";
import { checkPolicy } from "./check-policy.ts";
import { checkProvider } from "./check-provider.ts";
import { checkKey, checkTeam, checkUser } from "./check-team.ts";
import type { Body, Kind } from "./kinds.ts";
import { listReferrers } from "./references.ts";
import { rootTeam, type World } from "./world.ts";

/**
 * Checks a resource as it would be, in the world as it is. Returns what looks wrong and is allowed;
 * throws INVALID_REQUEST, FAILED_PRECONDITION or UNIMPLEMENTED.
 */
export function validate<T extends Body>(
  kind: Kind<T>,
  body: T,
  at: { readonly world: World; readonly wallMs: number },
): string[] {
  const { world, wallMs } = at;
  const resource = kind.wrap(body).resource;
  switch (resource.case) {
    case "team":
      return checkTeam(resource.value, world);
    case "user":
      return checkUser(resource.value);
    case "key":
      return checkKey(resource.value, world, wallMs);
    case "provider":
      return checkProvider(resource.value, world);
    case "model":
      return checkModel(resource.value, world);
    case "policy":
      return checkPolicy(resource.value, world);
    case undefined:
      throw new MeshError("INVALID_REQUEST", "There is no resource in the request.");
    default:
      return resource satisfies never;
  }
}

/** Throws FAILED_PRECONDITION when something still needs the resource. */
export function assertDeletable(world: World, { kind, name }: StoredResource): void {
  if (name === rootTeam) {
    throw new MeshError("FAILED_PRECONDITION", "teams/root is the organisation: it stays.");
  }
  const referrers = listReferrers(world, kind, name);
  if (referrers.length === 0) return;
  throw new MeshError(
    "FAILED_PRECONDITION",
    `${name} is still named by ${referrers.join(", ")}. Change or delete these first.`,
    { metadata: { referrers: referrers.join(",") } },
  );
}

/** Throws INVALID_REQUEST for a name that is not of the kind's form. */
export function assertName<T extends Body>(kind: Kind<T>, name: string, field: string): void {
  if (kind.pattern.test(name)) return;
  const what = name === "" ? "A name is required" : `${quote(name)} is no name`;
  throw new MeshError("INVALID_REQUEST", `${what}: it must be ${kind.form}.`, { field });
}
