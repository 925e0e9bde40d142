import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { anyText } from "../../test/support/any-text.ts";
import { createSealer, loadSecretKey } from "./sealer.ts";

const key = new Uint8Array(32).fill(7);

describe("createSealer()", () => {
  const sealer = createSealer(key);

  it("opens what it sealed", () => {
    fc.assert(
      fc.property(anyText(), fc.string(), (secret, name) => {
        expect(sealer.open(name, sealer.seal(name, secret))).toBe(secret);
      }),
    );
  });

  it("never seals a secret twice alike", () => {
    expect(sealer.seal("providers/a", "s")).not.toEqual(sealer.seal("providers/a", "s"));
  });

  it("opens nothing that was sealed for another resource", () => {
    const sealed = sealer.seal("providers/a", "s");
    expect(() => sealer.open("providers/b", sealed)).toThrow(/another key/);
  });

  it("opens nothing that another key sealed, and says what to do", () => {
    const other = createSealer(new Uint8Array(32).fill(8));
    const sealed = other.seal("providers/a", "s");
    expect(() => sealer.open("providers/a", sealed)).toThrow(/WEIR_SECRET_KEY/);
  });

  it("opens nothing that was changed at any byte", () => {
    const sealed = sealer.seal("providers/a", "secret");
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => sealer.open("providers/a", changed)).toThrow();
    }
    expect(() => sealer.open("providers/a", sealed.subarray(0, 10))).toThrow();
  });
});

describe("loadSecretKey()", () => {
  let dir = "";
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "weir-sealer-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it("makes a file that only its owner reads, and finds it again", () => {
    const made = loadSecretKey(undefined, dir);
    expect(made).toHaveLength(32);
    expect(statSync(join(dir, "secret.key")).mode & 0o777).toBe(0o600);
    expect(loadSecretKey("", dir)).toEqual(made);
  });

  it("reads hexadecimal and base64", () => {
    const buffer = Buffer.from(key);
    expect(loadSecretKey(buffer.toString("hex"), dir)).toEqual(buffer);
    expect(loadSecretKey(buffer.toString("base64"), dir)).toEqual(buffer);
  });

  for (const bad of ["short", "zz".repeat(32), "a".repeat(63), "{}", "ü".repeat(43)]) {
    it(`refuses ${bad.slice(0, 10)}`, () => {
      expect(() => loadSecretKey(bad, dir)).toThrow(/WEIR_SECRET_KEY must hold 32 bytes/);
    });
  }

  it("refuses a damaged file by its name", () => {
    writeFileSync(join(dir, "secret.key"), "");
    expect(() => loadSecretKey(undefined, dir)).toThrow(/secret\.key must hold/);
  });
});
