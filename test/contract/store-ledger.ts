import { describe, expect, it } from "vitest";
import { createTimestamp } from "../../src/mesh/record.ts";
import type { LedgerFilter } from "../../src/store/store.ts";
import type { StoreFixture } from "./store-contract.ts";
import { createRecordAt, everything } from "./store-material.ts";
import { useStore } from "./use-store.ts";

export function describeLedger(createFixture: () => Promise<StoreFixture>): void {
  describe("expireRecords()", () => {
    const store = useStore(createFixture);

    it("deletes old records with their labels, and keeps the sums of their days", async () => {
      const month = (at: string) => Date.parse(`${at}-15T12:00:00Z`);
      const team = "teams/expiry";
      const times = [month("2024-01"), month("2024-02"), month("2024-03"), month("2024-03") + 1];
      const labels = { app: "x" };
      await store().appendRecords(
        times.map((ms, n) => createRecordAt(`expire-${n}`, ms, { team, labels })),
      );
      await store().expireRecords(month("2024-03") + 1);
      await store().expireRecords(month("2024-03") + 1);
      const filter = { ...everything, teams: [team] };
      const left = await store().recentRecords({ ...filter, labels }, 10);
      expect(left.map((record) => record.requestId)).toEqual(["expire-3"]);
      expect(await store().getRecord("expire-0")).toBeUndefined();
      const [sum] = await store().queryUsage({
        filter,
        groupBy: [],
        label: "",
        timeBucket: 0,
        offset: 0,
        limit: 1,
      });
      expect(sum?.totals?.requests).toBe(4n);
      // A proxy that was away brings a request of a month that is gone.
      await store().appendRecords([createRecordAt("expire-late", month("2024-01"), { team })]);
      expect(await store().getRecord("expire-late")).toBeDefined();
    });
  });

  describe("appendRecords()", () => {
    const store = useStore(createFixture);

    it("keeps every field of a record", async () => {
      const record = createRecordAt("full", 1_700_000_000_123, {
        latencyUs: 9_007_199_254_740_993n,
        timeToFirstTokenUs: 12n,
        kind: 1,
        door: "openai",
        stream: true,
        team: "teams/a",
        key: "teams/a/keys/b",
        user: "users/ada",
        modelAsked: "fast",
        model: "gpt",
        provider: "providers/openai",
        upstreamModel: "gpt-9",
        attempts: [{ provider: "providers/openai", httpStatus: 200, committed: true }],
        usage: { inputTokens: 1, outputTokens: 2, vendorToolCalls: { search: 3 } },
        costNanoUsd: 2n ** 62n,
        finishReason: "stop",
        labels: { app: "ü'\"$1\n" },
        policyRevision: 77n,
        proxyId: "proxy-1",
        excluded: [{ provider: "providers/x", reason: "open breaker" }],
        auditDeniedBy: ["policies/p"],
        sessionId: "s",
        endUser: "e",
      });
      await store().appendRecords([record]);
      expect(await store().getRecord("full")).toEqual(record);
      expect(await store().getRecord("none")).toBeUndefined();
    });

    it("leaves out what is there already: the first record of an identifier stands", async () => {
      const first = createRecordAt("same", 5_000, { team: "teams/i", labels: { a: "1" } });
      const second = createRecordAt("same", 6_000, { team: "teams/j", labels: { b: "2" } });
      await store().appendRecords([first, second, createRecordAt("other", 5_000)]);
      await store().appendRecords([second, createRecordAt("third", 5_000)]);
      expect((await store().getRecord("same"))?.team).toBe("teams/i");
      expect(await store().getRecord("other")).toBeDefined();
      expect(await store().getRecord("third")).toBeDefined();
      expect(await store().recentRecords({ ...everything, labels: { b: "2" } }, 10)).toEqual([]);
    });

    it("keeps each identifier once when several append it at the same time", async () => {
      const filter = { ...everything, teams: ["teams/many"] };
      const batch = Array.from({ length: 30 }, (_, n) =>
        createRecordAt(`many-${n}`, 5_000 + n, { team: "teams/many" }),
      );
      // In both directions, as two proxies of one journal might: neither may wait for the other.
      const batches = Array.from({ length: 8 }, (_, n) => (n % 2 ? batch : batch.toReversed()));
      await Promise.all(batches.map((each) => store().appendRecords(each)));
      expect(await store().recentRecords(filter, 1_000)).toHaveLength(30);
    });

    it("takes text that an engine may not hold as it is, and finds it again", async () => {
      const hostile = "a\0b'\\$1\u{10FFFF}";
      const record = createRecordAt("hos\0tile", 5_000, {
        team: "teams/hostile",
        key: hostile,
        modelAsked: hostile,
        labels: { app: hostile },
        errorReason: hostile,
      });
      await store().appendRecords([record]);
      expect(await store().getRecord("hos\0tile")).toEqual(record);
      const filter = { ...everything, labels: { app: hostile }, models: [hostile] };
      expect(await store().recentRecords(filter, 10)).toEqual([record]);
      expect((await store().lastUsed([hostile])).size).toBe(1);
    });

    it("takes an empty batch", async () => {
      await expect(store().appendRecords([])).resolves.toBeUndefined();
    });
  });

  describe("lastUsed()", () => {
    const store = useStore(createFixture);

    it("has the newest time of each key, whatever the order of arrival", async () => {
      const at = (id: string, ms: number, key: string) => createRecordAt(id, ms, { key });
      await store().appendRecords([at("u1", 2_000, "k1"), at("u2", 9_000, "k1")]);
      await store().appendRecords([at("u3", 4_000, "k1"), at("u4", 3_000, "k2")]);
      const used = await store().lastUsed(["k1", "k2", "k3"]);
      expect([...used].sort()).toEqual([
        ["k1", 9_000],
        ["k2", 3_000],
      ]);
      const many = Array.from({ length: 2_500 }, (_, n) => `k${n}`);
      expect((await store().lastUsed(many)).size).toBe(2);
      expect((await store().lastUsed([])).size).toBe(0);
    });
  });

  describe("recentRecords()", () => {
    const store = useStore(createFixture);

    it("has the newest first, up to the limit, of those that the filter means", async () => {
      const records = Array.from({ length: 12 }, (_, n) =>
        createRecordAt(`r${n}`, n * 1_000, {
          team: `teams/${n % 2}`,
          key: `k${n % 3}`,
          user: `u${n % 4}`,
          model: n % 5 === 0 ? "" : `m${n % 5}`,
          modelAsked: `asked${n % 5}`,
          provider: `p${n % 2}`,
          errorReason: n === 7 ? "RATE_LIMITED" : "",
          labels: n < 6 ? { app: "x", n: `${n}` } : { app: "y" },
        }),
      );
      await store().appendRecords(records);
      const cases: readonly [Partial<LedgerFilter>, readonly number[]][] = [
        [{}, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]],
        [{ teams: ["teams/1"] }, [11, 9, 7, 5, 3, 1]],
        [{ teams: ["teams/1"], keys: ["k0"] }, [9, 3]],
        [{ keys: ["k1", "k2"], users: ["u1"] }, [5, 1]],
        [{ providers: ["p0"], users: ["u0", "u2"] }, [10, 8, 6, 4, 2, 0]],
        [{ models: ["m1", "asked0"] }, [11, 10, 6, 5, 1, 0]],
        [{ labels: { app: "x" } }, [5, 4, 3, 2, 1, 0]],
        [{ labels: { app: "x", n: "3" } }, [3]],
        [{ labels: { app: "z" } }, []],
        [{ onlyErrors: true }, [7]],
        [{ startTime: createTimestamp(9_000) }, [11, 10, 9]],
        [{ endTime: createTimestamp(2_000) }, [1, 0]],
        [{ labels: { app: "x" }, startTime: createTimestamp(4_000) }, [5, 4]],
        [{ startTime: createTimestamp(50_000) }, []],
      ];
      for (const [filter, expected] of cases) {
        const found = await store().recentRecords({ ...everything, ...filter }, 10);
        expect(
          found.map((record) => record.requestId),
          JSON.stringify(Object.keys(filter)),
        ).toEqual(expected.map((n) => `r${n}`));
      }
    });

    it("refuses a filter that no statement could hold", async () => {
      const keys = Array.from({ length: 10_001 }, (_, n) => `k${n}`);
      const asked = store().recentRecords({ ...everything, keys }, 10);
      await expect(asked).rejects.toThrow(/10000/);
    });
  });
}
