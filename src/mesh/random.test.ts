import { describe, expect, it } from "vitest";
import { createTimedId } from "./random.ts";

describe("createTimedId()", () => {
  it("sorts by time, and is never the same", () => {
    const ids = [0, 1, 255, 1_790_000_000_000.7, 1_790_000_000_001, 2 ** 48 - 1].map((ms) =>
      createTimedId("req_", ms),
    );
    expect(ids.toSorted()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^req_[0-9a-f]{32}$/);
    expect(createTimedId("x", 5)).not.toBe(createTimedId("x", 5));
  });
});
