import type { BoundLimit, Limit } from "./limit.ts";
import type { BucketState } from "./quota.ts";

/** A limit that concerns a key, whatever it asks or for some of what it may ask. */
export interface KeyLimit {
  readonly limit: Limit;
  /** Undefined where a request's labels decide whose pot it is. */
  readonly bound: BoundLimit | undefined;
  /** The models that it concerns, as clients ask for them. */
  readonly models: Names;
  /** The providers that it concerns, without `providers/`. */
  readonly providers: Names;
  /** Labels that a request or its key must have, with the values of which it must have one. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
}

/** Names, or beginnings of names that end in `*`. */
export interface Names {
  /** Any of these; empty means all. */
  readonly include: readonly string[];
  /** But none of these. */
  readonly exclude: readonly string[];
}

/** Such a limit, and what is left of it. */
export interface KeyLimitState extends KeyLimit {
  /** Undefined where a request's labels decide whose pot it is. */
  readonly state: BucketState | undefined;
}
