import { describe, expect, it } from "vitest";
import { assertTimeout, readGrpcTimeout } from "./grpc-timeout.ts";

describe("readGrpcTimeout()", () => {
  const good: Array<[string, number]> = [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["4m", 4],
    ["5000u", 5],
    ["6000000n", 6],
    ["0S", 0],
    ["99999999m", 99_999_999],
  ];
  for (const [value, ms] of good) {
    it(`reads ${value}`, () => expect(readGrpcTimeout(value)).toBeCloseTo(ms, 9));
  }

  for (const value of [
    "",
    "S",
    "1",
    "1s",
    "1h",
    "-1S",
    "1.5S",
    "123456789S",
    "1 S",
    " 1S",
    "0x1S",
  ]) {
    it(`cannot read ${JSON.stringify(value)}`, () => {
      expect(readGrpcTimeout(value)).toBeNaN();
      expect(() => assertTimeout(readGrpcTimeout(value))).toThrow(/grpc-timeout/);
    });
  }
});
