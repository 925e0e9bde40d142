import { type Model, Strategy, StrategySchema } from "../../gen/weir/admin/v1/model_pb.ts";
import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { Provider } from "../../gen/weir/admin/v1/provider_pb.ts";
import { MeshError } from "../mesh/errors.ts";

/**
 * What is designed and not there yet, in one place. Whoever writes it is told so, rather than
 * believing in a limit that nobody holds. Whoever builds a part takes its line away here.
 */

/** Throws UNIMPLEMENTED. */
export function refuseUnbuiltPolicy(policy: Policy): void {
  const field = ruleFields.get(policy.rule.case);
  if (field !== undefined) throw notYet(`policy.${field}`, `Policies of the kind ${field} are`);
  if (policy.match !== undefined && policy.match.condition !== "") {
    throw notYet("policy.match.condition", "Conditions in CEL are");
  }
}

/** Throws UNIMPLEMENTED. */
export function refuseUnbuiltModel(model: Model): void {
  if (model.strategy !== Strategy.UNSPECIFIED && model.strategy !== Strategy.WEIGHTED) {
    const name = StrategySchema.value[model.strategy]?.name ?? `number ${model.strategy}`;
    throw notYet("model.strategy", `Routing by the strategy ${name} is`);
  }
}

/** Throws UNIMPLEMENTED. */
export function refuseUnbuiltProvider(provider: Provider): void {
  if (plannedDialects.has(provider.dialect)) {
    throw notYet("provider.dialect", `The dialect ${provider.dialect} is`);
  }
  if (provider.limits !== undefined) throw notYet("provider.limits", "Limits of an account are");
  if (provider.healthCheck !== undefined) {
    throw notYet("provider.health_check", "Health checks beside real traffic are");
  }
  if (Object.keys(provider.options).length > 0) {
    throw notYet("provider.options", "Parameters of a dialect are");
  }
}

/** Throws UNIMPLEMENTED, for an RPC. */
export function refuseUnbuiltRpc(rpc: keyof typeof unbuiltRpcs): never {
  throw new MeshError("UNIMPLEMENTED", unbuiltRpcs[rpc]);
}

/** Dialects that the proto names for later. */
export const plannedDialects: ReadonlySet<string> = new Set([
  "gemini",
  "vertex",
  "bedrock",
  "azure",
  "cohere",
  "ollama",
]);

const unbuiltRpcs = {
  SimulatePolicy:
    "Simulating a policy is designed and not there yet. Write it with MODE_AUDIT instead: then " +
    "records name it in " +
    "`audit_denied_by`, and nobody is refused.",
  ExplainRoute:
    "Explaining a route without asking is designed and not there yet. Ask once, and read the " +
    "record with GetRequest.",
} as const;

const ruleFields: ReadonlyMap<Policy["rule"]["case"], string> = new Map([
  ["cache", "cache"],
  ["guard", "guard"],
  ["defaults", "defaults"],
  ["routing", "routing"],
]);

function notYet(field: string, what: string): MeshError {
  return new MeshError(
    "UNIMPLEMENTED",
    `${what} designed and not there yet: \`${field}\` would not be enforced, so it is refused. ` +
      "Leave it out.",
    { field },
  );
}
