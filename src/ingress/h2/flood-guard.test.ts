import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../mesh/virtual-clock.ts";
import { FloodGuard } from "./flood-guard.ts";

/** How often something may happen before it is too often. */
function countUntilThrown(run: () => void): number {
  for (let count = 0; count < 100_000; count++) {
    try {
      run();
    } catch {
      return count;
    }
  }
  return Number.POSITIVE_INFINITY;
}

describe("FloodGuard", () => {
  it("lets 500 streams fail at once, and 50 a second", async () => {
    const clock = new VirtualClock();
    const guard = new FloodGuard(clock);
    const fail = () => guard.spendFault();
    expect(countUntilThrown(fail)).toBe(500);
    await clock.advance(2_000);
    expect(countUntilThrown(fail)).toBe(100);
  });

  it("lets 10,000 cheap frames pass at once, and 1,000 a second", async () => {
    const clock = new VirtualClock();
    const guard = new FloodGuard(clock);
    const spend = () => guard.spendCheap();
    expect(countUntilThrown(spend)).toBe(10_000);
    await clock.advance(3_000);
    expect(countUntilThrown(spend)).toBe(3_000);
  });

  it("never throws out who sends three cheap frames for each of use", () => {
    const guard = new FloodGuard(new VirtualClock());
    for (let at = 0; at < 50_000; at++) {
      guard.earn();
      for (let cheap = 0; cheap < 3; cheap++) guard.spendCheap();
    }
  });
});
