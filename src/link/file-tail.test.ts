import { describe, expect, it } from "vitest";
import { FileTail } from "./file-tail.ts";

describe("FileTail", () => {
  it("has what was appended, piece by piece and across pieces", () => {
    const tail = new FileTail();
    tail.append(Buffer.from("abc"), 100);
    tail.append(Buffer.from("def"), 103);
    expect(tail.read(100, 6)?.toString()).toBe("abcdef");
    expect(tail.read(102, 2)?.toString()).toBe("cd");
  });

  it("has nothing of what lies before, behind or only partly in it", () => {
    const tail = new FileTail();
    expect(tail.read(0, 1)).toBeUndefined();
    tail.append(Buffer.from("abc"), 100);
    for (const [at, size] of [
      [99, 2],
      [103, 1],
      [102, 2],
      [0, 100],
    ]) {
      expect(tail.read(at ?? 0, size ?? 0), `${at}+${size}`).toBeUndefined();
    }
  });

  it("begins anew behind a gap, and when it is full, and leaves what was read as it is", () => {
    const tail = new FileTail();
    tail.append(Buffer.from("abc"), 0);
    const read = tail.read(0, 3);
    tail.append(Buffer.from("xyz"), 50);
    expect(tail.read(0, 3)).toBeUndefined();
    expect(tail.read(50, 3)?.toString()).toBe("xyz");
    tail.append(Buffer.alloc(1_000_000, "z"), 53);
    expect(tail.read(50, 3)).toBeUndefined();
    expect(tail.read(53, 1_000_000)).toHaveLength(1_000_000);
    expect(read?.toString()).toBe("abc");
  });

  it("forgets", () => {
    const tail = new FileTail();
    tail.append(Buffer.from("abc"), 0);
    tail.forget();
    expect(tail.read(0, 3)).toBeUndefined();
    tail.append(Buffer.from("def"), 3);
    expect(tail.read(3, 3)?.toString()).toBe("def");
  });
});
