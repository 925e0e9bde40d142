import { MeshError } from "../mesh/errors.ts";
import { createTimestamp } from "../mesh/record.ts";
import type { Store } from "../store/store.ts";
import { quote } from "./check-fields.ts";
import { type Body, type Kind, keyKind } from "./kinds.ts";

/** Resources as callers may see them; keys with the time of their last use. */
export async function showResources<T extends Body>(
  store: Store,
  kind: Kind<T>,
  bodies: readonly T[],
): Promise<readonly T[]> {
  const shown = bodies.map((body) => kind.scrub(body));
  if (kind.kind !== "key" || shown.length === 0) return shown;
  const used = await store.lastUsed(shown.map((body) => body.name));
  for (const body of shown) {
    const key = keyKind.unwrap(kind.wrap(body));
    const at = used.get(body.name);
    if (key !== undefined && at !== undefined) key.lastUsedTime = createTimestamp(at);
  }
  return shown;
}

export function createNotFound(name: string): MeshError {
  return new MeshError("NOT_FOUND", `There is no ${quote(name)}, or you may not see it.`, {
    metadata: { name },
  });
}
