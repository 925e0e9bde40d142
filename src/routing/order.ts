import type { Random } from "../mesh/random.ts";
import type { Target } from "../mesh/target.ts";

/**
 * Puts the targets of one model in the order in which to try them. Lower priorities first; within a
 * priority at random by weight, without replacement, so that a target of weight w is first with
 * probability w / Σw exactly; weight 0 comes behind.
 */
export function orderByWeight(targets: readonly Target[], random: Random): Target[] {
  if (targets.length <= 1) return targets.slice();
  const rest = targets.slice().sort((a, b) => a.priority - b.priority);
  const ordered: Target[] = [];
  let begin = 0;
  while (begin < rest.length) {
    let end = begin + 1;
    while (end < rest.length && rest[end]?.priority === rest[begin]?.priority) end += 1;
    drawAll(rest.slice(begin, end), random, ordered);
    begin = end;
  }
  return ordered;
}

function drawAll(pool: Target[], random: Random, ordered: Target[]): void {
  let sum = 0;
  for (const target of pool) sum += target.weight;
  while (sum > 0 && pool.length > 0) {
    let point = random.unit() * sum;
    let at = 0;
    // Rounding may leave the point at the very end: the last target with a weight takes it.
    for (let i = 0; i < pool.length; i++) {
      const weight = pool[i]?.weight ?? 0;
      if (weight === 0) continue;
      at = i;
      if (point < weight) break;
      point -= weight;
    }
    const [drawn] = pool.splice(at, 1);
    if (drawn === undefined) break;
    ordered.push(drawn);
    sum -= drawn.weight;
  }
  ordered.push(...pool);
}
