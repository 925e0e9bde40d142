import { MeshError } from "../mesh/errors.ts";

/**
 * What a reader threw, as an error of the one answer that it read: a reader that stumbles does so
 * over what the upstream sent, and that must never be more than one failed request.
 */
export function asPoison(thrown: unknown): MeshError {
  if (thrown instanceof MeshError) return thrown;
  const internal = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return new MeshError("UPSTREAM_GARBLED", "The upstream's answer makes no sense. Try again.", {
    cause: thrown,
    internal,
  });
}
