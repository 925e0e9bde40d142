import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HouseFixture, type ProxyFixture, reserveOnce } from "../../test/support/quota-house.ts";
import { MeshError } from "../mesh/errors.ts";
import type { BoundLimit } from "../mesh/limit.ts";
import type { Reservation } from "../mesh/quota.ts";
import { createSeededRandom, type Random } from "../mesh/random.ts";
import { createUsage } from "../mesh/usage.ts";

/** What each attempt takes: 36 bytes, 64 of overhead and 100 of output. */
const TOKENS = 200;

/** A walk takes ten milliseconds and more. */
const RUNS = Number(process.env.FC_RUNS ?? 30);

interface Open {
  readonly proxy: ProxyFixture;
  readonly reservation: Reservation;
}

/** Proxies that reserve, settle, lose messages and die, as a seed says. */
class Walk {
  readonly house = new HouseFixture();
  readonly random: Random;
  readonly bound: BoundLimit;
  readonly ceiling: number;
  readonly windowMs: number;
  readonly starts = new Map<string, ProxyFixture>();
  open: Open[] = [];
  /** Really used, by dead and living: whatever was under way at a death counts in full. */
  used = 0;
  readonly wrong: unknown[] = [];

  constructor(seed: number, windowMs: number) {
    this.random = createSeededRandom(seed);
    this.windowMs = windowMs;
    this.ceiling = TOKENS * (1 + this.#below(60));
    this.bound = this.house.bind({ unit: "tokens", amount: this.ceiling }, "", windowMs);
    for (const id of ["a", "b", "c"].slice(0, 1 + this.#below(3))) this.#start(id, 1);
  }

  async step(): Promise<void> {
    const proxies = [...this.starts.values()];
    const proxy = proxies[this.#below(proxies.length)];
    if (proxy === undefined) return;
    const dice = this.#below(100);
    if (dice < 45) this.#reserve(proxy);
    else if (dice < 75) this.#settle();
    else if (dice < 78) proxy.disconnect();
    else if (dice < 84) proxy.connect();
    else if (dice < 86) this.#kill(proxy);
    await this.house.clock.advance([0, 1, 5, 60, 1_100, 4_000][this.#below(6)] ?? 0);
    this.check();
  }

  /** All is settled, heals, and is told. */
  async finish(): Promise<void> {
    for (const proxy of this.starts.values()) {
      proxy.copies = () => 1;
      proxy.connect();
    }
    await this.house.clock.advance(2_000);
    while (this.open.length > 0) this.#settle();
    await this.house.clock.advance(10_000);
    this.check();
  }

  check(): void {
    for (const row of this.house.ledger.totals(this.bound.bucket)) {
      expect(row.leased).toBeGreaterThanOrEqual(0);
      expect(row.spent + row.leased + row.forfeited).toBeLessThanOrEqual(this.ceiling);
    }
    for (const proxy of this.starts.values()) {
      expect(proxy.quota.invariant()).toBe(0);
      if (this.windowMs === 0) this.#checkMark(proxy);
    }
    expect(this.wrong).toEqual([]);
  }

  /** What a crash now would hide is on the disk. */
  #checkMark(proxy: ProxyFixture): void {
    const open = this.open.filter((each) => each.proxy === proxy).length;
    const mark = proxy.watermarks.marks.get(`${this.bound.bucket}@0`)?.usedMax ?? 0;
    expect(mark).toBeGreaterThanOrEqual(open * TOKENS + proxy.spent);
  }

  #start(id: string, epoch: number): void {
    const before = this.starts.get(id);
    const proxy = this.house.start(id, epoch);
    if (before !== undefined) proxy.watermarks.inherit(before.watermarks, before.epoch);
    proxy.copies = () => [0, 1, 1, 1, 1, 2][this.#below(6)] ?? 1;
    this.starts.set(id, proxy);
  }

  #kill(proxy: ProxyFixture): void {
    proxy.kill();
    this.used += this.open.filter((each) => each.proxy === proxy).length * TOKENS;
    this.open = this.open.filter((each) => each.proxy !== proxy);
    this.#start(proxy.id, proxy.epoch + 1);
  }

  #reserve(proxy: ProxyFixture): void {
    const take = (reservation: Reservation) => {
      if (proxy.killed) return;
      this.open.push({ proxy, reservation });
    };
    try {
      const taken = reserveOnce(proxy, this.house.call(), [this.bound]);
      if (!(taken instanceof Promise)) take(taken);
      else taken.then(take, (thrown) => this.#refused(thrown));
    } catch (thrown) {
      this.#refused(thrown);
    }
  }

  #refused(thrown: unknown): void {
    if (!(thrown instanceof MeshError) || thrown.reason === "INTERNAL") this.wrong.push(thrown);
  }

  #settle(): void {
    const [one] = this.open.splice(this.#below(this.open.length), 1);
    if (one === undefined) return;
    const dice = this.#below(10);
    if (dice === 0) {
      one.reservation.release();
      return;
    }
    const used = dice === 1 ? TOKENS : 1 + this.#below(TOKENS);
    const usage = dice === 1 ? undefined : createUsage({ outputTokens: used });
    one.reservation.settle(usage, undefined);
    one.proxy.spent += used;
    this.used += used;
  }

  #below(end: number): number {
    return Math.floor(this.random.unit() * end);
  }
}

async function walk(seed: number, windowMs: number): Promise<Walk> {
  const one = new Walk(seed, windowMs);
  for (let i = 0; i < 60; i++) await one.step();
  await one.finish();
  return one;
}

describe("leases under lost, doubled and late messages and deaths", () => {
  it("never let more be used than the ceiling, and lose nothing that was used", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const { house, bound, ceiling, used } = await walk(seed, 0);
        const [row] = house.ledger.totals(bound.bucket);
        expect(used).toBeLessThanOrEqual(ceiling);
        expect((row?.spent ?? 0) + (row?.forfeited ?? 0)).toBeGreaterThanOrEqual(used);
      }),
      { numRuns: RUNS },
    );
  });

  it("keep each window to its ceiling, whenever requests end", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const { house, bound, ceiling, used } = await walk(seed, 10_000);
        const rows = house.ledger.totals(bound.bucket);
        expect(used).toBeLessThanOrEqual(ceiling * rows.length);
        const booked = rows.reduce((sum, row) => sum + row.spent + row.forfeited, 0);
        expect(booked).toBeGreaterThanOrEqual(used);
      }),
      { numRuns: RUNS },
    );
  });
});
