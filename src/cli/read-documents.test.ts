import { describe, expect, it } from "vitest";
import { readDocuments } from "./read-documents.ts";

/** More than any stack can hold. */
const DEPTH = 30_000;

function read(text: string) {
  return readDocuments(text, "f.yaml");
}

describe("readDocuments()", () => {
  it("reads several documents, short names and both spellings of fields", () => {
    const { documents, faults } = read(`
# a comment
kind: Model
name: fast
alias_of: slow
---
kind: providers
name: providers/p
baseUrls: [http://127.0.0.1:1/v1]
dialect: openai
---
`);
    expect(faults).toEqual([]);
    expect(documents.map(({ name, place, json }) => [name, place, json])).toEqual([
      ["models/fast", "f.yaml:3", { name: "models/fast", alias_of: "slow" }],
      [
        "providers/p",
        "f.yaml:7",
        { name: "providers/p", baseUrls: ["http://127.0.0.1:1/v1"], dialect: "openai" },
      ],
    ]);
  });

  it("reads JSON: one resource, an array, and a list with items", () => {
    const team = (name: string) => JSON.stringify({ kind: "Team", name });
    for (const text of [
      team("a"),
      `[${team("a")},\n${team("b")}]`,
      `{"items": [${team("a")}, ${team("b")}]}`,
    ]) {
      const { documents, faults } = read(text);
      expect(faults).toEqual([]);
      expect(documents[0]?.name).toBe("teams/a");
    }
  });

  it("resolves anchors", () => {
    const { documents, faults } = read(
      "kind: Model\nname: a\ntargets:\n  - &t {provider: providers/p}\n---\nkind: Team\nname: b\n",
    );
    expect([documents.length, faults]).toEqual([2, []]);
  });

  it("merges mappings", () => {
    const text = "- &m {kind: Model, name: a, alias_of: b}\n- {<<: *m, name: c}\n";
    expect(read(text).documents.map(({ json }) => json)).toEqual([
      { name: "models/a", alias_of: "b" },
      { name: "models/c", alias_of: "b" },
    ]);
  });

  it("reads nothing from nothing", () => {
    for (const text of ["", "\n\n", "# only words\n", "---\n---\n"]) {
      expect(read(text)).toEqual({ documents: [], faults: [] });
    }
  });

  const model = "kind: Model\nname: m\n";
  const bad: Array<[string, string, string]> = [
    ["no mapping", "- a\n- b\n", "f.yaml:1: a resource is a mapping"],
    ["a number", "5", "f.yaml:1: a resource is a mapping"],
    ["no kind", "\nname: a\n", "f.yaml:2: `kind` is missing"],
    ["an unknown kind", "name: a\nkind: Blah\n", 'f.yaml:2: there is no kind "Blah"'],
    ["a kind that is a number", "kind: 5\nname: a\n", "f.yaml:1: there is no kind 5"],
    ["a kind of every object", "kind: constructor\nname: a\n", "there is no kind"],
    ["no name", "kind: Team\n", "f.yaml:1: `name` is missing: teams/{team}"],
    ["an empty name", 'kind: Team\nname: ""\n', "f.yaml:2: `name` is missing"],
    ["a name that is a list", "kind: Team\nname: [a]\n", "f.yaml:2: `name` is missing"],
    ["a key without its team", "kind: Key\nname: k\n", 'f.yaml:2: "k" is no name of a key'],
    ["a team of another kind", "kind: User\nname: teams/a\n", "is no name of a user"],
    ["an unknown field", `${model}tragets: []\n`, "f.yaml:3: Model has no field `tragets`"],
    [
      "an unknown field below",
      `${model}targets:\n  - provider: providers/p\n    wieght: 1\n`,
      "f.yaml:5: Target has no field `wieght`",
    ],
    [
      "a wrong type",
      `${model}targets:\n  - provider: providers/p\n    weight: heavy\n`,
      "f.yaml:5: `weight`:",
    ],
    ["a list for a text", `${model}alias_of: [a]\n`, "f.yaml:3: `alias_of`:"],
    ["a text for a list", `${model}targets: a\n`, "f.yaml:3: `targets`:"],
    [
      "an unknown enum",
      `${model}strategy: FASTEST\n`,
      'f.yaml:3: "FASTEST" is no Strategy: one of STRATEGY_WEIGHTED',
    ],
    ["infinity", `${model}retries_per_target: .inf\n`, "f.yaml:3: `retries_per_target`:"],
    ["two of a oneof", "kind: Policy\nname: p\naccess: {}\nbudget: {}\n", "`rule`:"],
    ["a wrong time", "kind: Key\nname: teams/a/keys/k\nexpireTime: soon\n", "f.yaml:3: "],
    ["a field twice", `${model}alias_of: a\nalias_of: b\n`, "f.yaml:4:"],
    ["half a flow", `${model}targets: [\n`, "f.yaml:"],
    ["a tab for a blank", "kind: Team\n\tname: a\n", "f.yaml:2:"],
    ["an unknown anchor", "kind: Team\nname: *a\n", "f.yaml:1: Unresolved alias"],
    ["a deep nest", `kind: Team\nname: ${"[".repeat(DEPTH)}`, "f.yaml:"],
    ["a deep mapping", `${"{a: ".repeat(DEPTH)}`, "f.yaml:"],
  ];
  for (const [what, text, fault] of bad) {
    it(`refuses ${what}, and says where`, () => {
      const { documents, faults } = read(text);
      expect(documents).toEqual([]);
      expect(faults[0]).toContain(fault);
    });
  }

  it("refuses a bomb of anchors", () => {
    const levels = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
    for (const [above, level] of ["ab", "bc", "cd", "de", "ef", "fg"].map((pair) => [...pair])) {
      levels.push(`${level}: &${level} [${Array(10).fill(`*${above}`).join(", ")}]`);
    }
    const { documents, faults } = read(`kind: Team\nname: a\n${levels.join("\n")}\n`);
    expect(documents).toEqual([]);
    expect(faults).toHaveLength(1);
  });

  it("names every fault, and keeps what is right", () => {
    const { documents, faults } = read("kind: Team\nname: a\n---\nkind: X\n---\nname: b\n");
    expect(documents).toHaveLength(1);
    expect(faults.map((fault) => fault.slice(0, 8))).toEqual(["f.yaml:4", "f.yaml:6"]);
  });
});
