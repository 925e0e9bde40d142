import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CalendarUnit, LimitWindow } from "./limit.ts";
import { findWindow } from "./window.ts";
import { isTimeZone } from "./zone-offset.ts";

const units: readonly CalendarUnit[] = [
  "minute",
  "hour",
  "day",
  "week",
  "month",
  "quarter",
  "year",
];

/** Zones whose clocks do something odd. */
const zones = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "America/Sao_Paulo",
  "America/St_Johns",
  "America/Havana",
  "Australia/Lord_Howe",
  "Asia/Kolkata",
  "Asia/Kathmandu",
  "Pacific/Apia",
  "Pacific/Kiritimati",
  "Africa/Casablanca",
  "Asia/Tehran",
];

function calendar(unit: CalendarUnit, timeZone = "UTC"): LimitWindow {
  return { kind: "calendar", unit, timeZone };
}

function find(window: LimitWindow, at: string) {
  const { startMs, endMs, horizonMs } = findWindow(window, Date.parse(at));
  return [startMs, endMs, horizonMs].map((ms) => new Date(ms).toISOString().slice(0, 16));
}

const anyWindow: fc.Arbitrary<LimitWindow> = fc.oneof(
  fc.record({
    kind: fc.constant("calendar" as const),
    unit: fc.constantFrom(...units),
    timeZone: fc.constantFrom(...zones),
  }),
  fc.record({
    kind: fc.constant("rolling" as const),
    days: fc.integer({ min: 1, max: 366 }),
    timeZone: fc.constantFrom(...zones),
  }),
);

const anyMoment = fc.integer({ min: Date.UTC(1975, 0), max: Date.UTC(2090, 0) });

describe("findWindow", () => {
  it("finds the window around every moment, touching its neighbours", () => {
    fc.assert(
      fc.property(anyWindow, anyMoment, (window, atMs) => {
        const here = findWindow(window, atMs);
        expect(here.startMs).toBeLessThanOrEqual(atMs);
        expect(here.endMs).toBeGreaterThan(atMs);
        expect(here.horizonMs).toBeLessThanOrEqual(here.startMs);
        expect(findWindow(window, here.endMs).startMs).toBe(here.endMs);
        expect(findWindow(window, here.startMs - 1).endMs).toBe(here.startMs);
        // Without what was remembered.
        expect(findWindow(window, here.startMs)).toEqual(here);
        expect(findWindow(window, here.endMs - 1)).toEqual(here);
      }),
      { numRuns: 150 },
    );
  });

  it("has no gap and no overlap while clocks change", () => {
    const changes: readonly (readonly [string, string])[] = [
      ["Europe/Berlin", "2026-03-29T01:00Z"],
      ["Europe/Berlin", "2026-10-25T01:00Z"],
      ["Australia/Lord_Howe", "2026-04-04T15:00Z"],
      ["Australia/Lord_Howe", "2026-10-03T15:30Z"],
      ["America/St_Johns", "2010-11-07T02:31Z"],
      ["America/Sao_Paulo", "2018-11-04T03:00Z"],
      ["Pacific/Apia", "2011-12-30T10:00Z"],
      ["America/Havana", "2025-11-02T05:00Z"],
    ];
    for (const [zone, change] of changes) {
      for (const unit of units) {
        const window = calendar(unit, zone);
        let last = findWindow(window, Date.parse(change) - 7_200_000);
        for (let at = Date.parse(change) - 7_200_000; at < Date.parse(change) + 7_200_000; ) {
          at += 60_000;
          const here = findWindow(window, at);
          if (here.startMs !== last.startMs) expect(here.startMs).toBe(last.endMs);
          expect(here.startMs <= at && at < here.endMs).toBe(true);
          last = here;
        }
      }
    }
  });

  it("counts a day of 23 and one of 25 hours as one day", () => {
    const day = calendar("day", "Europe/Berlin");
    expect(find(day, "2026-03-29T12:00Z")).toEqual([
      "2026-03-28T23:00",
      "2026-03-29T22:00",
      "2026-03-28T23:00",
    ]);
    expect(find(day, "2026-10-25T00:30Z").slice(0, 2)).toEqual([
      "2026-10-24T22:00",
      "2026-10-25T23:00",
    ]);
  });

  it("begins a day that has no midnight at its first moment", () => {
    expect(find(calendar("day", "America/Sao_Paulo"), "2018-11-04T12:00Z")[0]).toBe(
      "2018-11-04T03:00",
    );
  });

  it("leaves out a day that a zone has skipped", () => {
    expect(find(calendar("day", "Pacific/Apia"), "2011-12-30T11:00Z").slice(0, 2)).toEqual([
      "2011-12-30T10:00",
      "2011-12-31T10:00",
    ]);
  });

  it("does not go back to a day when clocks are put back over its end", () => {
    // At 00:01 of the 7th clocks went to 23:01 of the 6th.
    const day = calendar("day", "America/St_Johns");
    expect(find(day, "2010-11-07T02:45Z")[0]).toBe("2010-11-07T02:30");
    expect(find(day, "2010-11-07T04:00Z")[0]).toBe("2010-11-07T02:30");
  });

  it("makes two windows of an hour that comes twice", () => {
    const hour = calendar("hour", "Europe/Berlin");
    expect(find(hour, "2026-10-25T00:30Z").slice(0, 2)).toEqual([
      "2026-10-25T00:00",
      "2026-10-25T01:00",
    ]);
    expect(find(hour, "2026-10-25T01:30Z")[0]).toBe("2026-10-25T01:00");
  });

  it("begins hours where the zone's clocks begin them", () => {
    expect(find(calendar("hour", "Asia/Kolkata"), "2026-01-01T00:10Z")[0]).toBe("2025-12-31T23:30");
  });

  it("begins weeks on Monday, and quarters and years at theirs", () => {
    const sunday = "2026-03-01T12:00Z";
    expect(find(calendar("week"), sunday).slice(0, 2)).toEqual([
      "2026-02-23T00:00",
      "2026-03-02T00:00",
    ]);
    expect(find(calendar("month"), sunday).slice(0, 2)).toEqual([
      "2026-03-01T00:00",
      "2026-04-01T00:00",
    ]);
    expect(find(calendar("quarter"), "2026-12-31T23:59Z").slice(0, 2)).toEqual([
      "2026-10-01T00:00",
      "2027-01-01T00:00",
    ]);
    expect(find(calendar("year", "Asia/Tokyo"), "2026-12-31T15:00Z").slice(0, 2)).toEqual([
      "2026-12-31T15:00",
      "2027-12-31T15:00",
    ]);
  });

  it("counts a leap year's February whole", () => {
    expect(find(calendar("month"), "2028-02-29T23:59Z").slice(0, 2)).toEqual([
      "2028-02-01T00:00",
      "2028-03-01T00:00",
    ]);
  });

  it("reaches back a rolling window's days, today included, over a change of clocks", () => {
    const rolling: LimitWindow = { kind: "rolling", days: 3, timeZone: "Europe/Berlin" };
    expect(find(rolling, "2026-03-30T12:00Z")).toEqual([
      "2026-03-29T22:00",
      "2026-03-30T22:00",
      "2026-03-27T23:00",
    ]);
    expect(find({ ...rolling, days: 1 }, "2026-03-30T12:00Z")[2]).toBe("2026-03-29T22:00");
  });

  it("never ends a lifetime", () => {
    expect(findWindow({ kind: "lifetime" }, 5)).toEqual({
      startMs: 0,
      endMs: Number.POSITIVE_INFINITY,
      horizonMs: 0,
    });
  });

  it("throws for a moment that no calendar reaches, rather than to look for ever", () => {
    for (const atMs of [Number.NaN, Number.POSITIVE_INFINITY, 9e15, -9e15, 2 ** 53 - 1]) {
      for (const unit of units) {
        expect(() => findWindow(calendar(unit), atMs)).toThrow(RangeError);
      }
    }
    expect(findWindow(calendar("year"), 8.59e15).endMs).toBeGreaterThan(8.59e15);
  });

  it("throws for an unknown zone", () => {
    expect(() => findWindow(calendar("day", "Mars/Olympus"), 0)).toThrow(RangeError);
  });
});

describe("isTimeZone", () => {
  it("knows names of zones and nothing else", () => {
    expect(zones.filter((zone) => !isTimeZone(zone))).toEqual([]);
    const none = ["", "Mars/Olympus", "+01:00", "Europe/Berlin|x", "UTC ", "1"];
    expect(none.filter(isTimeZone)).toEqual([]);
  });
});
