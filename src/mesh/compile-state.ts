import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { Key, Team, User } from "../../gen/weir/admin/v1/team_pb.ts";
import { createModelEntry, type FindPrice, type ModelDraft } from "./compile-model.ts";
import type { PolicyEntry } from "./compile-policy.ts";
import { PolicyShelves } from "./policy-index.ts";
import type { KeyOfSecret, ModelEntry } from "./snapshot.ts";
import type { ProviderEntry } from "./target.ts";

/**
 * All that a snapshot is made of, with the indices that make a change cost no more than what it
 * changes.
 */
export interface CompiledState {
  readonly teams: Map<string, Team>;
  readonly users: Map<string, User>;
  readonly keys: Map<string, Key>;
  readonly secrets: Map<string, KeyOfSecret>;
  readonly providers: Map<string, ProviderEntry>;
  /** By resource name, wildcards too. */
  readonly drafts: Map<string, ModelDraft>;
  readonly models: Map<string, ModelEntry>;
  wildcards: readonly ModelEntry[];
  readonly policies: Map<string, Policy>;
  readonly policyIndex: PolicyShelves;
  /** Resource names of the models that name a provider. */
  readonly modelsOfProvider: Map<string, Set<string>>;
}

/** A change, checked and compiled; to put it in place cannot fail. */
export interface StagedChange {
  readonly plain: readonly Exclude<
    Resource["resource"],
    { case: undefined | "provider" | "model" | "policy" }
  >[];
  readonly policies: readonly PolicyEntry[];
  readonly providers: readonly ProviderEntry[];
  readonly models: readonly ModelDraft[];
  readonly deletions: readonly string[];
}

/** A state with nothing in it. */
export function createState(): CompiledState {
  return {
    teams: new Map(),
    users: new Map(),
    keys: new Map(),
    secrets: new Map(),
    providers: new Map(),
    drafts: new Map(),
    models: new Map(),
    wildcards: [],
    policies: new Map(),
    policyIndex: new PolicyShelves(),
    modelsOfProvider: new Map(),
  };
}

/** Puts a staged change in place, within one turn. */
export function commitStaged(
  state: CompiledState,
  staged: StagedChange,
  findPrice: FindPrice,
): void {
  const rebind = new Set<string>();
  for (const name of staged.deletions) remove(state, name);
  for (const resource of staged.plain) insertPlain(state, resource);
  for (const entry of staged.policies) {
    state.policies.set(entry.policy.name, entry.policy);
    state.policyIndex.put(entry);
  }
  for (const provider of staged.providers) {
    state.providers.set(provider.name, provider);
    for (const model of state.modelsOfProvider.get(provider.name) ?? []) rebind.add(model);
  }
  for (const draft of staged.models) {
    unlinkModel(state, draft.resource.name);
    linkModel(state, draft);
    rebind.add(draft.resource.name);
  }
  for (const name of rebind) bindModel(state, name, findPrice);
  if (staged.deletions.some(isWildcard) || [...rebind].some(isWildcard)) {
    sortWildcards(state, [...rebind].filter(isWildcard), findPrice);
  }
}

/** The name of a key's secret in the index. */
export function encodeSecretHash(sha256: Uint8Array): string {
  return Buffer.from(sha256.buffer, sha256.byteOffset, sha256.byteLength).toString("hex");
}

function insertPlain(state: CompiledState, resource: StagedChange["plain"][number]): void {
  switch (resource.case) {
    case "team":
      state.teams.set(resource.value.name, resource.value);
      return;
    case "user":
      state.users.set(resource.value.name, resource.value);
      return;
    case "key":
      removeSecrets(state, resource.value.name);
      state.keys.set(resource.value.name, resource.value);
      for (const secret of resource.value.secrets) {
        state.secrets.set(encodeSecretHash(secret.sha256), { key: resource.value, secret });
      }
      return;
    default:
      resource satisfies never;
  }
}

/** Names are unique across kinds, so whichever map has it is the right one. */
function remove(state: CompiledState, name: string): void {
  if (state.keys.has(name)) {
    removeSecrets(state, name);
    state.keys.delete(name);
    return;
  }
  if (state.drafts.has(name)) {
    unlinkModel(state, name);
    return;
  }
  state.teams.delete(name);
  state.users.delete(name);
  state.providers.delete(name);
  state.policies.delete(name);
  state.policyIndex.remove(name);
}

function removeSecrets(state: CompiledState, keyName: string): void {
  for (const secret of state.keys.get(keyName)?.secrets ?? []) {
    const hash = encodeSecretHash(secret.sha256);
    // Another key of the same change may have taken the hash over already.
    if (state.secrets.get(hash)?.key.name === keyName) state.secrets.delete(hash);
  }
}

function linkModel(state: CompiledState, draft: ModelDraft): void {
  const name = draft.resource.name;
  state.drafts.set(name, draft);
  for (const provider of draft.providers) {
    const models = state.modelsOfProvider.get(provider) ?? new Set();
    models.add(name);
    state.modelsOfProvider.set(provider, models);
  }
}

function unlinkModel(state: CompiledState, name: string): void {
  const draft = state.drafts.get(name);
  if (draft === undefined) return;
  state.drafts.delete(name);
  state.models.delete(draft.clientName);
  for (const provider of draft.providers) {
    const models = state.modelsOfProvider.get(provider);
    models?.delete(name);
    if (models?.size === 0) state.modelsOfProvider.delete(provider);
  }
}

function bindModel(state: CompiledState, name: string, findPrice: FindPrice): void {
  const draft = state.drafts.get(name);
  if (draft === undefined || draft.prefix !== undefined) return;
  state.models.set(draft.clientName, createModelEntry(draft, state.providers, findPrice));
}

/**
 * Wildcards are few, and readers walk them in order: they are kept in a list that is made anew when
 * one changes.
 */
function sortWildcards(
  state: CompiledState,
  changed: readonly string[],
  findPrice: FindPrice,
): void {
  const kept = state.wildcards.filter(
    (entry) => state.drafts.has(entry.resource.name) && !changed.includes(entry.resource.name),
  );
  const made = changed.flatMap((name) => {
    const draft = state.drafts.get(name);
    return draft === undefined ? [] : [createModelEntry(draft, state.providers, findPrice)];
  });
  state.wildcards = [...kept, ...made].sort(
    (a, b) => b.name.length - a.name.length || (a.name < b.name ? -1 : 1),
  );
}

function isWildcard(name: string): boolean {
  return name.startsWith("models/") && name.endsWith("*");
}
