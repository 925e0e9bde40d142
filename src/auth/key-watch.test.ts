import { clone, create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { type Key, KeySchema, TeamSchema, UserSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import { createTestCall } from "../../test/support/calls.ts";
import { holdSnapshot } from "../../test/support/snapshots.ts";
import { MeshError } from "../mesh/errors.ts";
import { createTimestamp } from "../mesh/record.ts";
import type { SnapshotChange } from "../mesh/snapshot.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createIdentify } from "./identify.ts";
import { createKeyWatcher } from "./key-watch.ts";

const KEY = "teams/a/keys/k";

function open() {
  const clock = new VirtualClock();
  const holder = holdSnapshot({
    teams: [{ name: "teams/root" }, { name: "teams/a" }],
    users: [{ name: "users/ada" }],
    keys: [
      { name: KEY, secret: "wk_k", user: "users/ada" },
      { name: "teams/a/keys/other", secret: "wk_other" },
    ],
  });
  const current = () => holder.current;
  const identify = createIdentify(current, clock);
  const watcher = createKeyWatcher({ clock, current, identify });
  holder.onChange(() => watcher.sweep());
  const begin = (credential: string) => {
    const call = createTestCall(clock, { credential });
    const watch = watcher.watch(identify(credential), call);
    const reason = () => {
      const { cause } = call.cancellation;
      return cause instanceof MeshError ? cause.reason : cause;
    };
    return { call, watch, reason };
  };
  const apply = (change: Partial<SnapshotChange>) => {
    const { revision, installationId } = holder.current;
    const nothing = { upserts: [], deletions: [], installationId };
    holder.apply({ ...nothing, revision: revision + 1, baseRevision: revision, ...change });
  };
  const changeKey = (fields: Partial<Omit<Key, "$typeName">>) => {
    const standing = holder.current.keys.get(KEY);
    if (standing === undefined) throw new Error("no key");
    const key = Object.assign(clone(KeySchema, standing), fields);
    apply({ upserts: [create(ResourceSchema, { resource: { case: "key", value: key } })] });
  };
  return { clock, holder, watcher, begin, apply, changeKey };
}

type Opened = ReturnType<typeof open>;

describe("a call whose key is not good any more", () => {
  const changes: Array<[string, (opened: Opened) => void, string]> = [
    ["is deleted", ({ apply }) => apply({ deletions: [KEY] }), "CREDENTIAL_UNKNOWN"],
    ["is disabled", ({ changeKey }) => changeKey({ disabled: true }), "CREDENTIAL_DISABLED"],
    ["gets another secret", ({ changeKey }) => changeKey({ secrets: [] }), "CREDENTIAL_UNKNOWN"],
    [
      "gets an end that has passed",
      ({ changeKey, clock }) => changeKey({ expireTime: createTimestamp(clock.wallMs() - 1) }),
      "CREDENTIAL_EXPIRED",
    ],
    [
      "has a team that is disabled",
      ({ apply }) => {
        const value = create(TeamSchema, { name: "teams/a", disabled: true });
        apply({ upserts: [create(ResourceSchema, { resource: { case: "team", value } })] });
      },
      "CREDENTIAL_DISABLED",
    ],
    [
      "has a user who is disabled",
      ({ apply }) => {
        const value = create(UserSchema, { name: "users/ada", disabled: true });
        apply({ upserts: [create(ResourceSchema, { resource: { case: "user", value } })] });
      },
      "CREDENTIAL_DISABLED",
    ],
    [
      "is not in a whole new policy",
      ({ apply, holder }) => apply({ baseRevision: 0, upserts: holdOthers(holder) }),
      "CREDENTIAL_UNKNOWN",
    ],
  ];
  for (const [what, change, reason] of changes) {
    it(`is ended in the turn in which the key ${what}`, () => {
      const opened = open();
      const { call, ...begun } = opened.begin("wk_k");
      change(opened);
      expect(begun.reason()).toBe(reason);
      expect(opened.watcher.size).toBe(0);
    });
  }

  it("is ended when the key expires, and not before", async () => {
    const { clock, changeKey, begin } = open();
    changeKey({ expireTime: createTimestamp(clock.wallMs() + 60_000) });
    const { reason } = begin("wk_k");
    await clock.advance(59_000);
    expect(reason()).toBeUndefined();
    await clock.advance(1_001);
    expect(reason()).toBe("CREDENTIAL_EXPIRED");
  });

  it("is ended when the end comes nearer, and not when it moves away", async () => {
    const { clock, changeKey, begin } = open();
    const endIn = (ms: number) => changeKey({ expireTime: createTimestamp(clock.wallMs() + ms) });
    endIn(10_000);
    const { reason } = begin("wk_k");
    endIn(60_000);
    await clock.advance(20_000);
    expect(reason()).toBeUndefined();
    endIn(1_000);
    await clock.advance(1_001);
    expect(reason()).toBe("CREDENTIAL_EXPIRED");
  });

  it("is ended with the overlap of a rotation, where it came by the old secret", async () => {
    const { clock, holder, changeKey, begin } = open();
    const [old] = holder.current.keys.get(KEY)?.secrets ?? [];
    const [young] = holder.current.keys.get("teams/a/keys/other")?.secrets ?? [];
    if (old === undefined || young === undefined) throw new Error("no secrets");
    const before = begin("wk_k");
    const fresh = { ...young, sha256: new Uint8Array(32) };
    const ending = { ...old, expireTime: createTimestamp(clock.wallMs() + 5_000) };
    changeKey({ secrets: [fresh, ending] });
    const during = begin("wk_k");
    await clock.advance(4_000);
    expect([before.reason(), during.reason()]).toEqual([undefined, undefined]);
    await clock.advance(1_001);
    expect([before.reason(), during.reason()]).toEqual([
      "CREDENTIAL_EXPIRED",
      "CREDENTIAL_EXPIRED",
    ]);
  });
});

describe("other calls", () => {
  it("go on when the key of one is deleted", () => {
    const { begin, apply } = open();
    const other = begin("wk_other");
    apply({ deletions: [KEY] });
    expect(other.reason()).toBeUndefined();
  });

  it("go on when their key has changed and is still good", () => {
    const { begin, changeKey, watcher } = open();
    const { reason } = begin("wk_k");
    changeKey({ displayName: "renamed" });
    expect(reason()).toBeUndefined();
    expect(watcher.size).toBe(1);
  });

  it("leave nothing behind when they are over, their timers neither", async () => {
    const { clock, begin, changeKey, watcher } = open();
    changeKey({ expireTime: createTimestamp(clock.wallMs() + 5_000) });
    const calls = Array.from({ length: 100 }, () => begin("wk_k"));
    for (const { watch } of calls) watch.end();
    expect(watcher.size).toBe(0);
    await clock.advance(6_000);
    expect(calls.map(({ reason }) => reason())).toEqual(Array(100).fill(undefined));
  });
});

/** Everything that a holder has, without the key. */
function holdOthers(holder: Opened["holder"]) {
  return holder.export().upserts.filter(({ resource }) => resource.value?.name !== KEY);
}
