import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  formatCost,
  formatCount,
  formatMicroseconds,
  formatTime,
  parseMoment,
  parseSpan,
} from "./quantities.ts";
import { UsageError } from "./usage-error.ts";

const nowMs = Date.UTC(2026, 0, 31);

describe("parseSpan()", () => {
  const spans: Array<[string, number]> = [
    ["500ms", 500],
    ["90s", 90_000],
    ["1.5h", 5_400_000],
    ["30m", 1_800_000],
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    ["0s", 0],
  ];
  for (const [text, ms] of spans) {
    it(`reads ${text}`, () => expect(parseSpan("since", text)).toBe(ms));
  }
  for (const text of ["", "7", "d", "7 d", "-7d", "7y", "7dd", "1e9d", "99999999999999999d"]) {
    it(`refuses ${JSON.stringify(text)}`, () =>
      expect(() => parseSpan("since", text)).toThrow(UsageError));
  }
});

describe("parseMoment()", () => {
  it("reads spans before now, and after it", () => {
    expect(parseMoment("since", "1d", { nowMs })).toBe(nowMs - 86_400_000);
    expect(parseMoment("expires", "1d", { nowMs, after: true })).toBe(nowMs + 86_400_000);
  });
  it("reads dates and times", () => {
    expect(parseMoment("since", "2026-01-31", { nowMs })).toBe(nowMs);
    expect(parseMoment("since", "2026-01-31T01:00:00+01:00", { nowMs })).toBe(nowMs);
  });
  for (const text of ["", "yesterday", "2026", "2026-13-01", "31.1.2026", "5", "1738281600"]) {
    it(`refuses ${JSON.stringify(text)}`, () =>
      expect(() => parseMoment("since", text, { nowMs })).toThrow(UsageError));
  }
});

describe("formatCost()", () => {
  const costs: Array<[bigint, string]> = [
    [0n, "$0"],
    [1n, "$0.000000001"],
    [150_000n, "$0.00015"],
    [1_000_000_000n, "$1"],
    [123_456_789_012_345_678n, "$123456789.012345678"],
    [-5n, "-$0.000000005"],
  ];
  for (const [nanoUsd, text] of costs) {
    it(`writes ${nanoUsd} exactly`, () => expect(formatCost(nanoUsd)).toBe(text));
  }
});

describe("formatMicroseconds()", () => {
  const times: Array<[number, string]> = [
    [0, "0µs"],
    [999, "999µs"],
    [1500, "1.5ms"],
    [12_345, "12ms"],
    [999_499, "999ms"],
    [999_500, "1.0s"],
    [1_449_000, "1.4s"],
    [59_940_000, "59.9s"],
    [59_960_000, "1m00s"],
    [125_000_000, "2m05s"],
  ];
  for (const [us, text] of times) {
    it(`writes ${us}`, () => expect(formatMicroseconds(us)).toBe(text));
  }
});

describe("formatCount() and formatTime()", () => {
  it("mark thousands, and write UTC", () => {
    expect([999n, 1000n, 1_234_567n].map(formatCount)).toEqual(["999", "1,000", "1,234,567"]);
    expect(formatTime(timestampFromDate(new Date(nowMs)))).toBe("2026-01-31 00:00:00");
    expect(formatTime(undefined)).toBe("-");
  });
});
