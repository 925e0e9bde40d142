import { create } from "@bufbuild/protobuf";
import { type Model, ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { type Provider, ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { PriceSchema } from "../../gen/weir/v1/usage_pb.ts";
import type { Leg } from "../../src/mesh/grant.ts";
import type { ProviderEntry, Target, UpstreamDialect } from "../../src/mesh/target.ts";

/** A provider that needs nothing, for tests. */
export function createTestProvider(
  name = "providers/test",
  dialect: UpstreamDialect = "sim",
  fields: Partial<Omit<Provider, "$typeName">> = {},
): ProviderEntry {
  const resource = create(ProviderSchema, { name, dialect, ...fields });
  return {
    name,
    dialect,
    baseUrls: resource.baseUrls,
    secret: undefined,
    fault: undefined,
    resource,
  };
}

/** A target at a provider that needs nothing, $1 a million tokens each way. */
export function createTestTarget(fields: Partial<Target> = {}): Target {
  return {
    id: "providers/test/model",
    model: "test/model",
    provider: createTestProvider(),
    upstreamModel: "model",
    weight: 1,
    priority: 0,
    overrides: undefined,
    headers: {},
    price: create(PriceSchema, {
      inputNanoUsdPerMillion: 1_000_000_000n,
      outputNanoUsdPerMillion: 1_000_000_000n,
    }),
    capabilities: undefined,
    outputTokensMax: undefined,
    ...fields,
  };
}

/** The first leg of a route over these targets. */
export function createTestLeg(targets: readonly Target[], fields: Partial<Leg> = {}): Leg {
  const model: Model = create(ModelSchema, { name: "models/test/model", retriesPerTarget: 0 });
  return { name: "test/model", model, targets, excluded: [], after: "first", ...fields };
}
