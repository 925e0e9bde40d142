import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { LimitUnit } from "../mesh/limit.ts";
import type { Pot } from "./pot.ts";
import { MICRO } from "./rate-level.ts";

/** Why a limit does not let a request pass. */
export type Verdict =
  /** The ledger, or the whole rate, says that there is not so much. */
  | "exhausted"
  /** The limit has as many pots as it may have, and this is a further one. */
  | "full"
  /** More than the limit ever holds. */
  | "too_large"
  /** Others hold it and have not given it back in time. */
  | "held"
  /** The ledger cannot be asked, or has not answered. */
  | "unavailable"
  /** The ledger waits for an operator. */
  | "suspended"
  /** What this proxy held was taken from it. */
  | "superseded"
  /** The limit is about to change here. */
  | "gone"
  /** Too many wait already. */
  | "crowded";

/** What a refusal is about. */
export interface Refused {
  readonly pot: Pot;
  /** What the attempt may cost at most. */
  readonly needed: number;
  readonly verdict: Verdict;
  readonly clock: Clock;
}

/** True when nobody knows whether anything is left. */
export function isUnproven(verdict: Verdict, pot: Pot): boolean {
  if (verdict === "exhausted" || verdict === "too_large" || verdict === "full") return false;
  return verdict !== "held" || pot.bound.limit.kind === "budget";
}

/** The error for a refusal: which policy, what was needed, what is left, when more comes. */
export function createRefusal(refused: Refused): MeshError {
  const { pot, needed, verdict, clock } = refused;
  const { limit, subject } = pot.bound;
  const nowMs = clock.now();
  const left = Math.max(0, remainingOf(pot, nowMs));
  const resetsInMs = resetsIn(pot, nowMs);
  const metadata: Record<string, string> = {
    policy: limit.policy,
    scope: subject === "" ? "shared" : subject,
    dimension: limit.unit,
    limit: String(limitOf(pot)),
    remaining: String(left),
  };
  if (resetsInMs !== undefined) {
    // Here a window ends a little early, by the time that the ledger's answer took.
    const endMs = Math.ceil((clock.wallMs() + resetsInMs) / 1000) * 1000;
    metadata.resets_at = new Date(endMs).toISOString();
  }
  if (limit.downgradeTo !== "") metadata.downgrade_to = limit.downgradeTo;
  const retryAfterMs = retryAfter(refused, nowMs);
  const details = retryAfterMs === undefined ? { metadata } : { metadata, retryAfterMs };
  if (isUnproven(verdict, pot)) {
    return new MeshError("QUOTA_UNAVAILABLE", sayUnproven(refused), details);
  }
  const reason = limit.kind === "budget" ? "BUDGET_EXHAUSTED" : "RATE_LIMITED";
  const until = metadata.resets_at;
  return new MeshError(reason, sayRefused(refused, needed, left, until), details);
}

/** What is left as far as this proxy knows, in the limit's unit. */
export function remainingOf(pot: Pot, nowMs: number): number {
  const { current, word } = pot;
  const free = word?.remaining ?? 0;
  if (current.rate === undefined) return Math.max(0, current.available) + free;
  return Math.floor(Math.max(0, current.rate.levelAt(nowMs)) / MICRO) + free;
}

/**
 * What is not spent, as callers are told of it who do not ask for anything: what other proxies hold
 * counts as left, for they may hold it for long and use little of it.
 */
export function unspentOf(pot: Pot, nowMs: number): number {
  const { current, word } = pot;
  const { kind } = pot.bound.limit;
  if (kind !== "budget" || word === undefined) return remainingOf(pot, nowMs);
  const unbooked = current.confirmed - current.echoedConfirmed;
  return limitOf(pot) - word.spent - unbooked - current.outstanding;
}

/** The ceiling of a window, or what a rate admits in each period. */
export function limitOf(pot: Pot): number {
  const { limit } = pot.bound;
  if (limit.kind === "rate") return limit.amount;
  return pot.word?.ceiling ?? limit.amount;
}

/** When the window ends, or the rate is full again; undefined for never. */
export function resetsIn(pot: Pot, nowMs: number): number | undefined {
  const { current } = pot;
  if (current.rate !== undefined) {
    const { burst, amount, periodMs } = pot.bound.limit;
    const lacking = burst - current.rate.levelAt(nowMs) / MICRO;
    return Math.ceil((Math.max(0, lacking) * periodMs) / Math.max(amount, 1));
  }
  if (current.endsAtMs !== Number.POSITIVE_INFINITY) return Math.max(0, current.endsAtMs - nowMs);
  const endsAtMs = pot.word?.windowEndsAtMs;
  return endsAtMs === undefined ? undefined : Math.max(0, endsAtMs - nowMs);
}

function retryAfter({ pot, needed, verdict }: Refused, nowMs: number): number | undefined {
  if (verdict === "too_large") return undefined;
  const { current, word } = pot;
  if (verdict === "exhausted" || verdict === "held") {
    const local = current.rate?.msUntil(needed, nowMs);
    if (local !== undefined) return local;
    if (word?.retryAtMs !== undefined) return Math.max(1, word.retryAtMs - nowMs);
    return pot.bound.limit.kind === "budget" ? resetsIn(pot, nowMs) : 1_000;
  }
  if (verdict === "full") return 3_600_000;
  return verdict === "suspended" ? 30_000 : 1_000;
}

function sayUnproven({ pot, verdict }: Refused): string {
  const { policy } = pot.bound.limit;
  switch (verdict) {
    case "suspended":
      return (
        `The ledger has stopped granting, because it may have lost commits; nothing proves that ` +
        `${policy} has anything left. An operator must look at \`weir quota\` and resume it.`
      );
    case "superseded":
      return (
        `What this proxy held of ${policy} was released, or a later start of it has taken over: it ` +
        "admits nothing that is limited. Whoever runs Weir must start it again."
      );
    case "gone":
      return `${policy} is changing. Try again in a moment.`;
    case "crowded":
      return `Too many requests wait for the ledger to grant from ${policy}. Try again shortly.`;
    case "held":
      return `What ${policy} has left is held by other proxies, and they have not given it back yet.`;
    default:
      return (
        `The ledger cannot be reached, and nothing proves that ${policy} has enough left. Try again ` +
        "shortly; if it lasts, whoever runs Weir must look at the control plane."
      );
  }
}

function sayRefused(
  { pot, verdict }: Refused,
  needed: number,
  left: number,
  until: string | undefined,
): string {
  const { limit, subject } = pot.bound;
  const whose = subject === "" ? "" : ` for ${subject}`;
  const need = `This request may take ${say(needed, limit.unit)}`;
  if (verdict === "full") {
    return (
      `${limit.policy} counts each value of a label by itself, has seen too many, and takes no ` +
      `further ones such as ${subject}. Ask with a value that it knows; whoever keeps it can name ` +
      "the values that it matches."
    );
  }
  if (verdict === "too_large") {
    const most = say(limit.burst, limit.unit);
    return `${limit.policy}${whose} admits at most ${most} at once. ${need}: ask for a shorter answer.`;
  }
  if (limit.kind === "budget") {
    const when = until === undefined ? "" : ` It starts anew at ${until}.`;
    return (
      `The budget ${limit.policy}${whose} does not have enough left: ${need.toLowerCase()}, and ` +
      `${say(left, limit.unit)} of ${say(limitOf(pot), limit.unit)} remain.${when} Whoever keeps ` +
      "the budget can raise it."
    );
  }
  if (limit.kind === "concurrency") {
    const slots = say(limitOf(pot), limit.unit);
    return `${limit.policy}${whose} admits ${slots} and all are under way. Try again when one has ended.`;
  }
  const speed = `${say(limit.amount, limit.unit)} each ${limit.periodMs / 1000} seconds`;
  return `${limit.policy}${whose} admits ${speed}. ${need}; try again later, and more slowly.`;
}

function say(amount: number, unit: LimitUnit): string {
  if (unit === "nano_usd") return `$${trimMoney(amount)}`;
  if (unit === "slots") return `${amount} ${amount === 1 ? "request" : "requests"} at a time`;
  return `${amount} ${unit.replace("_", " ")}`;
}

/** Cents and more, and as many digits of a part of a cent as tell. */
function trimMoney(nanoUsd: number): string {
  const text = (nanoUsd / 1_000_000_000).toFixed(9);
  return text.replace(/(\.\d\d\d*?)0+$/, "$1");
}
