import type { Principal } from "../mesh/grant.ts";
import { type BoundLimit, bindLimit, type Limit } from "../mesh/limit.ts";
import type { Labels } from "./concerns.ts";

/** The pot of requests whose key belongs to nobody: they share one. */
const NOBODY = "(none)";

/**
 * Pots that are kept for each limit; past it they are all forgotten and made anew. Values of labels
 * are the callers' to choose, and must not fill the memory.
 */
const POTS_MAX = 16_384;

/**
 * Binds limits to pots. A pot has one BoundLimit, whoever it is bound for, so that what is kept by
 * its identity is found again.
 */
export class LimitBinder {
  readonly #pots = new WeakMap<Limit, Map<string, BoundLimit>>();

  bind(limit: Limit, subject: string): BoundLimit {
    let pots = this.#pots.get(limit);
    if (pots === undefined) {
      pots = new Map();
      this.#pots.set(limit, pots);
    }
    let bound = pots.get(subject);
    if (bound === undefined) {
      if (pots.size >= POTS_MAX) pots.clear();
      bound = bindLimit(limit, subject);
      pots.set(subject, bound);
    }
    return bound;
  }
}

/** Whether it takes a request's labels to tell whose pot it is. */
export function isPotByLabel({ per }: Limit, own: Labels): boolean {
  return per.kind === "label" && !Object.hasOwn(own, per.label);
}

/**
 * Whose pot a request is counted in: `teams/…` is the key's own team, `(none)` the one pot of all
 * keys that belong to no user, `LABEL=` that of all requests without the label. A key's own label
 * wins over the request's.
 */
export function nameSubject({ per }: Limit, { key, user }: Principal, asked: Labels): string {
  switch (per.kind) {
    case "shared":
      return "";
    case "team":
      return key.name.slice(0, key.name.indexOf("/keys/"));
    case "user":
      return user === "" ? NOBODY : user;
    case "key":
      return key.name;
    case "label": {
      const given = Object.hasOwn(key.labels, per.label) ? key.labels : asked;
      return `${per.label}=${Object.hasOwn(given, per.label) ? given[per.label] : ""}`;
    }
    default:
      return per satisfies never;
  }
}
