import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import {
  createHolder,
  LinkFixture,
  MemoryHub,
  provider,
  type RunningProxy,
  team,
} from "./link-fixture.ts";

const fixture = new LinkFixture();
afterEach(() => fixture.cleanUp());

async function waitFor(check: () => unknown): Promise<void> {
  await expect.poll(() => Boolean(check())).toBe(true);
}

function serves(proxy: RunningProxy, revision: number) {
  return waitFor(() => proxy.link.state() === "connected" && proxy.link.revision === revision);
}

async function note(proxy: RunningProxy, ids: readonly string[]): Promise<void> {
  const records = ids.map((requestId) => create(RequestRecordSchema, { requestId }));
  await Promise.all(records.map((record) => proxy.journal.note(record)));
}

function range(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

describe("snapshots over the link", () => {
  it("come whole first and then as differences", async () => {
    const hub = new MemoryHub();
    hub.commit([team("a"), team("b")]);
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    await serves(proxy, 1);
    hub.commit([team("c")], ["teams/a"]);
    await serves(proxy, 2);
    expect([...proxy.holder.current.teams.keys()]).toEqual(["teams/b", "teams/c"]);
    expect(hub.sent).toEqual([
      { base: 0, revision: 1 },
      { base: 1, revision: 2 },
    ]);
  });

  it("come in parts when they are large, and take effect together", async () => {
    const hub = new MemoryHub();
    hub.commit(range("t", 3000).map((id) => team(id, id.repeat(100))));
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    const sizes: number[] = [];
    proxy.holder.onChange((snapshot) => sizes.push(snapshot.teams.size));
    await serves(proxy, 1);
    expect(sizes).toEqual([3000]);
  });

  it("are pushed together when commits come faster than answers", async () => {
    const hub = new MemoryHub();
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    await waitFor(() => proxy.link.state() === "connected");
    for (let i = 0; i < 200; i++) hub.commit([team(`t${i}`)]);
    await serves(proxy, 200);
    expect(proxy.holder.current.teams.size).toBe(200);
    expect(hub.sent.length).toBeLessThan(20);
  });

  it("are not sent to a proxy that is up to date", async () => {
    const hub = new MemoryHub();
    hub.commit([team("a")]);
    const control = await fixture.control(hub);
    const holder = createHolder();
    const first = await fixture.proxy([control.address], { holder });
    await serves(first, 1);
    await first.stop();
    const again = await fixture.proxy([control.address], { holder });
    await serves(again, 1);
    expect(hub.sent).toHaveLength(1);
  });

  it("are refused by name, the one before stays, and the next one is taken", async () => {
    const hub = new MemoryHub();
    hub.commit([provider("a")]);
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    await serves(proxy, 1);
    const bad = hub.commit([provider("b", "telex")]);
    const told = await control.link.registry.waitForRevision(bad, 60_000);
    expect(told).toMatchObject({ confirmed: 0, connected: 1 });
    expect(told.refusals[0]).toContain("providers/b");
    expect(proxy.link.revision).toBe(1);
    hub.commit([provider("b", "openai")]);
    await serves(proxy, 3);
    expect(proxy.holder.current.providers.size).toBe(2);
  });

  it("of another installation replace everything", async () => {
    const hub = new MemoryHub("one");
    for (let i = 0; i < 5; i++) hub.commit([team(`a${i}`)]);
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    await serves(proxy, 5);
    await control.stop();
    const other = new MemoryHub("two");
    other.commit([team("b")]);
    await fixture.control(other, control.port);
    await serves(proxy, 1);
    expect([...proxy.holder.current.teams.keys()]).toEqual(["teams/b"]);
    expect(proxy.holder.current.installationId).toBe("two");
  });
});

describe("the registry", () => {
  it("waits until all proxies have confirmed", async () => {
    const hub = new MemoryHub();
    hub.commit([team("a")]);
    const control = await fixture.control(hub);
    const proxies = [
      await fixture.proxy([control.address], { proxyId: "p1" }),
      await fixture.proxy([control.address], { proxyId: "p2" }),
    ];
    for (const proxy of proxies) await serves(proxy, 1);
    const revision = hub.commit([team("b")]);
    const told = await control.link.registry.waitForRevision(revision, 60_000);
    expect(told).toEqual({ confirmed: 2, connected: 2, refusals: [] });
    for (const proxy of proxies) expect(proxy.link.revision).toBe(2);
  });

  it("does not wait for a proxy that goes, nor longer than it was told", async () => {
    const hub = new MemoryHub();
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    await waitFor(() => control.link.registry.list().length === 1);
    const short = await control.link.registry.waitForRevision(99, 10);
    expect(short).toEqual({ confirmed: 0, connected: 1, refusals: [] });
    const waiting = control.link.registry.waitForRevision(99, 60_000);
    await proxy.stop();
    expect(await waiting).toEqual({ confirmed: 0, connected: 1, refusals: [] });
    await waitFor(() => control.link.registry.list().length === 0);
  });

  it("shows what is wrong with a proxy", async () => {
    const hub = new MemoryHub();
    hub.commit([provider("a", "openai", "line\nbreak")]);
    const control = await fixture.control(hub);
    await fixture.proxy([control.address]);
    await waitFor(() => control.link.registry.list()[0]?.faults.length === 1);
    expect(control.link.registry.list()[0]).toMatchObject({
      proxyId: "p1",
      version: "test",
      listen: "127.0.0.1:1",
      revision: 1,
    });
    hub.commit([provider("a", "openai", "good")]);
    await waitFor(() => control.link.registry.list()[0]?.faults.length === 0);
  });

  it("keeps the later start of a proxy and refuses the earlier", async () => {
    const hub = new MemoryHub();
    hub.commit([team("a")]);
    const control = await fixture.control(hub);
    const late = await fixture.proxy([control.address], { epoch: 7 });
    await serves(late, 1);
    const early = await fixture.proxy([control.address], { epoch: 6 });
    await waitFor(() => early.link.fault()?.includes("later start"));
    expect(late.link.state()).toBe("connected");
    const latest = await fixture.proxy([control.address], { epoch: 8 });
    await serves(latest, 1);
    await waitFor(() => late.link.fault()?.includes("later"));
    expect(control.link.registry.list()).toHaveLength(1);
  });
});

describe("records over the link", () => {
  it("reach the ledger and leave the journal", async () => {
    const hub = new MemoryHub();
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    const ids = range("r", 2000);
    await note(proxy, ids);
    await waitFor(() => proxy.journal.counts().pendingBytes === 0);
    expect(hub.records.map((record) => record.requestId)).toEqual(ids);
    expect(hub.records[0]?.proxyId).toBe("p1");
  });

  it("are sent again until the store takes them", async () => {
    const hub = new MemoryHub();
    let failures = 3;
    hub.onAppend = () =>
      failures-- > 0 ? Promise.reject(new Error("disk full")) : Promise.resolve();
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address]);
    await note(proxy, range("r", 100));
    await waitFor(() => proxy.journal.counts().pendingBytes === 0);
    expect(hub.ids.size).toBe(100);
  });

  it("survive restarts of control and proxy: none is lost", async () => {
    const hub = new MemoryHub();
    let control = await fixture.control(hub);
    const directory = await fixture.directory();
    let proxy = await fixture.proxy([control.address], { directory });
    const noted: string[] = [];
    for (let round = 0; round < 6; round++) {
      const ids = range(`r${round}-`, 700);
      noted.push(...ids);
      const noting = note(proxy, ids);
      if (round % 2 === 0) await control.stop();
      await noting;
      if (round % 3 === 2) {
        await proxy.stop();
        proxy = await fixture.proxy([control.address], { directory });
      }
      if (round % 2 === 0) control = await fixture.control(hub, control.port);
    }
    await waitFor(() => proxy.journal.counts().pendingBytes === 0);
    expect(noted.filter((id) => !hub.ids.has(id))).toEqual([]);
    expect(hub.ids.size).toBe(noted.length);
  });
});

describe("the connection", () => {
  it("is refused without the token, and the proxy says why", async () => {
    const hub = new MemoryHub();
    hub.commit([team("secret")]);
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([control.address], { token: "guess" });
    await waitFor(() => proxy.link.fault()?.includes("refuses the link token"));
    expect(proxy.holder.current.teams.size).toBe(0);
    expect(control.link.registry.list()).toEqual([]);
  });

  it("goes to another control when one is down", async () => {
    const hub = new MemoryHub();
    hub.commit([team("a")]);
    const dead = await fixture.control(new MemoryHub());
    await dead.stop();
    const control = await fixture.control(hub);
    const proxy = await fixture.proxy([dead.address, control.address]);
    await serves(proxy, 1);
    await control.stop();
    await waitFor(() => proxy.link.state() === "connecting");
    expect(proxy.link.fault()).toContain("No connection to the control plane");
    expect(proxy.holder.current.teams.size).toBe(1);
  });
});
