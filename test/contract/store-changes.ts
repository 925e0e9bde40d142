import { beforeAll, describe, expect, it } from "vitest";
import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { StoreFixture } from "./store-contract.ts";
import { createWrite, putTeam } from "./store-material.ts";
import { useStore } from "./use-store.ts";

export function describeChanges(createFixture: () => Promise<StoreFixture>): void {
  describe("history", () => {
    const store = useStore(createFixture);

    // Revision 1: a and b. 2: a changed. 3: b deleted. 4: b anew. 5: c, d and e.
    beforeAll(async () => {
      const etag = async (name: string) => (await store().get(name))?.etag ?? "absent";
      const commits = [
        [putTeam("teams/a", "one"), putTeam("teams/b", "one")],
        [putTeam("teams/a", "two")],
        [{ name: "teams/b", kind: "team", body: undefined, expected: "" } as const],
        [putTeam("teams/b", "three")],
        [putTeam("teams/c"), putTeam("teams/d"), putTeam("teams/e")],
      ];
      for (const [index, writes] of commits.entries()) {
        const current = await Promise.all(
          writes.map(async (write) => ({ ...write, expected: await etag(write.name) })),
        );
        const said = { reason: `r${index + 1}`, requestId: `q${index + 1}` };
        await store().commit(createWrite(current, { ...said, atMs: (index + 1) * 1_000 }));
      }
    });

    it("has who changed what, when and why, from oldest to newest", async () => {
      const changes = await store().changesSince(0, 100);
      expect(changes.map((change) => [change.sequence, change.revision, change.name])).toEqual([
        [1, 1, "teams/a"],
        [2, 1, "teams/b"],
        [3, 2, "teams/a"],
        [4, 3, "teams/b"],
        [5, 4, "teams/b"],
        [6, 5, "teams/c"],
        [7, 5, "teams/d"],
        [8, 5, "teams/e"],
      ]);
      const [, , changed, deleted] = changes;
      expect(changed).toMatchObject({ actor: "users/ada", reason: "r2", requestId: "q2" });
      expect(changed?.atMs).toBe(2_000);
      expect(displayName(changed?.before)).toBe("one");
      expect(displayName(changed?.after)).toBe("two");
      expect(deleted?.before).toBeDefined();
      expect(deleted?.after).toBeUndefined();
    });

    it("fills in meta before and after as it was", async () => {
      const changed = (await store().changesSince(1, 1))[0];
      const before = changed?.before?.resource.value?.meta;
      const after = changed?.after?.resource.value?.meta;
      expect(before).toMatchObject({ revision: 1n, updateTime: { seconds: 1n } });
      expect(after).toMatchObject({
        revision: 2n,
        createTime: { seconds: 1n },
        updateTime: { seconds: 2n },
      });
      expect(after?.etag).toBe((await store().get("teams/a"))?.etag);
    });

    it("goes on behind a revision, and never cuts one in two", async () => {
      const seen: number[] = [];
      for (let revision = 0; ; ) {
        const changes = await store().changesSince(revision, 2);
        if (changes.length === 0) break;
        seen.push(...changes.map((change) => change.sequence));
        revision = changes.at(-1)?.revision ?? 0;
      }
      expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(await store().changesSince(5, 10)).toEqual([]);
    });

    it("lists the newest first, by page and by name", async () => {
      const page = { beforeSequence: 0, name: "", limit: 3 };
      const sequences = async (more: Partial<typeof page>) =>
        (await store().listChanges({ ...page, ...more })).map((change) => change.sequence);
      expect(await sequences({})).toEqual([8, 7, 6]);
      expect(await sequences({ beforeSequence: 6 })).toEqual([5, 4, 3]);
      expect(await sequences({ beforeSequence: 1 })).toEqual([]);
      expect(await sequences({ name: "teams/b" })).toEqual([5, 4, 2]);
      expect(await sequences({ name: "teams/b", beforeSequence: 4 })).toEqual([2]);
    });

    it("knows each resource as it was at each revision", async () => {
      const at = async (name: string, revision: number) =>
        displayName((await store().getAt(name, revision))?.body);
      expect(await Promise.all([0, 1, 2, 3, 9].map((n) => at("teams/a", n)))).toEqual([
        undefined,
        "one",
        "two",
        "two",
        "two",
      ]);
      expect(await Promise.all([1, 2, 3, 4].map((n) => at("teams/b", n)))).toEqual([
        "one",
        "one",
        undefined,
        "three",
      ]);
      const now = await store().get("teams/b");
      expect(await store().getAt("teams/b", 5)).toEqual(now);
      expect(await at("teams/nobody", 5)).toBeUndefined();
    });
  });
}

function displayName(body: Resource | undefined): string | undefined {
  return body?.resource.case === "team" ? body.resource.value.displayName : undefined;
}
