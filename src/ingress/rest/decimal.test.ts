import { assert, bigInt, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { formatNanoUsd, formatTokenPrice } from "./decimal.ts";

describe("formatNanoUsd()", () => {
  const cases: Array<[bigint, string]> = [
    [0n, "0"],
    [1n, "0.000000001"],
    [1_000_000_000n, "1"],
    [1_500_000_000n, "1.5"],
    [-20n, "-0.00000002"],
    [9_007_199_254_740_993_000_000_001n, "9007199254740993.000000001"],
  ];
  for (const [nanoUsd, text] of cases) {
    it(`writes ${nanoUsd} as ${text}`, () => expect(formatNanoUsd(nanoUsd)).toBe(text));
  }

  it("loses nothing", () => {
    void assert(
      property(bigInt(), (value) => {
        const [whole = "", fraction = ""] = formatNanoUsd(value).split(".");
        return (
          BigInt(whole.replace("-", "") + fraction.padEnd(9, "0")) === (value < 0n ? -value : value)
        );
      }),
    );
  });
});

describe("formatTokenPrice()", () => {
  it("writes $0.15 a million tokens as the price of one", () => {
    expect(formatTokenPrice(150_000_000n)).toBe("0.00000015");
  });
});
