import type { Leg } from "../mesh/grant.ts";
import type { Random } from "../mesh/random.ts";
import type { Target } from "../mesh/target.ts";
import type { Breakers } from "./breaker.ts";
import { orderByWeight } from "./order.ts";

/**
 * The order in which to try the targets of a leg. What is ejected or without capacity goes to the
 * end and is not dropped: when nothing else is left, the one that comes back soonest is still
 * better than a refusal.
 */
export function planLeg(leg: Leg, breakers: Breakers, random: Random): Target[] {
  const { targets } = leg;
  const only = targets[0];
  if (only === undefined) return [];
  if (targets.length === 1) return [only];
  const ordered = orderByWeight(targets, random);
  const ready: Target[] = [];
  const waiting: Target[] = [];
  for (const target of ordered) {
    const breaker = breakers.of(target.id);
    if (breaker.state === "open" || breaker.blocked) waiting.push(target);
    else ready.push(target);
  }
  if (waiting.length === 0) return ready;
  waiting.sort((a, b) => breakers.of(a.id).waitMs - breakers.of(b.id).waitMs);
  return ready.concat(waiting);
}
