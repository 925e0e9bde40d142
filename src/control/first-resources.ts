import { create } from "@bufbuild/protobuf";
import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { Policy_Mode, PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { KeySchema, Role, TeamSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import type { NewSecret } from "./key-secret.ts";
import { keyKind, modelKind, policyKind, providerKind, teamKind } from "./kinds.ts";
import type { Vendor } from "./vendors.ts";
import { rootTeam } from "./world.ts";

export const adminKeyName = `${rootTeam}/keys/admin`;
export const firstTeam = "teams/first";
export const firstKeyName = `${firstTeam}/keys/first`;

/** The organisation, its first team, a key for each, and the policy that lets the team in. */
export function createFirstPeople(admin: NewSecret, first: NewSecret): Resource[] {
  return [
    teamKind.wrap(create(TeamSchema, { name: rootTeam, displayName: "Organisation" })),
    teamKind.wrap(create(TeamSchema, { name: firstTeam, displayName: "First team" })),
    keyKind.wrap(
      create(KeySchema, {
        name: adminKeyName,
        displayName: "Platform admin",
        adminRole: Role.PLATFORM_ADMIN,
        prefix: admin.stored.prefix,
        secrets: [admin.stored],
      }),
    ),
    keyKind.wrap(
      create(KeySchema, {
        name: firstKeyName,
        displayName: "First key",
        prefix: first.stored.prefix,
        secrets: [first.stored],
      }),
    ),
    policyKind.wrap(
      create(PolicySchema, {
        name: "policies/first-team-may-use-everything",
        displayName: "First team may use everything",
        match: { teams: { include: [firstTeam] } },
        mode: Policy_Mode.ENFORCE,
        rule: { case: "access", value: { allowModels: ["*"] } },
      }),
    ),
  ];
}

/** The simulated engine and its models. It costs nothing, and says so. */
export function createSimulation(): Resource[] {
  const chat = ["chat", "tools", "images", "audio", "files", "json_schema", "reasoning"];
  return [
    providerKind.wrap(
      create(ProviderSchema, {
        name: "providers/sim",
        displayName: "Simulated engine",
        dialect: "sim",
        zeroDataRetention: true,
        prices: { "*": {} },
      }),
    ),
    createModel("sim/echo", "providers/sim", { upstreamModel: "echo", capabilities: chat }),
    createModel("sim/text", "providers/sim", { upstreamModel: "text", capabilities: chat }),
    createModel("sim/tools", "providers/sim", {
      upstreamModel: "text",
      capabilities: chat,
      parameterOverrides: '{"tool_calls":1}',
    }),
    createModel("sim/embed", "providers/sim", { upstreamModel: "embed", capabilities: ["embed"] }),
  ];
}

/**
 * A vendor, its credential in the environment of the proxies, and all its models by one wildcard.
 */
export function createVendor(vendor: Vendor, baseUrl: string): Resource[] {
  const name = `providers/${vendor.name}`;
  return [
    providerKind.wrap(
      create(ProviderSchema, {
        name,
        displayName: vendor.displayName,
        dialect: vendor.dialect,
        baseUrls: baseUrl === "" ? [] : [baseUrl],
        credential: { source: { case: "env", value: vendor.keyVariable } },
      }),
    ),
    createModel(`${vendor.name}/*`, name, { upstreamModel: "*", capabilities: [] }),
  ];
}

/** An engine that answers on this machine. */
export interface LocalEngine {
  /** Short and usable as a provider's id, such as `ollama`. */
  readonly name: string;
  /** Such as `http://127.0.0.1:11434/v1`. */
  readonly baseUrl: string;
  readonly models: readonly string[];
}

const ENGINE_MODELS_MAX = 200;

/** A local engine and those of its models whose names Weir can take. */
export function createEngine(engine: LocalEngine): Resource[] {
  const provider = `providers/${engine.name}`;
  const named = engine.models.filter(
    (model) => !model.includes("*") && modelKind.pattern.test(`models/${engine.name}/${model}`),
  );
  return [
    providerKind.wrap(
      create(ProviderSchema, {
        name: provider,
        displayName: engine.name,
        dialect: "openai",
        baseUrls: [engine.baseUrl],
        zeroDataRetention: true,
      }),
    ),
    ...[...new Set(named)].slice(0, ENGINE_MODELS_MAX).map((model) =>
      createModel(`${engine.name}/${model}`, provider, {
        upstreamModel: model,
        capabilities: [],
      }),
    ),
  ];
}

function createModel(
  name: string,
  provider: string,
  init: {
    readonly upstreamModel: string;
    readonly capabilities: readonly string[];
    readonly parameterOverrides?: string;
  },
): Resource {
  const { upstreamModel, capabilities, parameterOverrides = "" } = init;
  return modelKind.wrap(
    create(ModelSchema, {
      name: `models/${name}`,
      targets: [{ provider, upstreamModel, parameterOverrides }],
      capabilities: [...capabilities],
    }),
  );
}
