import { describe, expect, it } from "vitest";
import { ReceiveWindow } from "./receive-window.ts";

describe("ReceiveWindow", () => {
  it("takes as much as it is large, and no byte more", () => {
    const window = new ReceiveWindow(100);
    expect(window.take(100)).toBe(true);
    expect(window.take(1)).toBe(false);
  });

  it("opens again once half of it is used up", () => {
    const window = new ReceiveWindow(100);
    window.take(100);
    expect(window.consume(49)).toBe(0);
    expect(window.consume(1)).toBe(50);
    expect(window.take(50)).toBe(true);
    expect(window.take(1)).toBe(false);
  });
});
