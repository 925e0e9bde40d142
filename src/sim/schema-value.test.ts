import { describe, expect, it } from "vitest";
import type { JsonValue } from "../mesh/json.ts";
import { createSeededRandom } from "../mesh/random.ts";
import { createValue } from "./schema-value.ts";

const cases: Array<[string, JsonValue, unknown]> = [
  ["const", { const: 7 }, 7],
  ["enum", { enum: ["only"] }, "only"],
  ["null", { type: "null" }, null],
  ["the first type that is not null", { type: ["null", "boolean"] }, expect.any(Boolean)],
  ["a bounded integer", { type: "integer", minimum: 5, maximum: 5 }, 5],
  ["exclusive bounds", { type: "integer", exclusiveMinimum: 4, exclusiveMaximum: 6 }, 5],
  ["a multiple", { type: "number", minimum: 9, maximum: 11, multipleOf: 10 }, 10],
  ["a narrow range", { type: "number", minimum: 0.1, maximum: 0.2 }, expect.closeTo(0.15)],
  ["negative numbers", { type: "integer", maximum: -3, minimum: -3 }, -3],
  [
    "a string's length",
    { type: "string", minLength: 30, maxLength: 30 },
    expect.stringMatching(/^.{30}$/),
  ],
  ["a format", { type: "string", format: "date" }, "2026-01-02"],
  ["an array's length", { type: "array", items: { const: 1 }, minItems: 3 }, [1, 1, 1]],
  ["a tuple", { type: "array", prefixItems: [{ const: 1 }, { const: "a" }] }, [1, "a"]],
  ["an empty array", { type: "array", items: { const: 1 }, maxItems: 0 }, []],
  [
    "nested objects",
    { type: "object", properties: { a: { properties: { b: { const: 1 } } } } },
    { a: { b: 1 } },
  ],
  [
    "a required property without a schema",
    { type: "object", required: ["x"] },
    { x: expect.any(String) },
  ],
  [
    "a reference",
    { $defs: { n: { const: 3 } }, properties: { a: { $ref: "#/$defs/n" } } },
    { a: 3 },
  ],
  ["anyOf's first branch", { anyOf: [{ const: "a" }, { const: "b" }] }, "a"],
  [
    "allOf together",
    { allOf: [{ properties: { a: { const: 1 } } }, { properties: { b: { const: 2 } } }] },
    { a: 1, b: 2 },
  ],
  ["no schema at all", {}, expect.any(String)],
];

describe("createValue()", () => {
  for (const [name, schema, value] of cases) {
    it(`follows ${name}`, () => {
      expect(createValue(schema, createSeededRandom(1))).toEqual(value);
    });
  }

  it("comes to the end of a recursive schema", () => {
    const node = {
      type: "object",
      properties: {
        value: { const: 1 },
        next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
        children: { type: "array", items: { $ref: "#/$defs/node" } },
      },
      required: ["value", "next", "children"],
    };
    const value = createValue({ $ref: "#/$defs/node", $defs: { node } }, createSeededRandom(1));
    expect(JSON.stringify(value).length).toBeLessThan(100_000);
    expect(value).toMatchObject({ value: 1, next: { value: 1 } });
  });

  it("gives up on a schema that demands itself for ever", () => {
    const node = { type: "object", properties: { next: { $ref: "#" } }, required: ["next"] };
    expect(createValue(node, createSeededRandom(1))).toEqual({});
  });

  it("makes items unique", () => {
    const schema = {
      type: "array",
      items: { type: "integer", minimum: 1, maximum: 4 },
      minItems: 4,
      uniqueItems: true,
    };
    expect(new Set(createValue(schema, createSeededRandom(1)) as number[]).size).toBe(4);
  });
});
