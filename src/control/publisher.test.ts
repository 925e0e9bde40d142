import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { CredentialSchema, ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { TeamSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite-store.ts";
import { createWebhookSecret } from "./alert-message.ts";
import { type Control, createControl } from "./control.ts";
import { providerKind, teamKind } from "./kinds.ts";
import { createSealer } from "./sealer.ts";
import { adminSecret, reasonOf } from "./trial.fixture.ts";

let dir: string;
let store: SqliteStore;
let clock: VirtualClock;
let control: Control;
let faults: string[];
const sealer = createSealer(new Uint8Array(32).fill(1));

const start = (use = sealer) =>
  createControl({
    store,
    clock,
    sealer: use,
    webhookSecret: createWebhookSecret(Buffer.alloc(24)),
    registry: {
      list: () => [],
      waitForRevision: async () => ({ confirmed: 0, connected: 0, refusals: [] }),
    },
    onFault: (text) => faults.push(text),
  });

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "weir-publisher-"));
  store = await openSqliteStore({ path: join(dir, "weir.db") });
  await store.migrate();
  clock = new VirtualClock();
  faults = [];
  control = await start();
});
afterEach(async () => {
  control.close();
  await store.close();
  rmSync(dir, { recursive: true });
});

/** Writes as another instance would: straight into the store. */
const put = async (name: string, displayName: string | undefined) => {
  const current = await store.get(name);
  const body =
    displayName === undefined
      ? undefined
      : teamKind.wrap(create(TeamSchema, { name, displayName }));
  const outcome = await store.commit({
    writes: [{ name, kind: "team", body, expected: current?.etag ?? "absent" }],
    actor: "test",
    reason: "",
    requestId: "",
    atMs: 1,
  });
  if (outcome.outcome !== "committed") throw new Error("conflict");
  return outcome.revision;
};

/** Lets the publisher look at the store, and the store answer. */
const poll = async () => {
  await clock.advance(1000);
  for (let i = 0; i < 20; i++) {
    await store.revision();
    await clock.advance(0);
  }
};

const namesOf = (change: Awaited<ReturnType<Control["hub"]["changeSince"]>>) =>
  change?.upserts.map((upsert) => upsert.resource.value?.name).sort();

describe("changeSince()", () => {
  it("gives nothing of an empty store", async () => {
    expect(await control.hub.changeSince(0)).toBeUndefined();
  });

  it("gives everything to the new, the difference to others, nothing to the current", async () => {
    await control.bootstrap({ env: {}, engines: [] });
    const whole = await control.hub.changeSince(0);
    expect(whole).toMatchObject({ revision: 1, baseRevision: 0, deletions: [] });
    expect(whole?.installationId).toBe(await store.installationId());
    expect(namesOf(whole)).toContain("teams/first/keys/first");
    expect(await control.hub.changeSince(1)).toBeUndefined();

    await put("teams/a", "one");
    await put("teams/a", "two");
    await put("teams/b", "gone");
    await put("teams/b", undefined);
    await poll();
    const delta = await control.hub.changeSince(1);
    expect(delta).toMatchObject({ revision: 5, baseRevision: 1, deletions: ["teams/b"] });
    expect(delta?.upserts.map((upsert) => upsert.resource.value?.displayName)).toEqual(["two"]);
    expect(await control.hub.changeSince(5)).toBeUndefined();
  });

  it("gives everything to one that is ahead, as after a restored backup", async () => {
    await control.bootstrap({ env: {}, engines: [] });
    expect(await control.hub.changeSince(77)).toMatchObject({ revision: 1, baseRevision: 0 });
  });

  it("carries the hashes of keys", async () => {
    await control.bootstrap({ env: {}, engines: [] });
    const whole = await control.hub.changeSince(0);
    const key = whole?.upserts.find(
      (each) => each.resource.value?.name === "teams/first/keys/first",
    );
    if (key?.resource.case !== "key") throw new Error("no key");
    expect(key.resource.value.secrets[0]?.sha256).toHaveLength(32);
  });

  it("leaves a secret sealed that another key sealed, tells, and sends the rest", async () => {
    const name = "providers/p";
    const value = createSealer(new Uint8Array(32).fill(9)).seal(name, "secret");
    const credential = create(CredentialSchema, { source: { case: "sealed", value } });
    const body = providerKind.wrap(create(ProviderSchema, { name, dialect: "openai", credential }));
    await store.commit({
      writes: [{ name, kind: "provider", body, expected: "absent" }],
      actor: "test",
      reason: "",
      requestId: "",
      atMs: 1,
    });
    await put("teams/a", "a");
    await poll();
    const whole = await control.hub.changeSince(0);
    expect(namesOf(whole)).toEqual([name, "teams/a"]);
    expect(
      whole?.upserts.find((each) => each.resource.case === "provider")?.resource,
    ).toMatchObject({ value: { credential: { source: { case: "sealed" } } } });
    expect(faults.join()).toMatch(/providers\/p was sealed with another key/);
  });
});

describe("onCommit()", () => {
  it("tells of commits of others within a second, once, until told to stop", async () => {
    const heard: number[] = [];
    const stop = control.hub.onCommit((revision) => heard.push(revision));
    await put("teams/a", "one");
    await poll();
    await poll();
    expect(heard).toEqual([1]);
    stop();
    await put("teams/a", "two");
    await poll();
    expect(heard).toEqual([1]);
  });

  it("tells of them at once where the store does, even while it is looking already", async () => {
    let listener = () => {};
    let stopped = false;
    Object.assign(store, {
      onCommit: (told: () => void) => {
        listener = told;
        return () => {
          stopped = true;
        };
      },
    });
    const other = await start();
    const heard: number[] = [];
    other.hub.onCommit((revision) => heard.push(revision));
    await put("teams/a", "one");
    listener();
    await put("teams/a", "two");
    listener();
    await expect.poll(() => heard.at(-1)).toBe(2);
    other.close();
    expect(stopped).toBe(true);
  });

  it("tells of the bootstrap at once", async () => {
    const heard: number[] = [];
    control.hub.onCommit((revision) => heard.push(revision));
    await control.bootstrap({ env: {}, engines: [] });
    expect(heard).toEqual([1]);
  });
});

describe("two instances on one store", () => {
  const call = async (of: Control, name: string, displayName: string, etag: string) => {
    const transport = createRouterTransport(of.routes);
    const admin = createClient(AdminService, transport);
    const headers = { authorization: `Bearer ${adminSecret}` };
    const team = create(TeamSchema, { name, displayName, meta: { etag } });
    const order = { team, updateMask: { paths: ["display_name"] } };
    return await reasonOf(admin.updateTeam(order, { headers }));
  };

  it("lose no write of each other, and let no stale one win", async () => {
    const env = { WEIR_ADMIN_KEY: adminSecret };
    await control.bootstrap({ env, engines: [] });
    const other = await start();
    for (let i = 0; i < 10; i++) await put(`teams/t${i}`, "old");
    const etags = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => (await store.get(`teams/t${i}`))?.etag ?? ""),
    );
    const calls = etags.flatMap((etag, i) => [
      call(control, `teams/t${i}`, "one", etag),
      call(other, `teams/t${i}`, "other", etag),
    ]);
    const reasons = await Promise.all(calls);
    other.close();
    expect(reasons.filter((reason) => reason === "")).toHaveLength(10);
    expect(reasons.filter((reason) => reason === "ETAG_MISMATCH")).toHaveLength(10);
  });
});
