import { describe, expect, it } from "vitest";
import { findKind, readNames, resourceKinds } from "./resource-kinds.ts";
import { UsageError } from "./usage-error.ts";

describe("findKind()", () => {
  it("knows every kind by one, by many, and as documents say it", () => {
    for (const kind of resourceKinds) {
      for (const word of [kind.word, kind.plural, kind.title]) expect(findKind(word)).toBe(kind);
    }
  });
  for (const word of ["", "thing", "constructor", "__proto__", "teams/"]) {
    it(`knows no ${JSON.stringify(word)}`, () => expect(findKind(word)).toBeUndefined());
  }
});

describe("readNames()", () => {
  const names: Array<[string[], string[]]> = [
    [
      ["teams/a", "users/b@c"],
      ["teams/a", "users/b@c"],
    ],
    [
      ["team", "a", "teams/b"],
      ["teams/a", "teams/b"],
    ],
    [["model", "openai/gpt-4o"], ["models/openai/gpt-4o"]],
    [["models/openai/*"], ["models/openai/*"]],
    [
      ["policies", "p", "teams/a/policies/q"],
      ["policies/p", "teams/a/policies/q"],
    ],
    [["key", "teams/a/keys/b"], ["teams/a/keys/b"]],
    [[], []],
  ];
  for (const [words, expected] of names) {
    it(`reads ${words.join(" ") || "nothing"}`, () => {
      expect(readNames(words).map(({ name }) => name)).toEqual(expected);
    });
  }
  for (const words of [["a"], ["key", "b"], ["teams/"], ["teams/a/b"], ["team", ""], ["model"]]) {
    it(`refuses ${words.join(" ")}`, () => expect(() => readNames(words)).toThrow(UsageError));
  }
});
