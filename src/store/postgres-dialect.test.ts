import { describe, expect, it } from "vitest";
import { translateSchema } from "./postgres-dialect.ts";

describe("translateSchema()", () => {
  const cases: readonly [string, string][] = [
    ["a TEXT NOT NULL,", 'a TEXT COLLATE "C" NOT NULL,'],
    ["ADD COLUMN b TEXT;", 'ADD COLUMN b TEXT COLLATE "C";'],
    ["c BIGINT, d TEXT)", 'c BIGINT, d TEXT COLLATE "C")'],
    ["SELECT CAST(x AS TEXT)", "SELECT CAST(x AS TEXT)"],
    ['e TEXT COLLATE "C"', 'e TEXT COLLATE "C"'],
    ["-- TEXT of a comment\nf BIGINT", "\nf BIGINT"],
    ["context TEXTUAL", "context TEXTUAL"],
  ];
  for (const [given, expected] of cases) {
    it(`turns ${JSON.stringify(given)} into ${JSON.stringify(expected)}`, () => {
      expect(translateSchema(given)).toBe(expected);
    });
  }
});
