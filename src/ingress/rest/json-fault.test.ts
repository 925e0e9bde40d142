import { assert, json, nat, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { locateJsonFault } from "./json-fault.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("locateJsonFault()", () => {
  const faults: Array<[string, number]> = [
    ["", 0],
    ["{", 1],
    ["[1,]", 3],
    ['{"a":1,}', 7],
    ['{"a" 1}', 5],
    ['{"a":01}', 6],
    ['{"a":tru}', 5],
    ['{"a":1} x', 8],
    ['{"a":"b\nc"}', 7],
    ['{"a":"\\x"}', 6],
    ['{"a":"\\u12g4"}', 6],
    ['{"a":"b', 7],
    ["{a:1}", 1],
    ["{'a':1}", 1],
    ["[1 2]", 3],
    ["[}", 1],
    ["{]", 1],
    ["\ufeff{}", 0],
  ];
  for (const [text, offset] of faults) {
    it(`finds the fault of ${JSON.stringify(text)} at ${offset}`, () => {
      expect(isJson(text)).toBe(false);
      expect(locateJsonFault(text).offset).toBe(offset);
    });
  }

  it("counts lines and columns from 1", () => {
    expect(locateJsonFault('{\n  "a": 1\n  "b": 2\n}')).toMatchObject({ line: 3, column: 3 });
  });

  it("goes through the whole of what is JSON", () => {
    void assert(property(json(), (text) => locateJsonFault(text).offset === text.length));
  });

  it("keeps what comes before the fault of a text that was JSON until it was broken", () => {
    void assert(
      property(json(), nat(), string({ minLength: 1, maxLength: 3 }), (text, at, noise) => {
        const cut = at % (text.length + 1);
        const broken = text.slice(0, cut) + noise + text.slice(cut);
        if (isJson(broken)) return true;
        // A token that began before the noise may be what breaks, but nothing earlier than that
        // token.
        return locateJsonFault(broken).offset >= text.slice(0, cut).search(/[^,:[\]{}]*$/);
      }),
    );
  });
});
