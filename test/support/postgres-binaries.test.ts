import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { repairLinks } from "./postgres-binaries.ts";

describe("repairLinks()", () => {
  const directory = mkdtempSync(join(tmpdir(), "weir-links-"));
  afterAll(() => rmSync(directory, { recursive: true }));

  it("makes what a package manager that runs no scripts leaves out, and only that", () => {
    const native = join(directory, "native");
    mkdirSync(join(native, "lib"), { recursive: true });
    writeFileSync(join(native, "lib", "libx.so.1.2"), "x");
    writeFileSync(join(native, "lib", "liby.so"), "there already");
    const links = [
      { source: "native/lib/libx.so.1.2", target: "native/lib/libx.so.1" },
      { source: "native/lib/libx.so.1.2", target: "native/lib/liby.so" },
    ];
    writeFileSync(join(native, "pg-symlinks.json"), JSON.stringify(links));
    for (let round = 0; round < 2; round += 1) repairLinks(native);
    expect(lstatSync(join(native, "lib", "libx.so.1")).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(native, "lib", "libx.so.1"), "utf8")).toBe("x");
    expect(readFileSync(join(native, "lib", "liby.so"), "utf8")).toBe("there already");
  });
});
