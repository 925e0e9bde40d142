import { describe, expect, it } from "vitest";
import { holdSnapshot } from "../../test/support/snapshots.ts";
import { createTimestamp } from "../mesh/record.ts";
import { createSnapshotHolder } from "../mesh/snapshot-holder.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createIdentify } from "./identify.ts";

const clock = new VirtualClock();
const past = createTimestamp(clock.wallMs() - 1);
const future = createTimestamp(clock.wallMs() + 60_000);

const holder = holdSnapshot({
  teams: [
    { name: "teams/root" },
    { name: "teams/a" },
    { name: "teams/b", parent: "teams/a" },
    { name: "teams/off", disabled: true },
    { name: "teams/below-off", parent: "teams/off" },
  ],
  users: [{ name: "users/ada" }, { name: "users/gone", disabled: true }],
  keys: [
    { name: "teams/b/keys/good", secret: "wk_good", user: "users/ada", expireTime: future },
    { name: "teams/b/keys/old", secret: "wk_old", expireTime: past },
    { name: "teams/b/keys/off", secret: "wk_off", disabled: true },
    { name: "teams/b/keys/nobody", secret: "wk_nobody", user: "users/gone" },
    { name: "teams/b/keys/stranger", secret: "wk_stranger", user: "users/never" },
    { name: "teams/below-off/keys/k", secret: "wk_below_off" },
    { name: "teams/nowhere/keys/k", secret: "wk_nowhere" },
  ],
});
const identify = createIdentify(() => holder.current, clock);

describe("identify()", () => {
  it("finds the key, its user and its teams up to the root", () => {
    const principal = identify("wk_good");
    expect(principal.key.name).toBe("teams/b/keys/good");
    expect(principal.user).toBe("users/ada");
    expect(principal.teams.map((team) => team.name)).toEqual(["teams/b", "teams/a", "teams/root"]);
  });

  it("shares one principal among all calls of a key", () => {
    expect(identify("wk_good")).toBe(identify("wk_good"));
  });

  for (const [credential, reason] of [
    [undefined, "CREDENTIAL_MISSING"],
    ["", "CREDENTIAL_MISSING"],
    ["wk_unknown", "CREDENTIAL_UNKNOWN"],
    ["wk_good ", "CREDENTIAL_UNKNOWN"],
    ["' OR 1=1 --", "CREDENTIAL_UNKNOWN"],
    ["wk_".padEnd(100_000, "x"), "CREDENTIAL_UNKNOWN"],
    ["wk_old", "CREDENTIAL_EXPIRED"],
    ["wk_off", "CREDENTIAL_DISABLED"],
    ["wk_nobody", "CREDENTIAL_DISABLED"],
    ["wk_stranger", "CREDENTIAL_DISABLED"],
    ["wk_below_off", "CREDENTIAL_DISABLED"],
    ["wk_nowhere", "CREDENTIAL_DISABLED"],
  ] as const) {
    it(`refuses ${String(credential).slice(0, 20)} as ${reason}`, () => {
      expect(() => identify(credential)).toThrow(expect.objectContaining({ reason }));
    });
  }

  it("refuses everybody, as a passing fault, before the first snapshot", () => {
    const empty = createSnapshotHolder({ env: {}, readFile: String, findPrice: () => undefined });
    const early = createIdentify(() => empty.current, clock);
    expect(() => early("wk_good")).toThrow(expect.objectContaining({ reason: "UNAVAILABLE" }));
  });

  it("sees a revocation at once", () => {
    const own = holdSnapshot({
      teams: [{ name: "teams/root" }],
      keys: [{ name: "teams/root/keys/k", secret: "wk_k" }],
    });
    const identifyOwn = createIdentify(() => own.current, clock);
    expect(identifyOwn("wk_k").key.name).toBe("teams/root/keys/k");
    const installationId = own.current.installationId;
    const change = { revision: 2, baseRevision: 1, installationId, upserts: [] };
    own.apply({ ...change, deletions: ["teams/root/keys/k"] });
    expect(() => identifyOwn("wk_k")).toThrow(
      expect.objectContaining({ reason: "CREDENTIAL_UNKNOWN" }),
    );
  });

  it("lets an old secret work during the overlap of a rotation, and not beyond", () => {
    const overlap = new VirtualClock();
    const own = holdSnapshot({
      teams: [{ name: "teams/root" }],
      keys: [{ name: "teams/root/keys/k", secret: "wk_k" }],
    });
    const secret = own.current.secrets.values().next().value?.secret;
    if (secret !== undefined) secret.expireTime = createTimestamp(overlap.wallMs() + 1000);
    const identifyOwn = createIdentify(() => own.current, overlap);
    expect(identifyOwn("wk_k").key.name).toBe("teams/root/keys/k");
    return overlap.advance(1000).then(() => {
      expect(() => identifyOwn("wk_k")).toThrow(
        expect.objectContaining({ reason: "CREDENTIAL_EXPIRED" }),
      );
    });
  });
});
