import { describe, expect, it } from "vitest";
import { formatFacts, formatTable } from "./table.ts";

describe("formatTable()", () => {
  it("puts columns below their titles, numbers to the right", () => {
    const columns = [{ title: "NAME" }, { title: "COUNT", right: true }, { title: "LAST" }];
    const rows = [
      ["a", "1", "x"],
      ["grüße", "1,000", ""],
    ];
    expect(formatTable(columns, rows)).toBe(
      ["NAME   COUNT  LAST", "a          1  x", "grüße  1,000"].join("\n"),
    );
  });

  it("lets no cell move the cursor or begin a line", () => {
    const text = formatTable([{ title: "A" }], [["\x1b]0;mine\x07\nB\r\x9bC"]]);
    expect(text.split("\n")).toHaveLength(2);
    expect(text).not.toMatch(/[^\P{Control}\n]/u);
  });
});

describe("formatFacts()", () => {
  it("puts values below each other", () => {
    expect(
      formatFacts([
        ["A", "1"],
        ["Long", "2"],
      ]),
    ).toBe("A     1\nLong  2");
  });
});
