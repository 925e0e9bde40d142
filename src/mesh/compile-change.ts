import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Key } from "../../gen/weir/admin/v1/team_pb.ts";
import { compileModel, type ModelDraft } from "./compile-model.ts";
import { compilePolicy, type PolicyEntry } from "./compile-policy.ts";
import { compileProvider, type SecretSources } from "./compile-provider.ts";
import { SnapshotRefusal } from "./compile-refusal.ts";
import { type CompiledState, encodeSecretHash, type StagedChange } from "./compile-state.ts";
import type { SnapshotChange } from "./snapshot.ts";
import type { ProviderEntry } from "./target.ts";

/**
 * Checks a whole change against a state and compiles it; the state is not touched. A resource both
 * deleted and written is written. Throws SnapshotRefusal, naming the resource, when any of it
 * cannot be served.
 */
export function stageChange(
  state: CompiledState,
  change: SnapshotChange,
  sources: SecretSources,
): StagedChange {
  const upserts = collectUpserts(change.upserts);
  const plain: StagedChange["plain"][number][] = [];
  const providers = new Map<string, ProviderEntry>();
  const models = new Map<string, ModelDraft>();
  const policies: PolicyEntry[] = [];
  for (const [name, resource] of upserts) {
    if (resource.case === "provider") providers.set(name, compileProvider(resource.value, sources));
    else if (resource.case === "model") models.set(name, compileModel(resource.value));
    else if (resource.case === "policy") policies.push(compilePolicy(resource.value));
    else plain.push(resource);
  }
  const deletions = new Set(change.deletions.filter((name) => !upserts.has(name)));
  assertProvidersThere(state, models, providers, deletions);
  assertNobodyMisses(state, models, deletions);
  assertSecretsUnique(state, plain, upserts, deletions);
  return {
    plain,
    policies,
    providers: [...providers.values()],
    models: [...models.values()],
    deletions: [...deletions],
  };
}

type Given = Exclude<Resource["resource"], { case: undefined }>;

const namePrefixes: Readonly<Record<Given["case"], string>> = {
  team: "teams/",
  user: "users/",
  key: "teams/",
  provider: "providers/",
  model: "models/",
  policy: "",
};

/** By name; the last one of a name counts. */
function collectUpserts(resources: readonly Resource[]): Map<string, Given> {
  const upserts = new Map<string, Given>();
  for (const { resource } of resources) {
    if (resource.case === undefined) {
      throw new SnapshotRefusal(
        "",
        "A resource is of a kind that this proxy does not know: update it.",
      );
    }
    const name = resource.value.name;
    const prefix = namePrefixes[resource.case];
    if (!name.startsWith(prefix) || name.length === prefix.length) {
      throw new SnapshotRefusal(name, `"${name}" is no name of a ${resource.case}.`);
    }
    upserts.set(name, resource);
  }
  return upserts;
}

function assertProvidersThere(
  state: CompiledState,
  models: ReadonlyMap<string, ModelDraft>,
  providers: ReadonlyMap<string, ProviderEntry>,
  deletions: ReadonlySet<string>,
): void {
  for (const [name, draft] of models) {
    for (const provider of draft.providers) {
      const stays = state.providers.has(provider) && !deletions.has(provider);
      if (!stays && !providers.has(provider)) {
        throw new SnapshotRefusal(
          name,
          `It names ${provider || "no provider"}, which does not exist.`,
        );
      }
    }
  }
}

/** A provider may go only when each model that names it goes or changes too. */
function assertNobodyMisses(
  state: CompiledState,
  models: ReadonlyMap<string, ModelDraft>,
  deletions: ReadonlySet<string>,
): void {
  for (const provider of deletions) {
    for (const name of state.modelsOfProvider.get(provider) ?? []) {
      if (models.has(name) || deletions.has(name)) continue;
      throw new SnapshotRefusal(name, `It names ${provider}, which is deleted.`);
    }
  }
}

/** Two keys with one secret would make it a matter of chance whose money a request spends. */
function assertSecretsUnique(
  state: CompiledState,
  plain: StagedChange["plain"],
  upserts: ReadonlyMap<string, Given>,
  deletions: ReadonlySet<string>,
): void {
  const taken = new Map<string, Key>();
  for (const resource of plain) {
    if (resource.case !== "key") continue;
    const key = resource.value;
    for (const secret of key.secrets) {
      const hash = encodeSecretHash(secret.sha256);
      const standing = state.secrets.get(hash)?.key.name;
      const stays = standing !== undefined && !upserts.has(standing) && !deletions.has(standing);
      const owner = taken.get(hash)?.name ?? (stays ? standing : key.name);
      if (owner !== key.name) {
        throw new SnapshotRefusal(
          key.name,
          `It has the same secret as ${owner}: rotate one of them.`,
        );
      }
      taken.set(hash, key);
    }
  }
}
