import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StoreError } from "../../src/store/store.ts";
import type { StoreFixture } from "./store-contract.ts";
import { createKey, createWrite, putTeam } from "./store-material.ts";
import { useStore } from "./use-store.ts";

export function describeCommits(createFixture: () => Promise<StoreFixture>): void {
  describe("commit()", () => {
    const store = useStore(createFixture);

    it("writes several resources as one revision, with meta filled in", async () => {
      const before = await store().revision();
      const result = await store().commit(
        createWrite([putTeam("teams/c1"), putTeam("teams/c2")], { atMs: 1_234_567 }),
      );
      expect(result).toMatchObject({ outcome: "committed", revision: before + 1, repeated: false });
      const found = await store().get("teams/c2");
      expect(found).toMatchObject({ kind: "team", revision: before + 1 });
      expect(found?.body.resource.value?.meta).toMatchObject({
        etag: found?.etag,
        revision: BigInt(before + 1),
        createTime: { seconds: 1234n, nanos: 567_000_000 },
        updateTime: { seconds: 1234n, nanos: 567_000_000 },
      });
      expect(await store().revision()).toBe(before + 1);
    });

    it("writes nothing at all when one etag is stale, and returns what is there", async () => {
      await store().commit(createWrite([putTeam("teams/stale", "old")]));
      const before = await store().revision();
      const result = await store().commit(
        createWrite([putTeam("teams/bystander"), putTeam("teams/stale", "new", "another")]),
      );
      expect(result).toMatchObject({
        outcome: "conflict",
        name: "teams/stale",
        current: { name: "teams/stale", body: { resource: { value: { displayName: "old" } } } },
      });
      expect(await store().get("teams/bystander")).toBeUndefined();
      expect(await store().revision()).toBe(before);
    });

    it("refuses to create what is there, and to change what is not", async () => {
      await store().commit(createWrite([putTeam("teams/taken")]));
      const taken = await store().commit(createWrite([putTeam("teams/taken")]));
      expect(taken).toMatchObject({ outcome: "conflict", current: { name: "teams/taken" } });
      const missing = await store().commit(createWrite([putTeam("teams/missing", "", "etag")]));
      expect(missing).toEqual({
        outcome: "conflict",
        name: "teams/missing",
        current: undefined,
      });
    });

    it("changes the etag with every write, and never uses one again", async () => {
      const etags = new Set<string>();
      let expected = "absent";
      for (let round = 0; round < 5; round += 1) {
        const written = await store().commit(createWrite([putTeam("teams/etag", "", expected)]));
        const etag = written.outcome === "committed" ? (written.resources[0]?.etag ?? "") : "";
        etags.add(etag);
        const gone = { name: "teams/etag", kind: "team", body: undefined } as const;
        await store().commit(createWrite([{ ...gone, expected: etag }]));
        expected = "absent";
      }
      expect(etags.size).toBe(5);
    });

    it("keeps the time of creation when a resource is changed", async () => {
      await store().commit(createWrite([putTeam("teams/times")], { atMs: 5_000 }));
      const etag = (await store().get("teams/times"))?.etag ?? "";
      await store().commit(createWrite([putTeam("teams/times", "b", etag)], { atMs: 9_000 }));
      const meta = (await store().get("teams/times"))?.body.resource.value?.meta;
      expect(meta?.createTime?.seconds).toBe(5n);
      expect(meta?.updateTime?.seconds).toBe(9n);
    });

    it("writes a request identifier once, and returns the first commit again", async () => {
      const first = await store().commit(
        createWrite([putTeam("teams/once", "first")], { requestId: "req-1" }),
      );
      const etag = (await store().get("teams/once"))?.etag ?? "";
      await store().commit(createWrite([putTeam("teams/once", "second", etag)]));
      const before = await store().revision();
      const again = await store().commit(
        createWrite([putTeam("teams/once", "first")], { requestId: "req-1" }),
      );
      expect(again).toEqual({ ...first, repeated: true });
      expect(await store().revision()).toBe(before);
    });

    it("writes the same request identifier once when it comes twice at the same time", async () => {
      const write = createWrite([putTeam("teams/twice")], { requestId: "req-2" });
      const results = await Promise.all([store().commit(write), store().commit(write)]);
      expect(results.map((result) => result.outcome)).toEqual(["committed", "committed"]);
      const repeated = results.map((result) => result.outcome === "committed" && result.repeated);
      expect(repeated.sort()).toEqual([false, true]);
    });

    it("lets one of many writers win who all saw the same etag", async () => {
      await store().commit(createWrite([putTeam("teams/race")]));
      const etag = (await store().get("teams/race"))?.etag ?? "";
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          store().commit(createWrite([putTeam("teams/race", `n${n}`, etag)])),
        ),
      );
      expect(results.filter((result) => result.outcome === "committed")).toHaveLength(1);
    });

    it("makes no revision of a transaction that changes nothing", async () => {
      const before = await store().revision();
      const gone = { name: "teams/never", kind: "team", body: undefined } as const;
      const result = await store().commit(createWrite([{ ...gone, expected: "absent" }]));
      expect(result).toMatchObject({ outcome: "committed", revision: before, resources: [] });
      expect(await store().revision()).toBe(before);
    });

    it("refuses one name twice in a transaction", async () => {
      const twice = createWrite([putTeam("teams/double"), putTeam("teams/double")]);
      await expect(store().commit(twice)).rejects.toThrow(/teams\/double/);
    });

    it("keeps every field of a body", async () => {
      const key = createKey("teams/a/keys/full", "00ff", "abcd");
      if (key.resource.case !== "key") throw new Error("not a key");
      key.resource.value.labels = { "cost-center": "42", ü: "\u0000\n'\"$1" };
      key.resource.value.expireTime = createTime(2_000_000_000n);
      const write = { name: "teams/a/keys/full", kind: "key", body: key } as const;
      await store().commit(createWrite([{ ...write, expected: "absent" }]));
      const found = await store().get("teams/a/keys/full");
      const value = found?.body.resource.value;
      if (value !== undefined) delete value.meta;
      expect(found?.body).toEqual(key);
    });
  });

  describe("findKeyBySecret()", () => {
    const store = useStore(createFixture);
    const put = (name: string, expected: string, ...secrets: string[]) =>
      store().commit(
        createWrite([{ name, kind: "key", body: createKey(name, ...secrets), expected }]),
      );

    it("finds a key by each of its secrets, and by none that it no longer has", async () => {
      await put("teams/f/keys/a", "absent", "01aa", "02bb");
      expect((await store().findKeyBySecret("01aa"))?.name).toBe("teams/f/keys/a");
      expect((await store().findKeyBySecret("02BB"))?.name).toBe("teams/f/keys/a");
      const etag = (await store().get("teams/f/keys/a"))?.etag ?? "";
      await put("teams/f/keys/a", etag, "02bb", "03cc");
      expect(await store().findKeyBySecret("01aa")).toBeUndefined();
      expect((await store().findKeyBySecret("03cc"))?.name).toBe("teams/f/keys/a");
    });

    it("finds no deleted key", async () => {
      await put("teams/f/keys/b", "absent", "04dd");
      const expected = (await store().get("teams/f/keys/b"))?.etag ?? "";
      const gone = { name: "teams/f/keys/b", kind: "key", body: undefined } as const;
      await store().commit(createWrite([{ ...gone, expected }]));
      expect(await store().findKeyBySecret("04dd")).toBeUndefined();
    });

    it("refuses the secret of another key, writes nothing, and goes on working", async () => {
      await put("teams/f/keys/c", "absent", "05ee");
      const before = await store().revision();
      await expect(put("teams/f/keys/d", "absent", "05ee")).rejects.toThrow(StoreError);
      expect(await store().get("teams/f/keys/d")).toBeUndefined();
      expect(await store().revision()).toBe(before);
      expect((await put("teams/f/keys/d", "absent", "06ff")).outcome).toBe("committed");
    });
  });

  describe("readAll()", () => {
    const store = useStore(createFixture);

    it("equals a model after any sequence of commits", async () => {
      const model = new Map<string, { displayName: string; etag: string }>();
      let revision = 0;
      const step = fc.record({
        writes: fc.uniqueArray(
          fc.record({
            name: fc.constantFrom("teams/a", "teams/b", "teams/c", "teams/d"),
            displayName: fc.option(fc.string({ maxLength: 5 }), { nil: undefined }),
            wrong: fc.integer({ min: 0, max: 9 }).map((value) => value === 0),
          }),
          { minLength: 1, maxLength: 4, selector: (write) => write.name },
        ),
      });
      const apply = async ({ writes }: Transaction) => {
        const result = await store().commit(
          createWrite(
            writes.map(({ name, displayName, wrong }) => {
              const expected = wrong ? "wrong" : (model.get(name)?.etag ?? "absent");
              if (displayName !== undefined) return putTeam(name, displayName, expected);
              return { name, kind: "team", body: undefined, expected };
            }),
          ),
        );
        expect(result.outcome).toBe(writes.some((write) => write.wrong) ? "conflict" : "committed");
        if (result.outcome !== "committed") return;
        const changes = writes.some((w) => w.displayName !== undefined || model.has(w.name));
        revision += changes ? 1 : 0;
        expect(result.revision).toBe(revision);
        for (const write of writes) if (write.displayName === undefined) model.delete(write.name);
        for (const { name, etag, body } of result.resources) {
          const team = body.resource.case === "team" ? body.resource.value : undefined;
          model.set(name, { displayName: team?.displayName ?? "", etag });
        }
      };
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
          for (const each of steps) await apply(each);
          const all = await store().readAll();
          expect(all.revision).toBe(revision);
          const found = all.resources.map(({ name, etag, body }) => {
            const team = body.resource.case === "team" ? body.resource.value : undefined;
            return [name, { displayName: team?.displayName, etag }];
          });
          expect(found).toEqual([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
        }),
        { numRuns: 40, endOnFailure: true },
      );
    });
  });

  describe("list()", () => {
    const store = useStore(createFixture);

    it("pages by name within a kind and a prefix", async () => {
      const names = ["a", "b", "c", "d", "e"].map((part) => `teams/l/keys/${part}`);
      const keys = [...names, "teams/l2/keys/x", "teams/m/keys/y"].map((name) => {
        return { name, kind: "key", body: createKey(name), expected: "absent" } as const;
      });
      await store().commit(createWrite([...keys, putTeam("teams/l")]));
      const pages: string[][] = [];
      for (let afterName = ""; ; ) {
        const page = { kind: "key", namePrefix: "teams/l/keys/", afterName, limit: 2 } as const;
        const found = (await store().list(page)).map((each) => each.name);
        if (found.length === 0) break;
        pages.push(found);
        afterName = found.at(-1) ?? "";
      }
      expect(pages).toEqual([names.slice(0, 2), names.slice(2, 4), names.slice(4)]);
      const all = await store().list({ kind: "key", namePrefix: "", afterName: "", limit: 100 });
      expect(all.map((each) => each.name)).toEqual(keys.map((key) => key.name).sort());
    });
  });
}

/** A transaction on teams: an undefined display name deletes. */
interface Transaction {
  readonly writes: readonly {
    readonly name: string;
    readonly displayName: string | undefined;
    readonly wrong: boolean;
  }[];
}

function createTime(seconds: bigint) {
  return { $typeName: "google.protobuf.Timestamp", seconds, nanos: 5 } as const;
}
