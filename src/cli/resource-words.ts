import { type Model, Strategy } from "../../gen/weir/admin/v1/model_pb.ts";
import type { Match, Policy, Selector } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { Provider } from "../../gen/weir/admin/v1/provider_pb.ts";

/** Whether a resource is in use. */
export function formatState({ disabled }: { readonly disabled: boolean }): string {
  return disabled ? "disabled" : "on";
}

/** Where a provider's credential comes from; never the credential. */
export function formatCredential({ credential }: Provider): string {
  const source = credential?.source;
  switch (source?.case) {
    case "env":
      return `env:${source.value}`;
    case "file":
      return `file:${source.value}`;
    case "secret":
    case "sealed":
      return "sealed";
    default:
      return "none";
  }
}

/** Who answers for a model, with share and priority where they are given. */
export function formatTargets({ aliasOf, targets }: Model): string {
  if (aliasOf !== "") return `alias of ${aliasOf}`;
  return targets
    .map(({ provider: at, upstreamModel, weight, priority }) => {
      const place = priority === 0 ? "" : ` #${priority}`;
      const share = weight === undefined ? "" : ` ×${weight}`;
      return `${at.replace(/^providers\//, "")}${upstreamModel === "" ? "" : `:${upstreamModel}`}${share}${place}`;
    })
    .join(", ");
}

/** The strategy in a word; `-` for the default. */
export function formatStrategy({ strategy }: Model): string {
  return strategyWords.get(strategy) ?? "-";
}

const strategyWords = new Map<Strategy, string>([
  [Strategy.WEIGHTED, "weighted"],
  [Strategy.BALANCED, "balanced"],
  [Strategy.PRICE, "price"],
  [Strategy.THROUGHPUT, "throughput"],
  [Strategy.LATENCY, "latency"],
  [Strategy.LEAST_BUSY, "least busy"],
  [Strategy.AFFINITY, "affinity"],
]);

/** What a policy says, in short. */
export function formatRule({ rule }: Policy): string {
  if (rule.case !== "access") return rule.case ?? "none";
  const { allowModels, denyModels } = rule.value;
  const parts = [
    ...(allowModels.length === 0 ? [] : [`allow ${allowModels.join(",")}`]),
    ...(denyModels.length === 0 ? [] : [`deny ${denyModels.join(",")}`]),
  ];
  return `access ${parts.join(", ")}`.trimEnd();
}

/** Whom a policy concerns, in short. */
export function formatMatch(match: Match | undefined): string {
  if (match === undefined) return "everyone";
  const selectors: ReadonlyArray<Selector | undefined> = [
    match.teams,
    match.users,
    match.keys,
    match.models,
    match.providers,
  ];
  const parts = selectors.flatMap((selector) => [
    ...(selector?.include ?? []),
    ...(selector?.exclude ?? []).map((each) => `not ${each}`),
  ]);
  for (const [label, { values }] of Object.entries(match.labels)) {
    parts.push(`${label}=${values.join("|")}`);
  }
  if (match.condition !== "") parts.push("a condition");
  return parts.join(", ") || "everyone";
}
