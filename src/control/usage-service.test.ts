import { create, type MessageInitShape, type UnknownEnum } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { type RequestRecord, RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import {
  type QueryUsageRequestSchema,
  UsageDimension,
  UsageService,
} from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import { createBroadcast } from "./broadcast.ts";
import { adminSecret, firstSecret, openTrial, reasonOf, type Trial } from "./trial.fixture.ts";

// What a client of another version may send.
const unknown = 99 as UnknownEnum;

let trial: Trial;
let usage: Client<typeof UsageService>;
let lead: Client<typeof UsageService>;
let inference: Client<typeof UsageService>;

beforeAll(async () => {
  trial = await openTrial();
  const admin = trial.client(AdminService, adminSecret);
  await admin.createTeam({ team: { name: "teams/a" } });
  await admin.createTeam({ team: { name: "teams/a-sub", parent: "teams/a" } });
  usage = trial.client(UsageService, adminSecret);
  lead = trial.client(UsageService, await trial.key("teams/a", "lead", Role.TEAM_ADMIN));
  inference = trial.client(UsageService, firstSecret);
  await append([
    record("r1", "teams/a"),
    record("r2", "teams/a-sub", { errorReason: "RATE_LIMITED" }),
    record("r3", "teams/first", { key: "teams/first/keys/first", labels: { feature: "x" } }),
    record("r4", "teams/first", { key: "teams/first/keys/other" }),
  ]);
});
afterAll(() => trial.close());

describe("QueryUsage", () => {
  const groupBy = [UsageDimension.TEAM];
  const teams = async (client: Client<typeof UsageService>, filter = {}) =>
    (await client.queryUsage({ groupBy, filter })).rows.map((row) => row.team).sort();

  it("shows a caller what its role lets it see", async () => {
    expect(await teams(usage)).toEqual(["teams/a", "teams/a-sub", "teams/first"]);
    expect(await teams(lead)).toEqual(["teams/a", "teams/a-sub"]);
    expect(await teams(inference)).toEqual(["teams/first"]);
    const own = await inference.queryUsage({});
    expect(own.rows[0]?.totals).toMatchObject({ requests: 1n, costNanoUsd: 7n });
  });

  it("takes a team with its subtree, and refuses what may not be seen", async () => {
    expect(await teams(usage, { teams: ["teams/a"] })).toEqual(["teams/a", "teams/a-sub"]);
    expect(await teams(lead, { teams: ["teams/a-sub"] })).toEqual(["teams/a-sub"]);
    expect(await reasonOf(teams(lead, { teams: ["teams/first"] }))).toBe("PERMISSION_DENIED");
    expect(await reasonOf(teams(inference, { keys: ["teams/a/keys/k"] }))).toBe(
      "PERMISSION_DENIED",
    );
    expect(await teams(lead, { keys: ["teams/first/keys/first"] })).toEqual([]);
  });

  it("pages by rows", async () => {
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await usage.queryUsage({ groupBy, pageSize: 2, pageToken });
      seen.push(...page.rows.map((row) => row.team));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen.sort()).toEqual(["teams/a", "teams/a-sub", "teams/first"]);
  });

  const malformed: MessageInitShape<typeof QueryUsageRequestSchema>[] = [
    { groupBy: [UsageDimension.UNSPECIFIED] },
    { groupBy: [unknown] },
    { groupBy: [UsageDimension.TEAM, UsageDimension.TEAM] },
    { groupBy: [UsageDimension.LABEL] },
    { timeBucket: unknown },
    { pageSize: 10_001 },
    { pageToken: "x" },
    { filter: { teams: ["nonsense"] } },
    { filter: { users: Array.from({ length: 1001 }, (_, i) => `users/${i}`) } },
  ];
  for (const bad of malformed) {
    it(`refuses ${JSON.stringify(bad).slice(0, 60)}`, async () => {
      expect(await reasonOf(usage.queryUsage(bad))).toBe("INVALID_REQUEST");
    });
  }
});

describe("GetRequest", () => {
  it("shows a record to those who may see it, and details to those who run Weir", async () => {
    const { record: full } = await usage.getRequest({ requestId: "r3" });
    expect(full?.attempts[0]?.detail).toBe("connect ECONNREFUSED 10.0.0.7");
    const { record: shown } = await inference.getRequest({ requestId: "r3" });
    expect(shown?.costNanoUsd).toBe(7n);
    expect(shown?.attempts[0]?.detail).toBe("");
    for (const requestId of ["r1", "r4", "none"]) {
      expect(await reasonOf(inference.getRequest({ requestId }))).toBe("NOT_FOUND");
    }
    expect(await reasonOf(lead.getRequest({ requestId: "r3" }))).toBe("NOT_FOUND");
  });
});

describe("TailRequests", () => {
  /** Reads so many records, then hangs up. */
  const read = async (
    stream: AsyncIterable<{ record?: RequestRecord | undefined }>,
    count: number,
  ) => {
    const ids: string[] = [];
    for await (const { record: each } of stream) {
      ids.push(each?.requestId ?? "");
      if (ids.length === count) break;
    }
    return ids;
  };

  it("begins with the past, goes on with what comes, and tells each once", async () => {
    const reading = read(usage.tailRequests({ backlog: 2 }), 4);
    const again = append([record("r4", "teams/first")]);
    await again;
    let done = false;
    void reading.finally(() => {
      done = true;
    });
    for (let i = 0; !done; i++) {
      await append([record(`live-${i}`, "teams/a")]);
    }
    const ids = await reading;
    expect(new Set(ids).size).toBe(4);
    expect(ids.slice(0, 2).every((id) => id.startsWith("r"))).toBe(true);
    expect(ids.slice(2).every((id) => id.startsWith("live-"))).toBe(true);
  });

  it("tells a caller only what it may see", async () => {
    const reading = read(inference.tailRequests({}), 1);
    let done = false;
    void reading.finally(() => {
      done = true;
    });
    for (let i = 0; !done; i++) {
      await append([
        record(`other-${i}`, "teams/a"),
        record(`own-${i}`, "teams/first", { key: "teams/first/keys/first" }),
      ]);
    }
    expect((await reading)[0]).toMatch(/^own-/);
  });

  it("ends when the key is taken away", async () => {
    const admin = trial.client(AdminService, adminSecret);
    const secret = await trial.key("teams/a", "short", Role.VIEWER);
    const reading = read(trial.client(UsageService, secret).tailRequests({ backlog: 1 }), 100_000);
    let reason: string | undefined;
    void reasonOf(reading).then((found) => {
      reason = found;
    });
    await admin.deleteKey({ name: "teams/a/keys/short" });
    for (let i = 0; reason === undefined; i++) {
      await append([record(`gone-${i}`, "teams/a")]);
    }
    expect(reason).toBe("CREDENTIAL_UNKNOWN");
  });
});

describe("a tail on which nothing happens", () => {
  const changes = [
    ["deleted", "CREDENTIAL_UNKNOWN"],
    ["disabled", "CREDENTIAL_DISABLED"],
    ["demoted", "PERMISSION_DENIED"],
  ] as const;
  for (const [what, expected] of changes) {
    it(`ends when its key is ${what}`, async () => {
      const admin = trial.client(AdminService, adminSecret);
      const id = `idle-${what}`;
      const name = `teams/root/keys/${id}`;
      const secret = await trial.key("teams/root", id, Role.AUDITOR);
      const told = trial.client(UsageService, secret).tailRequests({ backlog: 1 });
      const records = told[Symbol.asyncIterator]();
      await records.next();
      const ended = reasonOf(records.next());
      if (what === "deleted") await admin.deleteKey({ name });
      else {
        const key = { name, adminRole: Role.VIEWER, disabled: what === "disabled" };
        const updateMask = { paths: [what === "disabled" ? "disabled" : "admin_role"] };
        await admin.updateKey({ key, updateMask });
      }
      expect(await ended).toBe(expected);
    });
  }
});

describe("createBroadcast()", () => {
  it("skips for slow listeners and says how many", async () => {
    const broadcast = createBroadcast();
    const listener = broadcast.listen(() => true);
    const many = Array.from({ length: 1500 }, (_, i) => record(`s${i}`, "teams/a"));
    broadcast.publish(many);
    broadcast.publish(many.slice(0, 3));
    for (let i = 0; i < 1000; i++) expect((await listener.next())?.skipped).toBe(0);
    broadcast.publish([record("late", "teams/a")]);
    expect(await listener.next()).toMatchObject({ record: { requestId: "late" }, skipped: 500 });
    const waiting = listener.next();
    broadcast.close();
    expect(await waiting).toBeUndefined();
  });

  it("has a cap on listeners, and frees those who left", () => {
    const broadcast = createBroadcast();
    const listeners = Array.from({ length: 256 }, () => broadcast.listen(() => true));
    expect(() => broadcast.listen(() => true)).toThrow(/256/);
    listeners[0]?.close();
    expect(() => broadcast.listen(() => true)).not.toThrow();
  });
});

function append(records: readonly RequestRecord[]): Promise<void> {
  return trial.control.hub.appendRecords(EncodedBatch.of(records));
}

function record(requestId: string, team: string, init: Partial<RequestRecord> = {}): RequestRecord {
  return create(RequestRecordSchema, {
    requestId,
    team,
    key: `${team}/keys/k`,
    startTime: { seconds: 1_790_000_000n },
    model: "sim/echo",
    provider: "providers/sim",
    costNanoUsd: 7n,
    costKnown: true,
    attempts: [{ provider: "providers/sim", detail: "connect ECONNREFUSED 10.0.0.7" }],
    errorReason: init.errorReason ?? "",
    labels: init.labels ?? {},
    ...(init.key === undefined ? {} : { key: init.key }),
  });
}
