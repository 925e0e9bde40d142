import { create } from "@bufbuild/protobuf";
import { CredentialSchema, type Provider } from "../../gen/weir/admin/v1/provider_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Sealer } from "./sealer.ts";

/**
 * Callers see a sealed secret as empty bytes; when these come back, the secret stays. Puts the one
 * of `current` in their place. Throws INVALID_REQUEST when there is none, or when sealed bytes came
 * from outside.
 */
export function restoreCredential(provider: Provider, current: Provider | undefined): void {
  const source = provider.credential?.source;
  if (source?.case !== "sealed") return;
  const kept = current?.credential?.source;
  if (kept?.case === "sealed") {
    if (source.value.length === 0) provider.credential = current?.credential;
    if (source.value.length === 0 || Buffer.compare(source.value, kept.value) === 0) return;
  }
  throw new MeshError(
    "INVALID_REQUEST",
    "A sealed secret cannot be written. Give `secret`, `env` or `file`; empty `sealed` keeps " +
      "the secret that is there.",
    { field: "provider.credential.sealed" },
  );
}

/**
 * Seals a readable secret. One that is sealed in `current` already stays as it is, so that nothing
 * has changed.
 */
export function sealCredential(
  provider: Provider,
  current: Provider | undefined,
  sealer: Sealer,
): void {
  const source = provider.credential?.source;
  if (source?.case !== "secret") return;
  const kept = current?.credential?.source;
  if (kept?.case === "sealed" && tryOpen(provider.name, kept.value, sealer) === source.value) {
    provider.credential = current?.credential;
    return;
  }
  const value = sealer.seal(provider.name, source.value);
  provider.credential = create(CredentialSchema, { source: { case: "sealed", value } });
}

/**
 * The provider with its secret readable, for the link. Throws FAILED_PRECONDITION when it cannot be
 * opened.
 */
export function openCredential(provider: Provider, sealer: Sealer): Provider {
  const source = provider.credential?.source;
  if (source?.case !== "sealed") return provider;
  const value = sealer.open(provider.name, source.value);
  return {
    ...provider,
    credential: create(CredentialSchema, { source: { case: "secret", value } }),
  };
}

function tryOpen(name: string, sealed: Uint8Array, sealer: Sealer): string | undefined {
  try {
    return sealer.open(name, sealed);
  } catch {
    return undefined;
  }
}
