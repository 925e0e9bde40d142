import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTestTarget } from "../../test/support/targets.ts";
import { createSeededRandom } from "../mesh/random.ts";
import { orderByWeight } from "./order.ts";

const PICKS = 100_000;

describe("orderByWeight()", () => {
  it("honours weights exactly: chi-square over 100,000 picks", () => {
    const weights = [1, 2, 3, 4, 10, 80];
    const targets = weights.map((weight, at) => createTestTarget({ id: String(at), weight }));
    const random = createSeededRandom(7);
    const firsts = weights.map(() => 0);
    const seconds = weights.map(() => 0);
    for (let i = 0; i < PICKS; i++) {
      const [first, second] = orderByWeight(targets, random);
      firsts[Number(first?.id)] = (firsts[Number(first?.id)] ?? 0) + 1;
      seconds[Number(second?.id)] = (seconds[Number(second?.id)] ?? 0) + 1;
    }
    // 5 degrees of freedom: 20.5 is passed by chance once in a thousand seeds.
    expect(chiSquare(firsts, expectFirst(weights))).toBeLessThan(20.5);
    expect(chiSquare(seconds, expectSecond(weights))).toBeLessThan(20.5);
  });

  it("would notice a weight that is off by a twentieth", () => {
    const share = expectFirst([1, 2, 3, 4, 10, 80]);
    const off = share.map((each, at) => PICKS * (at === 4 ? each * 1.05 : each));
    expect(chiSquare(off, share)).toBeGreaterThan(20.5);
  });

  it("puts weight 0 behind every other of its priority", () => {
    const targets = [0, 0, 1, 5].map((weight, at) => createTestTarget({ id: String(at), weight }));
    const random = createSeededRandom(1);
    for (let i = 0; i < 100; i++) {
      const ordered = orderByWeight(targets, random).map((target) => target.weight);
      expect(ordered.slice(2)).toEqual([0, 0]);
    }
  });

  it("keeps every target once, and priorities in order", () => {
    const arbitrary = fc.array(fc.record({ weight: fc.nat(5), priority: fc.nat(3) }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(arbitrary, fc.nat(), (specs, seed) => {
        const targets = specs.map((spec, at) => createTestTarget({ id: String(at), ...spec }));
        const ordered = orderByWeight(targets, createSeededRandom(seed));
        expect(new Set(ordered.map((target) => target.id)).size).toBe(targets.length);
        const priorities = ordered.map((target) => target.priority);
        expect(priorities).toEqual([...priorities].sort((a, b) => a - b));
      }),
    );
  });
});

function expectFirst(weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** P(second = j) = Σ over i ≠ j of P(first = i) · w_j / (Σ − w_i). */
function expectSecond(weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((own, j) =>
    weights.reduce((p, w, i) => (i === j ? p : p + (w / sum) * (own / (sum - w))), 0),
  );
}

function chiSquare(seen: readonly number[], share: readonly number[]): number {
  return seen.reduce((sum, count, at) => {
    const expected = PICKS * (share[at] ?? 0);
    return sum + (count - expected) ** 2 / expected;
  }, 0);
}
