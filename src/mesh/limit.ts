import type { Price } from "../../gen/weir/v1/usage_pb.ts";

/** What a limit counts. `slots` are requests under way. */
export type LimitUnit =
  | "nano_usd"
  | "tokens"
  | "input_tokens"
  | "output_tokens"
  | "requests"
  | "slots";

/**
 * A policy of the kind budget, rate_limit or concurrency, compiled. One object for a revision of
 * the policy.
 */
export interface Limit {
  /** The policy's resource name. */
  readonly policy: string;
  readonly kind: "budget" | "rate" | "concurrency";
  readonly unit: LimitUnit;
  /**
   * What kind of pot it is, such as `nano_usd:month@Europe/Berlin`, `requests:rate` or `slots`:
   * when a policy comes to count something else, or over another time, it gets new buckets.
   */
  readonly form: string;
  /** The ceiling of a window; for a rate, what comes in each period; for concurrency, the slots. */
  readonly amount: number;
  /** Undefined for rates and concurrency. */
  readonly window: LimitWindow | undefined;
  /** For a rate: its period. 0 otherwise. */
  readonly periodMs: number;
  /** For a rate: how much at once. 0 otherwise. */
  readonly burst: number;
  /** Whose pot a request is counted in. */
  readonly per: LimitScope;
  /** True when it only records what it would refuse. */
  readonly audit: boolean;
  /** True to lower a request's output limit to what fits. */
  readonly clamp: boolean;
  /** A model to answer instead of a refusal, as clients name it; empty means none. */
  readonly downgradeTo: string;
  /** True to admit when nobody can prove that anything is left. */
  readonly allowUnproven: boolean;
  /** The outage of the ledger that its leases shall survive, in milliseconds. */
  readonly surviveMs: number;
  /** The price to count by where a target has none; undefined refuses such targets. */
  readonly defaultPrice: Price | undefined;
  /** Whether requests to a provider are counted, by its resource name. */
  concernsProvider(provider: string): boolean;
}

/** Over which time a budget counts. */
export type LimitWindow =
  | { readonly kind: "calendar"; readonly unit: CalendarUnit; readonly timeZone: string }
  | { readonly kind: "rolling"; readonly days: number; readonly timeZone: string }
  | { readonly kind: "lifetime" };

export type CalendarUnit = "minute" | "hour" | "day" | "week" | "month" | "quarter" | "year";

/** Who has a pot of their own. */
export type LimitScope =
  | { readonly kind: "shared" | "team" | "user" | "key" }
  | { readonly kind: "label"; readonly label: string };

/** A limit that concerns a request, with whose pot it is. */
export interface BoundLimit {
  readonly limit: Limit;
  /**
   * `teams/…`, `users/…`, `teams/…/keys/…`, `LABEL=VALUE`, `LABEL=` for requests without the label,
   * `(none)` for keys that belong to no user, or empty for a shared pot.
   */
  readonly subject: string;
  /** The bucket's name: `POLICY|FORM|SUBJECT`. */
  readonly bucket: string;
}

/** Binds a limit to a pot. */
export function bindLimit(limit: Limit, subject: string): BoundLimit {
  return { limit, subject, bucket: `${limit.policy}|${limit.form}|${subject}` };
}

/** The parts of a bucket's name; undefined when it is none. */
export function parseBucket(
  bucket: string,
): { readonly policy: string; readonly form: string; readonly subject: string } | undefined {
  const first = bucket.indexOf("|");
  const second = bucket.indexOf("|", first + 1);
  if (first < 0 || second < 0) return undefined;
  return {
    policy: bucket.slice(0, first),
    form: bucket.slice(first + 1, second),
    subject: bucket.slice(second + 1),
  };
}
