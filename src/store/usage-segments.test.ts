import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rollupTables } from "./usage-rollup.ts";
import { cutSpan } from "./usage-segments.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe("cutSpan()", () => {
  it("adds up everything from days alone", () => {
    const span = { startMs: undefined, endMs: undefined };
    const all = { startMs: Number.NEGATIVE_INFINITY, endMs: Number.POSITIVE_INFINITY };
    expect(cutSpan(span, "day")).toEqual([{ table: "usage_days", ...all }]);
    expect(cutSpan(span, "hour")).toEqual([{ table: "usage_hours", ...all }]);
  });

  it("takes hours and requests for the ends only", () => {
    expect(cutSpan({ startMs: DAY - 1, endMs: 3 * DAY + HOUR + 5 }, "day")).toEqual([
      { table: "requests", startMs: DAY - 1, endMs: DAY },
      { table: "usage_days", startMs: DAY, endMs: 3 * DAY },
      { table: "usage_hours", startMs: 3 * DAY, endMs: 3 * DAY + HOUR },
      { table: "requests", startMs: 3 * DAY + HOUR, endMs: 3 * DAY + HOUR + 5 },
    ]);
  });

  it("has nothing to add up in an empty or reversed span", () => {
    expect(cutSpan({ startMs: 5, endMs: 5 }, "day")).toEqual([]);
    expect(cutSpan({ startMs: 5 * DAY, endMs: DAY }, "day")).toEqual([]);
  });

  it("covers every instant of a span once, in whole steps of each table", () => {
    const bound = fc.option(fc.integer({ min: 0, max: 10 * DAY }), { nil: undefined });
    fc.assert(
      fc.property(bound, bound, fc.constantFrom("hour", "day"), (startMs, endMs, coarsest) => {
        const segments = cutSpan({ startMs, endMs }, coarsest);
        let at = startMs ?? Number.NEGATIVE_INFINITY;
        for (const segment of segments) {
          expect(segment.startMs).toBe(at);
          expect(segment.endMs).toBeGreaterThan(at);
          at = segment.endMs;
          if (segment.table === "requests") continue;
          for (const edge of [segment.startMs, segment.endMs]) {
            if (Number.isFinite(edge)) expect(edge % rollupTables[segment.table]).toBe(0);
          }
        }
        if (segments.length > 0) expect(at).toBe(endMs ?? Number.POSITIVE_INFINITY);
        else expect(startMs ?? 0).toBeGreaterThanOrEqual(endMs ?? 0);
      }),
    );
  });
});
