import { describe, expect, it } from "vitest";
import { defaultMaxConnections, readDescriptorLimit } from "./max-connections.ts";

const LINES = [
  "Limit                     Soft Limit           Hard Limit           Units",
  "Max processes             500                  500                  processes",
  "Max open files            1024                 524288               files",
];

describe("defaultMaxConnections()", () => {
  for (const [descriptors, connections] of [
    [undefined, 20_000],
    [1_048_576, 20_000],
    [40_001, 20_000],
    [1_024, 512],
    [1, 1],
  ] as const) {
    it(`is ${connections} with ${descriptors ?? "an unknown number of"} descriptors`, () => {
      expect(defaultMaxConnections(descriptors)).toBe(connections);
    });
  }
});

describe("readDescriptorLimit()", () => {
  it("reads what the process has, not what it could have", () => {
    expect(readDescriptorLimit(() => LINES.join("\n"))).toBe(1_024);
  });

  for (const text of ["", "Max open files            unlimited            unlimited  files"]) {
    it(`knows nothing of ${JSON.stringify(text)}`, () => {
      expect(readDescriptorLimit(() => text)).toBeUndefined();
    });
  }
});
