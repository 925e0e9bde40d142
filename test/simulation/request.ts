import { Cancellation } from "../../src/mesh/cancellation.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import type { BoundLimit } from "../../src/mesh/limit.ts";
import type { CallQuota, Reservation } from "../../src/mesh/quota.ts";
import { computeCost } from "../../src/mesh/usage.ts";
import { defaultQuotaOptions } from "../../src/quota/quota.ts";
import { createTestCall } from "../support/calls.ts";
import { createTestLeg } from "../support/targets.ts";
import type { Chance } from "./chance.ts";
import type { Observer } from "./observer.ts";
import { Killed, type ProxyLife } from "./proxy-node.ts";
import {
  boundIn,
  countIn,
  createAsk,
  cutUsage,
  drawUsage,
  mostUsage,
  type Question,
} from "./vendor.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface RequestParts {
  readonly id: string;
  readonly time: VirtualTime;
  readonly chance: Chance;
  readonly observer: Observer;
  readonly life: ProxyLife;
  readonly question: Question;
  readonly limits: readonly BoundLimit[];
  readonly note: (line: string) => void;
  readonly onViolation: (text: string) => void;
  /** From then on no further attempt is made. */
  readonly untilMs: number;
  /** How it goes when it is admitted; chosen by chance when not given. */
  readonly plan?: AttemptPlan;
}

/** How one attempt goes. */
export interface AttemptPlan {
  readonly durationMs: number;
  /**
   * `counted`: usage is told; `silent`: charged, and nobody says how much; `zero`: the vendor
   * counts nothing, and charges nothing; `unbilled`: it fails before anything is charged.
   */
  readonly end: "counted" | "silent" | "zero" | "unbilled";
  /** True when the vendor charges all that it may. */
  readonly full: boolean;
}

export type Outcome = "served" | "killed" | MeshError;

/** A longer wait for a refill breaks the promise, with something for the timers. */
const WAIT_MAX_MS = defaultQuotaOptions.recallWaitMs + 100;

/** One call through a proxy: up to three attempts, their charges, and its end. */
export class SimulatedRequest {
  readonly #parts: RequestParts;
  readonly #cancellation = new Cancellation();
  /** Limits that are taken once a call, once they are. */
  #held: readonly BoundLimit[] | undefined;
  /** Where they were taken: a call belongs to the window in which it began, whatever it tries then. */
  readonly #heldIn = new Map<string, number>();
  #billed = false;

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  /** Resolves when the call is over, or its proxy is dead. */
  async run(): Promise<Outcome> {
    const { life, question, chance } = this.#parts;
    const call = createTestCall(life.clock, {
      requestId: this.#parts.id,
      cancellation: this.#cancellation,
    });
    const quota = life.core.quota.begin(call, createAsk(question));
    const onDeath = () => this.#freeSlots();
    life.onDeath.add(onDeath);
    try {
      return await this.#attempts(quota);
    } catch (error) {
      if (!life.alive || error instanceof Killed) return "killed";
      if (!(error instanceof MeshError)) throw error;
      this.#parts.note(`${this.#parts.id} refused ${error.reason}: ${error.message}`);
      return error;
    } finally {
      if (life.alive) {
        life.onDeath.delete(onDeath);
        this.#freeSlots();
        quota.end();
        if (chance.happens(0.02)) quota.end();
      }
    }
  }

  async #attempts(quota: CallQuota): Promise<Outcome> {
    const { chance, life, question, plan, time, untilMs } = this.#parts;
    const most = chance.happens(0.15) ? 3 : 1;
    for (let attempt = 1; ; attempt += 1) {
      const reservation = await this.#reserve(quota);
      if (!life.alive) {
        this.#allow(reservation);
        return "killed";
      }
      const chosen = plan ?? choosePlan(chance);
      const ended = await this.#attempt(reservation, chosen, question);
      if (ended === "killed") return "killed";
      if (attempt >= most || time.nowMs >= untilMs) return "served";
    }
  }

  async #reserve(quota: CallQuota): Promise<Reservation> {
    const { limits, question, time, chance, onViolation, id } = this.#parts;
    const startedMs = time.nowMs;
    const leg = createTestLeg([question.target], { limits });
    const asked = quota.reserve(leg, question.target);
    if (!(asked instanceof Promise)) return asked;
    if (this.#parts.plan === undefined && chance.happens(0.05)) {
      time.schedule(chance.between(0, 300), () =>
        this.#cancellation.cancel(new MeshError("CALLER_GONE", "The caller has gone.")),
      );
    }
    try {
      return await asked;
    } finally {
      const waitedMs = time.nowMs - startedMs;
      if (waitedMs > WAIT_MAX_MS) onViolation(`wait: ${id} waited ${waitedMs} ms`);
    }
  }

  async #attempt(
    reservation: Reservation,
    plan: AttemptPlan,
    question: Question,
  ): Promise<"ended" | "killed"> {
    const { chance, life, id, note } = this.#parts;
    const most = mostUsage(question, reservation.outputTokensMax);
    const drawn = cutUsage(reservation, plan.full ? most : drawUsage(chance, most));
    const actual = plan.end === "zero" ? emptyUsage(drawn) : drawn;
    note(`${id} at ${life.name}/${life.epoch} admitted, ${plan.end} in ${plan.durationMs} ms`);
    this.#allow(reservation);
    this.#take(plan, actual, most);
    await this.#pass(plan.durationMs);
    if (!life.alive) return "killed";
    if (plan.end === "unbilled") reservation.release();
    else if (plan.end === "silent") reservation.settle(undefined, undefined);
    else reservation.settle(actual, computeCost(actual, question.target.price));
    this.#refund(plan, actual, most);
    return "ended";
  }

  /**
   * What is taken without proof counts beyond the ceiling: also when its proxy dies of it. Of a long
   * answer further slices may be taken so at any later time, and are charged when nobody counts.
   */
  #allow({ unprovenBy, outputTokensMax, cover }: Reservation): void {
    const { limits, observer, question } = this.#parts;
    for (const bound of limits) {
      const { policy, unit, allowUnproven } = bound.limit;
      const mayBe = allowUnproven && cover !== undefined;
      if (!mayBe && !unprovenBy.includes(policy)) continue;
      observer.allowBeyond(bound, boundIn(unit, question, outputTokensMax));
    }
  }

  #findWindow({ bucket, limit }: BoundLimit): number {
    const now = this.#parts.life.windows.get(bucket) ?? -1;
    if (!isOnceACall(limit.unit)) return now;
    const before = this.#heldIn.get(bucket) ?? now;
    this.#heldIn.set(bucket, before);
    return before;
  }

  /** The attempt is under way: what it will be charged is charged already, as far as we judge. */
  #take(
    plan: AttemptPlan,
    actual: ReturnType<typeof drawUsage>,
    most: ReturnType<typeof drawUsage>,
  ): void {
    const { limits, observer, question } = this.#parts;
    const first = this.#held === undefined;
    if (first) this.#held = limits.filter(({ limit }) => isOnceACall(limit.unit));
    const bills = plan.end !== "unbilled";
    for (const bound of limits) {
      const { unit, kind } = bound.limit;
      if (kind === "concurrency") {
        if (first) observer.takeSlot(bound);
        continue;
      }
      const once = isOnceACall(unit);
      if (kind === "rate") {
        if (!once) observer.takeRate(bound, countIn(unit, most, question.target));
        else if (first) observer.takeRate(bound, 1);
        continue;
      }
      const windowStartMs = this.#findWindow(bound);
      if (first || !once) observer.takeFrom(bound, windowStartMs);
      if (!bills || (once && this.#billed)) continue;
      const amount = countIn(unit, actual, question.target);
      observer.charge(bound, windowStartMs, amount);
      if (plan.end !== "counted") observer.blurred.add(bound.bucket);
    }
    this.#billed ||= bills;
  }

  #refund(
    plan: AttemptPlan,
    actual: ReturnType<typeof drawUsage>,
    most: ReturnType<typeof drawUsage>,
  ): void {
    const { limits, observer, question } = this.#parts;
    if (plan.end === "silent") return;
    for (const bound of limits) {
      const { kind, unit } = bound.limit;
      if (kind !== "rate" || isOnceACall(unit)) continue;
      const taken = countIn(unit, most, question.target);
      const spent = plan.end === "unbilled" ? 0 : countIn(unit, actual, question.target);
      observer.refundRate(bound, taken - spent);
    }
  }

  /** Time passes; the vendor goes on, and whoever waits for it may die meanwhile. */
  #pass(durationMs: number): Promise<void> {
    const { time } = this.#parts;
    return new Promise((resolve) => {
      time.schedule(durationMs, resolve);
    });
  }

  #freeSlots(): void {
    for (const bound of this.#held ?? []) {
      if (bound.limit.kind === "concurrency") this.#parts.observer.freeSlot(bound);
    }
    this.#held = [];
  }
}

function isOnceACall(unit: string): boolean {
  return unit === "requests" || unit === "slots";
}

function choosePlan(chance: Chance): AttemptPlan {
  const roll = chance.unit();
  const end = roll < 0.78 ? "counted" : roll < 0.86 ? "silent" : roll < 0.89 ? "zero" : "unbilled";
  return { durationMs: chance.magnitude(20, 5_000), end, full: chance.happens(0.1) };
}

function emptyUsage(usage: ReturnType<typeof drawUsage>): ReturnType<typeof drawUsage> {
  return { ...usage, inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, reasoningTokens: 0 };
}
