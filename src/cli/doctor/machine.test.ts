import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkDataDirectory, checkDescriptors, checkNode } from "./machine.ts";

describe("checkNode()", () => {
  const versions: Array<[string, string]> = [
    ["20.20.2", "broken"],
    ["26.9.9", "broken"],
    ["26.10.0", "doubtful"],
    ["26.12.0", "doubtful"],
    ["26.12.1", "good"],
    ["26.12.1-nightly2027", "good"],
    ["27.0.0", "good"],
  ];
  for (const [version, state] of versions) {
    it(`finds ${version} ${state}`, () => expect(checkNode(version).state).toBe(state));
  }
});

describe("checkDescriptors()", () => {
  for (const [limit, states] of [
    [undefined, []],
    [1_024, ["doubtful"]],
    [1_048_576, ["good"]],
  ] as const) {
    it(`finds ${limit} ${states[0] ?? "nothing to say"}`, () => {
      expect(checkDescriptors(limit).map(({ state }) => state)).toEqual(states);
    });
  }
});

describe("checkDataDirectory()", () => {
  let place: string;
  let data: string;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), "weir-doctor-"));
    data = join(place, "data");
    mkdirSync(data);
  });
  afterEach(() => rmSync(place, { recursive: true, force: true }));

  const states = (env: Record<string, string> = {}) =>
    checkDataDirectory(data, env, true).map(({ state, what }) => `${state}: ${what}`);

  it("finds a good one good", () => {
    for (const name of ["secret.key", "link.token", "weir.db"]) {
      writeFileSync(join(data, name), "", { mode: 0o600 });
    }
    expect(states().filter((line) => !line.startsWith("good"))).toEqual([]);
  });

  it("finds secrets that others can read", () => {
    writeFileSync(join(data, "secret.key"), "");
    chmodSync(join(data, "secret.key"), 0o644);
    expect(states().join("\n")).toMatch(/broken: others can read .*secret\.key \(mode 644\)/);
  });

  it("finds that the key of a database is gone, unless it is given", () => {
    writeFileSync(join(data, "weir.db"), "", { mode: 0o600 });
    expect(states().join("\n")).toMatch(/broken: .*secret\.key is missing/);
    expect(states({ WEIR_SECRET_KEY: "x" }).join("\n")).not.toContain("missing");
  });

  it("finds a file in its place, and none at all", () => {
    const file = join(place, "file");
    writeFileSync(file, "");
    expect(checkDataDirectory(file, {}, true)[0]?.state).toBe("broken");
    expect(checkDataDirectory(join(place, "none"), {}, true)[0]?.state).toBe("doubtful");
    expect(checkDataDirectory(join(place, "none"), {}, false)[0]?.state).toBe("good");
    expect(checkDataDirectory(join(place, "none/none"), {}, true)[0]?.state).toBe("broken");
  });
});
