import { type Model, Model_Health } from "../../gen/weir/v1/model_service_pb.ts";
import type { Leg, Principal } from "../mesh/grant.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import type { Target } from "../mesh/target.ts";
import type { PolicyRoom } from "./policy-room.ts";

/** The models that a principal may use, as ModelService tells them. */
export interface ModelDirectory {
  /** By name. Wildcards have no names to list. */
  list(principal: Principal): readonly Model[];
  /**
   * One of them, behind a wildcard too; undefined when there is none or the principal may not know
   * of it.
   */
  find(principal: Principal, name: string): Model | undefined;
}

/** `isHealthy` tells whether a target answers at this moment. */
export function createModelDirectory(
  current: () => Snapshot,
  policy: PolicyRoom,
  isHealthy: (target: Target) => boolean,
): ModelDirectory {
  const find = (principal: Principal, name: string): Model | undefined => {
    const leg = policy.find(principal, name);
    return leg && describeModel(name, leg, isHealthy);
  };
  return {
    find,
    list: (principal) => {
      const models: Model[] = [];
      for (const name of [...current().models.keys()].sort()) {
        const model = find(principal, name);
        if (model !== undefined) models.push(model);
      }
      return models;
    },
  };
}

function describeModel(name: string, leg: Leg, isHealthy: (target: Target) => boolean): Model {
  const { model, targets } = leg;
  const healthy = targets.filter(isHealthy);
  const described: Model = {
    $typeName: "weir.v1.Model",
    name,
    displayName: model.displayName,
    contextTokensMax: model.contextTokensMax ?? 0,
    outputTokensMax: model.outputTokensMax ?? 0,
    capabilities: model.capabilities,
    health: describeHealth(targets.length, healthy.length),
    targetCount: targets.length,
  };
  if (model.meta?.createTime !== undefined) described.createTime = model.meta.createTime;
  const price = findCheapest(healthy.length > 0 ? healthy : targets);
  if (price !== undefined) described.price = price;
  return described;
}

function describeHealth(all: number, healthy: number): Model_Health {
  if (healthy === 0) return Model_Health.UNHEALTHY;
  return healthy === all ? Model_Health.HEALTHY : Model_Health.DEGRADED;
}

/** By the price of as many input as output tokens: close enough to tell cheap from dear. */
function findCheapest(targets: readonly Target[]): Target["price"] {
  let cheapest: Target["price"];
  let lowest = 0n;
  for (const { price } of targets) {
    if (price === undefined) continue;
    const sum = price.inputNanoUsdPerMillion + price.outputNanoUsdPerMillion;
    if (cheapest !== undefined && sum >= lowest) continue;
    cheapest = price;
    lowest = sum;
  }
  return cheapest;
}
