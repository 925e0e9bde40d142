import type { Call } from "../mesh/call.ts";
import type { Clock } from "../mesh/clock.ts";
import type { RateState } from "../mesh/quota.ts";

/**
 * Adds the header fields that tell what limits did to a call: who shortened its answer or had
 * another model answer, who let it pass without proof, and what is left of its rates. Names and
 * values in turn; nothing where nothing limits it.
 */
export function addLimitFields(fields: string[], call: Call, clock: Clock): void {
  const { clampedBy, downgradedBy, unprovenBy, quota } = call.trail;
  if (clampedBy !== "") fields.push("x-weir-quota-clamped", clampedBy);
  if (downgradedBy !== "") fields.push("x-weir-downgraded-by", downgradedBy);
  if (unprovenBy.length > 0) {
    fields.push("x-weir-quota-unproven", [...new Set(unprovenBy)].join(", "));
  }
  const rates = quota?.rates?.();
  if (rates === undefined) return;
  const add = call.door === "anthropic" ? addAnthropicRate : addRate;
  if (rates.requests !== undefined) add(fields, "requests", rates.requests, clock);
  if (rates.tokens !== undefined) add(fields, "tokens", rates.tokens, clock);
}

/** The names of what addLimitFields adds, for scripts of other origins. */
export const limitFieldNames: readonly string[] = [
  "x-weir-quota-clamped",
  "x-weir-downgraded-by",
  "x-weir-quota-unproven",
  ...["requests", "tokens"].flatMap((what) =>
    ["limit", "remaining", "reset"].map((word) => `x-ratelimit-${word}-${what}`),
  ),
];

/** As OpenAI names them: when all is there again as a span. */
function addRate(fields: string[], what: string, rate: RateState): void {
  fields.push(
    ...[`x-ratelimit-limit-${what}`, String(rate.limit)],
    ...[`x-ratelimit-remaining-${what}`, String(rate.remaining)],
    ...[`x-ratelimit-reset-${what}`, formatSpan(rate.resetMs)],
  );
}

/** As Anthropic names them: when all is there again as a time, to the second. */
function addAnthropicRate(fields: string[], what: string, rate: RateState, clock: Clock): void {
  const resetMs = Math.ceil((clock.wallMs() + rate.resetMs) / 1000) * 1000;
  fields.push(
    ...[`anthropic-ratelimit-${what}-limit`, String(rate.limit)],
    ...[`anthropic-ratelimit-${what}-remaining`, String(rate.remaining)],
    ...[`anthropic-ratelimit-${what}-reset`, new Date(resetMs).toISOString().replace(".000Z", "Z")],
  );
}

/** A span as OpenAI's clients read it: `0s`, `120ms`, `8.64s`, `6m0s`, `1h0m30s`. */
export function formatSpan(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole > 0 && whole < 1000) return `${whole}ms`;
  const seconds = whole / 1000;
  if (seconds < 60) return `${seconds}s`;
  // To the second, and never too early.
  const total = Math.ceil(seconds);
  const hours = Math.floor(total / 3600);
  const rest = `${Math.floor(total / 60) % 60}m${total % 60}s`;
  return hours === 0 ? rest : `${hours}h${rest}`;
}
