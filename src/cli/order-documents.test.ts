import { describe, expect, it } from "vitest";
import { orderDocuments } from "./order-documents.ts";
import { readDocuments } from "./read-documents.ts";

function order(...texts: string[]): string[] {
  const { documents, faults } = readDocuments(texts.join("\n---\n"), "f");
  expect(faults).toEqual([]);
  return orderDocuments(documents).map(({ name }) => name);
}

describe("orderDocuments()", () => {
  it("puts each kind behind those that it names", () => {
    const names = order(
      "{kind: Key, name: teams/a/keys/k, user: users/u}",
      "{kind: Policy, name: p, access: {allow_models: [m]}}",
      "{kind: Model, name: m, targets: [{provider: providers/p}]}",
      "{kind: Provider, name: p, dialect: sim}",
      "{kind: Team, name: a, members: [{user: users/u, role: ROLE_MEMBER}]}",
      "{kind: User, name: u}",
    );
    expect(names).toEqual([
      "users/u",
      "teams/a",
      "providers/p",
      "models/m",
      "policies/p",
      "teams/a/keys/k",
    ]);
  });

  it("puts teams behind those above them, and models behind those that they name", () => {
    expect(
      order(
        "{kind: Team, name: c, parent: teams/b}",
        "{kind: Team, name: b, parent: teams/a}",
        "{kind: Team, name: a}",
        "{kind: Model, name: x, alias_of: y}",
        "{kind: Model, name: y, fallbacks: [z]}",
        "{kind: Model, name: z}",
      ),
    ).toEqual(["teams/a", "teams/b", "teams/c", "models/z", "models/y", "models/x"]);
  });

  it("ends when they name each other", () => {
    const names = order(
      "{kind: Model, name: a, fallbacks: [b]}",
      "{kind: Model, name: b, fallbacks: [a]}",
    );
    expect(names.sort()).toEqual(["models/a", "models/b"]);
  });
});
