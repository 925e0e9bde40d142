import { describe, expect, it } from "vitest";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import {
  createTestAsk,
  createTestCall,
  createTestGrant,
  createTextChunk,
} from "../../test/support/calls.ts";
import { createTestLeg, createTestTarget } from "../../test/support/targets.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Leg } from "../mesh/grant.ts";
import { bindLimit, type Limit } from "../mesh/limit.ts";
import type { CallQuota, Quota, Reservation } from "../mesh/quota.ts";
import { createSeededRandom } from "../mesh/random.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { Target } from "../mesh/target.ts";
import type { Attempt, Upstream, UpstreamEnd } from "../mesh/upstream.ts";
import { createUsage } from "../mesh/usage.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createAttemptChat } from "./attempt-chat.ts";
import { Breakers } from "./breaker.ts";

const budget: Limit = {
  policy: "policies/money",
  kind: "budget",
  unit: "nano_usd",
  form: "nano_usd:lifetime",
  amount: 1000,
  window: { kind: "lifetime" },
  periodMs: 0,
  burst: 0,
  per: { kind: "shared" },
  audit: false,
  clamp: false,
  downgradeTo: "cheap",
  allowUnproven: false,
  surviveMs: 60_000,
  defaultPrice: undefined,
  concernsProvider: () => true,
};

const counted = createUsage({ inputTokens: 10, outputTokens: 5 });

const end: UpstreamEnd = {
  finish: { $typeName: "weir.v1.Finish", reason: 1, raw: "stop", stopSequence: "" },
  usage: counted,
  upstreamId: "",
  modelVersion: "",
};

/** Writes down what routing does with each reservation. */
class TestQuota implements Quota {
  readonly events: string[] = [];
  readonly settled: (Usage | undefined)[] = [];
  /** What to do instead of granting, by target. */
  readonly answers: Record<string, (reservation: Reservation) => Promise<Reservation>> = {};
  readonly refusals: Record<string, MeshError> = {};

  begin(): CallQuota {
    this.events.push("begin");
    return {
      reserve: (_leg, target) => this.#reserve(target),
      end: () => this.events.push("end"),
    };
  }

  #reserve({ id }: Target): Reservation | Promise<Reservation> {
    const refusal = this.refusals[id];
    if (refusal !== undefined) throw refusal;
    this.events.push(`reserve ${id}`);
    const reservation: Reservation = {
      outputTokensMax: 77,
      clampedBy: "policies/money",
      unprovenBy: ["policies/slow"],
      settle: (usage) => {
        this.events.push(`settle ${id}`);
        this.settled.push(usage);
      },
      release: () => this.events.push(`release ${id}`),
    };
    return this.answers[id]?.(reservation) ?? reservation;
  }
}

type Script = (attempt: Attempt) => Promise<UpstreamEnd>;

function createHouse(scripts: Readonly<Record<string, Script>>) {
  const clock = new VirtualClock();
  const quota = new TestQuota();
  const upstream: Upstream = {
    chat: (target, _ask, sink, attempt) => {
      const script = scripts[target.id];
      if (script === undefined) throw new Error(`no script for ${target.id}`);
      const played = script(attempt);
      return played.then((value) => {
        sink.chunk(createTextChunk("hi"));
        return value;
      });
    },
    embed: () => Promise.reject(new Error("not scripted")),
    countTokens: () => Promise.resolve(undefined),
  };
  const random = createSeededRandom(1);
  const tools = { clock, random, breakers: new Breakers(clock), quota };
  const sink: ChatSink = { start: () => {}, chunk: () => true, ready: async () => {} };
  const call = createTestCall(clock);
  const attemptChat = createAttemptChat(tools, upstream);
  const run = (legs: readonly Leg[]) =>
    attemptChat(createTestGrant([...legs]), createTestAsk(), call, sink);
  return { clock, quota, call, run };
}

function limited(ids: readonly string[], more: Partial<Leg> = {}): Leg {
  const targets = ids.map((id, priority) => createTestTarget({ id, upstreamModel: id, priority }));
  return { ...createTestLeg(targets), limits: [bindLimit(budget, "")], ...more };
}

function failing(status: number, sent: boolean, partial?: Usage): Script {
  return async (attempt) => {
    attempt.sent = sent;
    if (status > 0) attempt.opened(status, {});
    attempt.partial = partial;
    throw new MeshError("UPSTREAM_RATE_LIMITED", "scripted");
  };
}

describe("the reservations of a call", () => {
  it("takes before the upstream is called, and settles what was counted", async () => {
    let seen: number | undefined;
    const { quota, call, run } = createHouse({
      a: async (attempt) => {
        seen = attempt.outputTokensMax;
        quota.events.push("call a");
        return end;
      },
    });
    await run([limited(["a"])]);
    expect(quota.events).toEqual(["begin", "reserve a", "call a", "settle a", "end"]);
    expect(quota.settled).toEqual([counted]);
    expect(seen).toBe(77);
    expect(call.trail.clampedBy).toBe("policies/money");
    expect(call.trail.decision?.unprovenBy).toEqual(["policies/slow"]);
  });

  it("asks nobody where nothing limits the call", async () => {
    const { quota, run } = createHouse({ a: async () => end });
    await run([limited(["a"], { limits: [] })]);
    expect(quota.events).toEqual([]);
  });

  const outcomes = [
    { what: "never sent", script: failing(0, false), outcome: "release a" },
    { what: "refused by its status", script: failing(429, true), outcome: "release a" },
    { what: "sent and never answered", script: failing(0, true), outcome: "settle a" },
    { what: "broken after a good status", script: failing(200, true), outcome: "settle a" },
  ];
  for (const { what, script, outcome } of outcomes) {
    it(`gives back only what cannot have been billed: ${what}`, async () => {
      const { quota, run } = createHouse({ a: script, b: async () => end });
      await run([limited(["a", "b"])]);
      expect(quota.events).toEqual([
        ...["begin", "reserve a", outcome],
        ...["reserve b", "settle b", "end"],
      ]);
      expect(quota.settled).toEqual(outcome === "settle a" ? [undefined, counted] : [counted]);
    });
  }

  it("settles what an attempt has produced before it failed", async () => {
    const partial = createUsage({ inputTokens: 3, estimated: true });
    const { quota, run } = createHouse({ a: failing(200, true, partial), b: async () => end });
    await run([limited(["a", "b"])]);
    expect(quota.settled).toEqual([partial, counted]);
  });

  it("tries a target that has a price after one that has none", async () => {
    const { quota, call, run } = createHouse({ b: async () => end });
    quota.refusals.a = new MeshError("PRICE_UNKNOWN", "no price");
    await run([limited(["a", "b"])]);
    expect(quota.events).toEqual(["begin", "reserve b", "settle b", "end"]);
    expect(call.trail.attempts).toHaveLength(1);
  });

  it("goes on with the model that the exhausted policy names, and with no other", async () => {
    const { quota, call, run } = createHouse({ c: async () => end });
    const metadata = { policy: "policies/money", downgrade_to: "cheap" };
    quota.refusals.a = new MeshError("BUDGET_EXHAUSTED", "spent", { metadata });
    const legs = [
      limited(["a"]),
      limited(["b"], { name: "dear", after: "budget" }),
      limited(["c"], { name: "cheap", after: "budget" }),
    ];
    const outcome = await run(legs);
    expect(outcome.decision.model).toBe("cheap");
    expect(outcome.decision.downgradedBy).toBe("policies/money");
    expect(call.trail.downgradedBy).toBe("policies/money");
  });

  it("names a policy once in the record, however many attempts it let pass unproven", async () => {
    const { call, run } = createHouse({ a: failing(429, true), b: async () => end });
    await run([limited(["a", "b"])]);
    expect(call.trail.attempts).toHaveLength(2);
    expect(call.trail.unprovenBy).toEqual(["policies/slow"]);
  });

  it("gives back what the ledger grants after the caller has left", async () => {
    const { quota, call, run } = createHouse({ a: async () => end });
    const grant = Promise.withResolvers<void>();
    quota.answers.a = (reservation) => grant.promise.then(() => reservation);
    const running = run([limited(["a"])]);
    call.cancellation.cancel(new MeshError("CALLER_GONE", "gone"));
    grant.resolve();
    await expect(running).rejects.toMatchObject({ reason: "CALLER_GONE" });
    expect(quota.events).toEqual(["begin", "reserve a", "release a", "end"]);
  });
});
