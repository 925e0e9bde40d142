import { describe, expect, it } from "vitest";
import { parsePostgresUrl } from "./postgres-url.ts";
import { StoreError } from "./store.ts";

describe("parsePostgresUrl()", () => {
  const good: readonly [string, string][] = [
    ["postgres://u:p@db.example:5433/weir", "postgres://db.example:5433/weir"],
    ["postgresql://u@[::1]/weir", "postgres://[::1]:5432/weir"],
    [" postgres://u:p%23%40@h/weir?sslmode=verify-full\n", "postgres://h:5432/weir"],
    ["postgres:///weir?host=/run/postgresql&user=u", "postgres:///run/postgresql:5432/weir"],
  ];
  for (const [text, label] of good) {
    it(`shows ${label}, without user, password and options`, () => {
      expect(parsePostgresUrl(text)).toEqual({ connection: text.trim(), label });
    });
  }

  const bad = [
    "",
    "weir.db",
    "mysql://u:secret@h/weir",
    "postgres://u:secret@h",
    "postgres://u:secret@h/",
    "postgres://u:sec#ret@h/weir",
    "postgres://u:12#secret@h/weir",
    "postgres://u:12/secret@h/weir",
    "postgres://u:12?secret@h/weir",
    "postgres://u:secret@h:port/weir",
  ];
  for (const text of bad) {
    it(`refuses "${text}" without repeating it`, () => {
      let thrown: unknown;
      try {
        parsePostgresUrl(text);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(StoreError);
      expect(thrown instanceof Error && thrown.stack).not.toMatch(/secret|sec#/);
      expect(thrown instanceof Error && thrown.message).toMatch(/USER:PASSWORD@HOST:PORT/);
    });
  }
});
