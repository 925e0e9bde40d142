import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { KeySchema, Role, TeamSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import type { KeyLimitState } from "../../src/mesh/key-limit.ts";
import { bindLimit, type Limit } from "../../src/mesh/limit.ts";
import type { BucketState } from "../../src/mesh/quota.ts";
import { createTestLimit } from "../support/quota-house.ts";
import type { Body } from "../support/rest-calls.ts";
import { openDoor } from "./open-door.ts";
import { KEY } from "./pretend-house.ts";

const NOBODY = { include: [], exclude: [] };
const month = { kind: "calendar", unit: "month", timeZone: "Europe/Berlin" } as const;

function limitOf(
  fields: Partial<Limit>,
  state: Partial<BucketState> | undefined,
  more: Partial<KeyLimitState> = {},
): KeyLimitState {
  const limit = createTestLimit(fields);
  const bound = bindLimit(limit, "teams/a");
  const told = { bound, known: true, ceiling: 0, remaining: 0, resetsInMs: undefined, ...state };
  return {
    ...{ limit, bound, models: NOBODY, providers: NOBODY, labels: {} },
    state: state === undefined ? undefined : told,
    ...more,
  };
}

async function ask(limits: readonly KeyLimitState[], path = "/v1/key"): Promise<Body> {
  const principal = {
    key: create(KeySchema, {
      name: "teams/a/keys/k",
      displayName: "Search",
      allowedModels: ["chat"],
      labels: { env: "ci" },
      expireTime: timestampFromMs(1_800_000_000_000),
    }),
    teams: [create(TeamSchema, { name: "teams/a" })],
    user: "users/u",
    adminRole: Role.UNSPECIFIED,
  };
  const house = { identify: () => principal, keyLimits: async () => limits };
  const door = await openDoor({ house });
  const answer = await fetch(door.url + path, { headers: { authorization: `Bearer ${KEY}` } });
  expect(answer.status).toBe(200);
  return JSON.parse(await answer.text()).data;
}

describe("GET /v1/key", () => {
  it("says whose the key is and what it may ask for", async () => {
    expect(await ask([])).toMatchObject({
      label: "Search",
      name: "teams/a/keys/k",
      team: "teams/a",
      user: "users/u",
      allowed_models: ["chat"],
      labels: { env: "ci" },
      expires_at: "2027-01-15T08:00:00.000Z",
      limits: [],
    });
  });

  it("has OpenRouter's form, also by its older name", async () => {
    const budget = { kind: "budget", window: month } as const;
    const limits = [
      limitOf({ ...budget, policy: "policies/wide" }, { ceiling: 9e9, remaining: 8e9 }),
      limitOf({ ...budget, policy: "policies/tight" }, { ceiling: 5e9, remaining: 1.5e9 }),
      limitOf({ ...budget, audit: true }, { ceiling: 1e9, remaining: 0 }),
      limitOf(budget, { ceiling: 1e9, remaining: 0 }, { models: { include: ["m"], exclude: [] } }),
      limitOf({ kind: "rate", unit: "requests", amount: 20 }, { ceiling: 20, remaining: 20 }),
    ];
    for (const path of ["/v1/key", "/key", "/v1/auth/key"]) {
      expect(await ask(limits, path)).toMatchObject({
        limit: 5,
        limit_remaining: 1.5,
        limit_reset: "monthly",
        usage: 3.5,
        is_free_tier: false,
        is_provisioning_key: false,
        include_byok_in_limit: false,
        rate_limit: { requests: 20, interval: "60s" },
      });
    }
  });

  it("has no limit in money where no budget counts all that it asks", async () => {
    expect(await ask([limitOf({ unit: "tokens" }, { ceiling: 5, remaining: 1 })])).toMatchObject({
      limit: null,
      limit_remaining: null,
      limit_reset: null,
      usage: null,
      rate_limit: { requests: -1, interval: "10s" },
    });
  });

  it("lists each limit with what it concerns and what is left", async () => {
    const models = { include: ["chat"], exclude: [] };
    const { limits } = await ask([
      limitOf(
        { unit: "tokens", window: month, downgradeTo: "small" },
        { ceiling: 1000, remaining: 250, resetsInMs: 60_000 },
        { models, labels: { env: ["ci"] } },
      ),
      limitOf({ kind: "concurrency", unit: "slots", amount: 3, audit: true }, { known: false }),
      limitOf({ kind: "rate", unit: "requests", amount: 20 }, undefined, { bound: undefined }),
    ]);
    expect(limits).toMatchObject([
      {
        policy: "policies/p",
        kind: "budget",
        dimension: "tokens",
        scope: "teams/a",
        mode: "enforce",
        limit: 1000,
        remaining: 250,
        window: "month",
        time_zone: "Europe/Berlin",
        downgrade_to: "small",
        models,
        labels: { env: ["ci"] },
      },
      { kind: "concurrency", mode: "audit", limit: 3, remaining: null, resets_at: null },
      { kind: "rate_limit", period_seconds: 60, burst: 20, remaining: null },
    ]);
    const early = Date.parse(limits[0].resets_at) - systemClock.wallMs();
    expect(early).toBeGreaterThan(0);
    expect(early).toBeLessThanOrEqual(61_000);
  });
});
