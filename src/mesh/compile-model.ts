import type { Model, Target as TargetResource } from "../../gen/weir/admin/v1/model_pb.ts";
import type { Price } from "../../gen/weir/v1/usage_pb.ts";
import { SnapshotRefusal } from "./compile-refusal.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import type { ModelEntry } from "./snapshot.ts";
import type { ProviderEntry, Target } from "./target.ts";

/** Looks a price up in the catalogue; undefined when it is not known. */
export type FindPrice = (query: PriceQuery) => Price | undefined;

/** What the catalogue is asked with. */
export interface PriceQuery {
  /** The vendor's name in the catalogue; empty means to guess. */
  readonly catalogue: string;
  /** The first base URL; empty for `sim`. */
  readonly baseUrl: string;
  readonly dialect: string;
  readonly upstreamModel: string;
}

/** A model, checked, and not bound to its providers yet: they may change while it stays. */
export interface ModelDraft {
  readonly resource: Model;
  /** As clients use it, without `models/`. */
  readonly clientName: string;
  /** What comes before the `*` of a wildcard; undefined for a plain name. */
  readonly prefix: string | undefined;
  readonly legs: readonly DraftLeg[];
  /** The names of its providers, each once. */
  readonly providers: ReadonlySet<string>;
}

interface DraftLeg {
  readonly resource: TargetResource;
  readonly overrides: JsonObject | undefined;
  readonly capabilities: ReadonlySet<string> | undefined;
}

/**
 * Checks a model by itself. Throws SnapshotRefusal for parameter overrides that are no JSON object.
 */
export function compileModel(resource: Model): ModelDraft {
  const clientName = resource.name.slice(MODELS.length);
  const legs = resource.targets.map((target) => ({
    resource: target,
    overrides: parseOverrides(resource.name, target.parameterOverrides),
    capabilities: chooseCapabilities(target.capabilities, resource.capabilities),
  }));
  return {
    resource,
    clientName,
    prefix: clientName.endsWith("*") ? clientName.slice(0, -1) : undefined,
    legs,
    providers: new Set(resource.targets.map((target) => target.provider)),
  };
}

/**
 * Binds a model to its providers. Its targets are made when they are first asked for, so that
 * binding costs nothing.
 */
export function createModelEntry(
  draft: ModelDraft,
  providers: ReadonlyMap<string, ProviderEntry>,
  findPrice: FindPrice,
): ModelEntry {
  const byName = new Map<string, readonly Target[]>();
  return {
    name: draft.clientName,
    resource: draft.resource,
    targetsFor: (name) => {
      const known = byName.get(name);
      if (known !== undefined) return known;
      // A plain model has one name; what clients put behind a wildcard's prefix must not fill the
      // memory.
      if (byName.size >= NAMES_MAX) byName.clear();
      const targets = createTargets(draft, name, providers, findPrice);
      byName.set(name, targets);
      return targets;
    },
  };
}

const MODELS = "models/";
const NAMES_MAX = 1000;

function createTargets(
  draft: ModelDraft,
  name: string,
  providers: ReadonlyMap<string, ProviderEntry>,
  findPrice: FindPrice,
): readonly Target[] {
  const targets: Target[] = [];
  for (const leg of draft.legs) {
    const provider = providers.get(leg.resource.provider);
    if (provider === undefined) continue;
    const upstreamModel = nameUpstream(draft, leg.resource.upstreamModel, name);
    targets.push({
      id: `${provider.name.slice(provider.name.indexOf("/") + 1)}/${upstreamModel}`,
      model: name,
      provider,
      upstreamModel,
      weight: leg.resource.weight ?? 1,
      priority: leg.resource.priority,
      overrides: leg.overrides,
      headers: mergeHeaders(provider.resource.headers, leg.resource.headers),
      price: leg.resource.price ?? findProviderPrice(provider, upstreamModel, findPrice),
      capabilities: leg.capabilities,
      outputTokensMax: draft.resource.outputTokensMax,
    });
  }
  return targets;
}

function nameUpstream(draft: ModelDraft, upstreamModel: string, name: string): string {
  if (upstreamModel === "") return name;
  if (draft.prefix === undefined) return upstreamModel;
  return upstreamModel.replaceAll("*", () => name.slice(draft.prefix?.length));
}

function findProviderPrice(
  provider: ProviderEntry,
  upstreamModel: string,
  findPrice: FindPrice,
): Price | undefined {
  const { prices, catalogue } = provider.resource;
  const exact = Object.hasOwn(prices, upstreamModel) ? prices[upstreamModel] : undefined;
  return (
    exact ??
    findPrefixPrice(prices, upstreamModel) ??
    findPrice({
      catalogue,
      baseUrl: provider.baseUrls[0] ?? "",
      dialect: provider.dialect,
      upstreamModel,
    })
  );
}

function findPrefixPrice(
  prices: Readonly<Record<string, Price>>,
  upstreamModel: string,
): Price | undefined {
  let longest = -1;
  let found: Price | undefined;
  for (const [pattern, price] of Object.entries(prices)) {
    if (!pattern.endsWith("*") || pattern.length <= longest) continue;
    if (!upstreamModel.startsWith(pattern.slice(0, -1))) continue;
    longest = pattern.length;
    found = price;
  }
  return found;
}

function mergeHeaders(
  ofProvider: Readonly<Record<string, string>>,
  ofTarget: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const merged: Record<string, string> = {};
  for (const headers of [ofProvider, ofTarget]) {
    for (const [name, value] of Object.entries(headers)) merged[name.toLowerCase()] = value;
  }
  return merged;
}

function chooseCapabilities(
  ofTarget: readonly string[],
  ofModel: readonly string[],
): ReadonlySet<string> | undefined {
  if (ofTarget.length > 0) return new Set(ofTarget);
  return ofModel.length > 0 ? new Set(ofModel) : undefined;
}

function parseOverrides(model: string, text: string): JsonObject | undefined {
  if (text === "") return undefined;
  const value = parseJson(text);
  if (isJsonObject(value)) return value;
  throw new SnapshotRefusal(model, "A target's parameter_overrides is no JSON object.");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
