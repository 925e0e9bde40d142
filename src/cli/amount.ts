import { formatCost, formatCount } from "./quantities.ts";

/** An amount of what a limit counts, as people say it: `$4.20`, `12,000 tokens`. */
export function formatAmount(amount: bigint, unit: string): string {
  return unit === "nano_usd" ? formatCost(amount) : `${formatCount(amount)} ${words(unit)}`;
}

function words(unit: string): string {
  return unit.replaceAll("_", " ");
}
