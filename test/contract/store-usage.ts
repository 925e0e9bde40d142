import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { UsageRow } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { TimeBucket, UsageDimension } from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { createTimestamp } from "../../src/mesh/record.ts";
import type { UsageQuery } from "../../src/store/store.ts";
import type { StoreFixture } from "./store-contract.ts";
import { createRecordAt, everything } from "./store-material.ts";
import { useStore } from "./use-store.ts";

export function describeUsage(createFixture: () => Promise<StoreFixture>): void {
  describe("queryUsage()", () => {
    const store = useStore(createFixture);

    it("is one row of zeros for no requests and no groups, and no row with groups", async () => {
      const nobody = { ...everything, teams: ["teams/nobody"] };
      const [row, ...rest] = await store().queryUsage(createQuery({ filter: nobody }));
      expect(row?.totals).toMatchObject({ requests: 0n, costNanoUsd: 0n, latencyUs: 0n });
      expect(rest).toEqual([]);
      for (const dimension of [UsageDimension.TEAM, UsageDimension.TIME]) {
        const query = createQuery({ filter: nobody, groupBy: [dimension] });
        for (const timeBucket of [TimeBucket.DAY, TimeBucket.MONTH]) {
          expect(await store().queryUsage({ ...query, timeBucket })).toEqual([]);
        }
      }
    });

    it("adds up each kind of token, cost, latency, errors and unpriced requests", async () => {
      const usage = {
        inputTokens: 1,
        cacheReadTokens: 2,
        cacheWriteTokens: 3,
        cacheWrite1hTokens: 4,
        inputAudioTokens: 5,
        outputTokens: 6,
        reasoningTokens: 7,
        outputAudioTokens: 8,
      };
      const team = "teams/sum";
      await store().appendRecords([
        createRecordAt("s1", 1_000, { team, usage, costNanoUsd: 10n, latencyUs: 100n }),
        createRecordAt("s2", 1_000, { team, usage, costNanoUsd: 20n, latencyUs: 200n }),
        createRecordAt("s3", 1_000, { team, errorReason: "NO_TARGET", costKnown: false }),
      ]);
      const filter = { ...everything, teams: [team] };
      const [row] = await store().queryUsage(createQuery({ filter }));
      expect(row?.totals).toEqual({
        $typeName: "weir.admin.v1.UsageTotals",
        requests: 3n,
        errors: 1n,
        inputTokens: 2n,
        cacheReadTokens: 4n,
        cacheWriteTokens: 14n,
        inputAudioTokens: 10n,
        outputTokens: 12n,
        reasoningTokens: 14n,
        outputAudioTokens: 16n,
        costNanoUsd: 30n,
        unpricedRequests: 1n,
        latencyUs: 300n,
      });
    });

    it("is exact beyond 2^53", async () => {
      const team = "teams/big";
      const costs = [2n ** 60n + 1n, 2n ** 61n + 3n, 9_007_199_254_740_993n];
      await store().appendRecords(
        costs.map((costNanoUsd, n) => createRecordAt(`big${n}`, 1_000, { team, costNanoUsd })),
      );
      const filter = { ...everything, teams: [team] };
      const [row] = await store().queryUsage(createQuery({ filter }));
      expect(row?.totals?.costNanoUsd).toBe(costs.reduce((sum, cost) => sum + cost, 0n));
    });

    it("groups by a label's value, those without it under the empty one", async () => {
      const team = "teams/label";
      const at = (id: string, costNanoUsd: bigint, labels: Record<string, string>) =>
        createRecordAt(id, 1_000, { team, costNanoUsd, labels });
      await store().appendRecords([
        at("l1", 1n, { app: "a", other: "o" }),
        at("l2", 2n, { app: "b" }),
        at("l3", 4n, { other: "a" }),
        at("l4", 8n, { app: "a" }),
      ]);
      const groupBy = [UsageDimension.LABEL];
      const filter = { ...everything, teams: [team] };
      const rows = await store().queryUsage(createQuery({ filter, groupBy, label: "app" }));
      expect(rows.map((row) => [row.labelValue, row.totals?.costNanoUsd])).toEqual([
        ["a", 9n],
        ["", 4n],
        ["b", 2n],
      ]);
      const only = { ...filter, labels: { other: "o" } };
      const chosen = await store().queryUsage(
        createQuery({ filter: only, groupBy, label: "app", timeBucket: TimeBucket.MONTH }),
      );
      expect(chosen.map((row) => row.labelValue)).toEqual(["a"]);
    });

    it("cuts time in UTC, months and leap days included", async () => {
      const team = "teams/time";
      const times = [
        "2023-12-31T23:59:59.999Z",
        "2024-01-01T00:00:00.000Z",
        "2024-02-29T12:34:56.789Z",
        "2024-03-01T00:00:00.000Z",
        "2024-03-01T00:00:59.999Z",
      ];
      await store().appendRecords(
        times.map((time, n) => createRecordAt(`t${n}`, Date.parse(time), { team })),
      );
      const query = createQuery({
        filter: { ...everything, teams: [team] },
        groupBy: [UsageDimension.TIME],
      });
      const starts = async (timeBucket: TimeBucket) =>
        (await store().queryUsage({ ...query, timeBucket })).map(
          (row) => `${new Date(startMs(row)).toISOString().slice(0, 16)} ${row.totals?.requests}`,
        );
      expect(await starts(TimeBucket.MINUTE)).toEqual([
        "2023-12-31T23:59 1",
        "2024-01-01T00:00 1",
        "2024-02-29T12:34 1",
        "2024-03-01T00:00 2",
      ]);
      expect((await starts(TimeBucket.HOUR))[2]).toBe("2024-02-29T12:00 1");
      expect(await starts(TimeBucket.DAY)).toEqual(await starts(TimeBucket.UNSPECIFIED));
      expect((await starts(TimeBucket.DAY))[2]).toBe("2024-02-29T00:00 1");
      expect(await starts(TimeBucket.MONTH)).toEqual([
        "2023-12-01T00:00 1",
        "2024-01-01T00:00 1",
        "2024-02-01T00:00 1",
        "2024-03-01T00:00 2",
      ]);
    });

    it("pages without overlap, costliest first, or by time", async () => {
      const team = "teams/page";
      await store().appendRecords(
        Array.from({ length: 25 }, (_, n) =>
          createRecordAt(`page${n}`, n * 86_400_000, {
            team,
            key: `k${n}`,
            costNanoUsd: BigInt(n % 5),
          }),
        ),
      );
      const filter = { ...everything, teams: [team] };
      const collect = async (groupBy: UsageDimension[]) => {
        const rows: UsageRow[] = [];
        for (let offset = 0; ; offset += 7) {
          const page = createQuery({ filter, groupBy, offset, limit: 7 });
          const found = await store().queryUsage(page);
          if (found.length === 0) return rows;
          rows.push(...found);
        }
      };
      const byCost = await collect([UsageDimension.KEY]);
      expect(new Set(byCost.map((row) => row.key)).size).toBe(25);
      const costs = byCost.map((row) => Number(row.totals?.costNanoUsd));
      expect(costs).toEqual([...costs].sort((a, b) => b - a));
      const byTime = await collect([UsageDimension.KEY, UsageDimension.TIME]);
      expect(byTime.map((row) => row.key)).toEqual(Array.from({ length: 25 }, (_, n) => `k${n}`));
    });

    it("equals sums made by hand, for any records and groups", async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(arbitraryFacts, { maxLength: 30 }),
          fc.subarray(allDimensions),
          fc.constantFrom(TimeBucket.MINUTE, TimeBucket.HOUR, TimeBucket.DAY, TimeBucket.MONTH),
          fc.record({ begin: arbitraryBound, end: arbitraryBound }),
          async (facts, groupBy, timeBucket, { begin, end }) => {
            run += 1;
            // Every run has a provider of its own, to be told from the others by.
            const provider = `providers/run${run}`;
            const records = facts.map(({ startMs, app, ...fact }, n) =>
              createRecordAt(`run${run}-${n}`, startMs, {
                ...fact,
                provider,
                labels: app === "" ? {} : { app },
              }),
            );
            await Promise.all([
              store().appendRecords(records.slice(0, 10)),
              store().appendRecords(records.slice(5)),
            ]);
            const filter = {
              ...everything,
              providers: [provider],
              ...(begin === undefined ? {} : { startTime: createTimestamp(begin) }),
              ...(end === undefined ? {} : { endTime: createTimestamp(end) }),
            };
            const query = createQuery({ filter, groupBy, label: "app", timeBucket });
            const rows = await store().queryUsage(query);
            const found = new Map(rows.map((row) => [describeGroup(row), describeSums(row)]));
            expect(found).toEqual(sumByHand(records.filter(within(begin, end)), query));
          },
        ),
        { numRuns: 60, endOnFailure: true },
      );
    });
  });
}

const allDimensions = [
  UsageDimension.TEAM,
  UsageDimension.KEY,
  UsageDimension.USER,
  UsageDimension.MODEL,
  UsageDimension.PROVIDER,
  UsageDimension.LABEL,
  UsageDimension.TIME,
];

/** Anywhere, and often where hours or days begin: there the sums of these take over. */
const arbitraryBound = fc.option(
  fc
    .tuple(
      fc.integer({ min: 1_700_000_000_000, max: 1_710_000_000_000 }),
      fc.constantFrom(1, 3_600_000, 86_400_000),
    )
    .map(([ms, stepMs]) => Math.floor(ms / stepMs) * stepMs),
  { nil: undefined },
);

function within(begin = 0, end = Number.POSITIVE_INFINITY): (record: RequestRecord) => boolean {
  return ({ startTime }) => {
    const ms = Number(startTime?.seconds ?? 0n) * 1000 + (startTime?.nanos ?? 0) / 1e6;
    return ms >= begin && ms < end;
  };
}

const arbitraryFacts = fc.record({
  startMs: fc.integer({ min: 1_700_000_000_000, max: 1_710_000_000_000 }),
  app: fc.constantFrom("", "x", "y"),
  team: fc.constantFrom("teams/a", "teams/b"),
  key: fc.constantFrom("k1", "k2"),
  user: fc.constantFrom("", "users/ada"),
  model: fc.constantFrom("", "m"),
  errorReason: fc.constantFrom("", "INTERNAL"),
  costNanoUsd: fc.bigInt({ min: 0n, max: 2n ** 57n }),
  latencyUs: fc.bigInt({ min: 0n, max: 2n ** 40n }),
});

function createQuery(more: Partial<UsageQuery>): UsageQuery {
  return {
    filter: everything,
    groupBy: [],
    label: "",
    timeBucket: TimeBucket.UNSPECIFIED,
    offset: 0,
    limit: 1_000,
    ...more,
  };
}

function startMs(row: UsageRow): number {
  return Number(row.startTime?.seconds ?? 0n) * 1000;
}

function describeGroup(row: UsageRow): string {
  const time = row.startTime === undefined ? "" : startMs(row);
  return [row.team, row.key, row.user, row.model, row.provider, row.labelValue, time].join("|");
}

function describeSums(row: UsageRow): string {
  const { totals } = row;
  return [totals?.requests, totals?.errors, totals?.costNanoUsd, totals?.latencyUs].join("|");
}

/** The model: each record goes into its group, in plain arithmetic. */
function sumByHand(records: readonly RequestRecord[], query: UsageQuery): Map<string, string> {
  const by = (dimension: UsageDimension, value: string) =>
    query.groupBy.includes(dimension) ? value : "";
  const sums = new Map<string, [bigint, bigint, bigint, bigint]>();
  if (query.groupBy.length === 0) sums.set("||||||", [0n, 0n, 0n, 0n]);
  for (const record of records) {
    const group = [
      by(UsageDimension.TEAM, record.team),
      by(UsageDimension.KEY, record.key),
      by(UsageDimension.USER, record.user),
      by(UsageDimension.MODEL, record.model),
      by(UsageDimension.PROVIDER, record.provider),
      by(UsageDimension.LABEL, record.labels.app ?? ""),
      by(UsageDimension.TIME, String(bucketStart(record, query.timeBucket))),
    ].join("|");
    const [requests, errors, cost, latency] = sums.get(group) ?? [0n, 0n, 0n, 0n];
    sums.set(group, [
      requests + 1n,
      errors + (record.errorReason === "" ? 0n : 1n),
      cost + record.costNanoUsd,
      latency + record.latencyUs,
    ]);
  }
  return new Map([...sums].map(([group, values]) => [group, values.join("|")]));
}

function bucketStart(record: RequestRecord, bucket: TimeBucket): number {
  const time = new Date(Number(record.startTime?.seconds ?? 0n) * 1000);
  if (bucket === TimeBucket.MINUTE) return time.setUTCSeconds(0, 0);
  if (bucket === TimeBucket.HOUR) return time.setUTCMinutes(0, 0, 0);
  if (bucket === TimeBucket.MONTH) time.setUTCDate(1);
  return time.setUTCHours(0, 0, 0, 0);
}
