import {
  type LeaseGrant,
  LeaseGrant_Refusal,
  type LeaseReport,
  type QuotaReply,
  type QuotaReport,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Clock } from "../../src/mesh/clock.ts";
import type { Limit } from "../../src/mesh/limit.ts";

/** A ledger in memory, with the semantics of the real one, for the tests of this room. */
export class LedgerFixture {
  readonly #clock: Clock;
  readonly #pots = new Map<string, PotRow>();
  readonly #proxies = new Map<string, ProxyRow>();
  /** Told which buckets a proxy's need calls back; the test brings it to the others. */
  onRecall: (bucket: string, except: string) => void = () => {};
  suspended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Knows a bucket from now on; windows follow each other every `windowMs`, 0 means none. */
  open(bucket: string, limit: Limit, windowMs = 0): void {
    const rate = limit.kind === "rate" ? limit : undefined;
    this.#pots.set(bucket, {
      ceiling: rate === undefined ? limit.amount : 1_000_000,
      windowMs,
      windows: new Map(),
      rate,
    });
  }

  close(bucket: string): void {
    this.#pots.delete(bucket);
  }

  /** All windows of a bucket. */
  totals(bucket: string): WindowRow[] {
    return [...(this.#pots.get(bucket)?.windows.values() ?? [])];
  }

  spent(bucket: string): number {
    return this.totals(bucket).reduce((sum, row) => sum + row.spent, 0);
  }

  answer(proxyId: string, epoch: number, report: QuotaReport): QuotaReply {
    const proxy = this.#proxyOf(proxyId);
    if (epoch < proxy.epoch)
      return createReply(report, "a later start of this proxy reports", true);
    if (epoch > proxy.epoch) {
      this.#startEpoch(proxy, epoch);
      this.#confess(proxy, report);
    }
    const sequence = Number(report.sequence);
    const again = sequence <= proxy.sequence;
    if (!again) proxy.sequence = sequence;
    const reply = createReply(report, "");
    if (!again) for (const lease of report.leases) this.#book(proxy, lease);
    for (const lease of report.leases) {
      const grant = this.#grant(proxyId, proxy, lease, !again);
      reply.leases.push(grant);
    }
    return reply;
  }

  #proxyOf(proxyId: string): ProxyRow {
    let proxy = this.#proxies.get(proxyId);
    if (proxy === undefined) {
      proxy = { epoch: 0, sequence: 0, leases: new Map(), frozen: new Map() };
      this.#proxies.set(proxyId, proxy);
    }
    return proxy;
  }

  #startEpoch(proxy: ProxyRow, epoch: number): void {
    proxy.frozen.set(proxy.epoch, proxy.leases);
    proxy.leases = new Map();
    proxy.sequence = 0;
    proxy.epoch = epoch;
    for (const leases of proxy.frozen.values()) {
      for (const [key, lease] of leases) {
        if (lease.pot.rate === undefined && !lease.bucket.includes("|slots|")) continue;
        lease.row.leased -= lease.granted - lease.returned - lease.confirmed;
        leases.delete(key);
      }
    }
  }

  #confess(proxy: ProxyRow, report: QuotaReport): void {
    for (const { epoch, trusted, leases } of report.confessions) {
      const used = new Map(leases.map((l) => [`${l.bucket}@${l.windowStartMs}`, l.usedMax]));
      for (const [key, lease] of proxy.frozen.get(Number(epoch)) ?? []) {
        const held = lease.granted - lease.confirmed - lease.returned;
        const usedMax = trusted ? Number(used.get(key) ?? 0n) : Number.MAX_SAFE_INTEGER;
        const lost = Math.min(held, Math.max(0, usedMax - lease.confirmed));
        lease.row.forfeited += lost;
        lease.row.leased -= held;
      }
      proxy.frozen.delete(Number(epoch));
    }
  }

  #book(proxy: ProxyRow, lease: LeaseReport): void {
    const row = proxy.leases.get(`${lease.bucket}@${lease.windowStartMs}`);
    if (row === undefined) return;
    const confirmed = Math.max(row.confirmed, Number(lease.confirmed));
    const returned = Math.max(row.returned, Number(lease.returned));
    // What comes back fills from now on, not for the time before.
    if (row.pot.rate !== undefined) this.#fill(row.row, row.pot.rate);
    row.row.spent += confirmed - row.confirmed;
    row.row.leased -= confirmed - row.confirmed + (returned - row.returned);
    const level = Number(lease.levelReturned) - row.levelReturned;
    if (row.pot.rate !== undefined) {
      const capacity = (1_000_000 - row.row.leased) * row.pot.rate.burst;
      row.row.level = Math.min(row.row.level + Math.max(0, level), capacity);
    }
    row.confirmed = confirmed;
    row.returned = returned;
    row.levelReturned += Math.max(0, level);
  }

  #grant(proxyId: string, proxy: ProxyRow, lease: LeaseReport, isNew: boolean): LeaseGrant {
    const pot = this.#pots.get(lease.bucket);
    const grant = createTestGrant(lease);
    if (pot === undefined) {
      grant.refusal = LeaseGrant_Refusal.GONE;
      return grant;
    }
    const nowMs = this.#clock.wallMs();
    const start = pot.windowMs === 0 ? 0 : nowMs - (nowMs % pot.windowMs);
    const asked = Number(lease.windowStartMs);
    const window = asked < 0 ? start : asked;
    grant.windowStartMs = BigInt(window);
    grant.windowEndsInMs = pot.windowMs === 0 ? -1n : BigInt(window + pot.windowMs - nowMs);
    const row = this.#windowOf(pot, window);
    if (isNew && window === start) this.#give({ proxyId, proxy, pot, row, lease, grant });
    const held = proxy.leases.get(`${lease.bucket}@${window}`);
    if (held !== undefined) {
      grant.granted = BigInt(held.granted);
      grant.levelGranted = BigInt(held.levelGranted);
      grant.confirmed = BigInt(held.confirmed);
      grant.returned = BigInt(held.returned);
      grant.levelReturned = BigInt(held.levelReturned);
    }
    grant.ceiling = BigInt(pot.ceiling);
    const left = pot.ceiling - row.spent - row.leased - row.forfeited;
    // Of a rate, in whole units.
    const remaining = pot.rate === undefined ? left : Math.floor(row.level / 1_000_000);
    grant.remaining = BigInt(Math.max(0, remaining));
    grant.spent = BigInt(row.spent + row.forfeited);
    return grant;
  }

  #give(asked: Asked): void {
    const { proxy, pot, row, lease, grant } = asked;
    const need = Number(lease.need);
    const want = Math.max(Number(lease.want), pot.rate === undefined ? need : 0);
    if (want === 0 && need === 0) return;
    if (this.suspended) {
      grant.refusal = LeaseGrant_Refusal.SUSPENDED;
      return;
    }
    const free = pot.ceiling - row.spent - row.leased - row.forfeited;
    const fair = Math.floor(free / (2 * this.#proxies.size));
    let share = pot.rate === undefined ? need : 0;
    let level = 0;
    if (pot.rate !== undefined) {
      this.#fill(row, pot.rate);
      const perShare = free > 0 ? row.level / free : 0;
      share = need === 0 ? 0 : perShare === 0 ? free + 1 : Math.ceil(need / perShare);
      if (share <= free) level = perShare;
    }
    if (share > free) {
      this.#refuse(asked, share - free, lease.bucket);
      return;
    }
    const given = Math.max(share, Math.min(want, fair));
    if (given <= 0) return;
    row.leased += given;
    const key = `${lease.bucket}@${grant.windowStartMs}`;
    const held = proxy.leases.get(key) ?? createLease(lease.bucket, pot, row);
    held.granted += given;
    if (pot.rate !== undefined) {
      const part = Math.floor(level === 0 ? (row.level * given) / free : level * given);
      row.level -= part;
      held.levelGranted += part;
    }
    proxy.leases.set(key, held);
  }

  #refuse(asked: Asked, lacking: number, bucket: string): void {
    let others = 0;
    for (const [id, proxy] of this.#proxies) {
      if (id === asked.proxyId) continue;
      const held = proxy.leases.get(`${bucket}@${asked.grant.windowStartMs}`);
      if (held !== undefined) others += held.granted - held.confirmed - held.returned;
    }
    const { grant } = asked;
    const recalls = asked.pot.rate === undefined ? others >= lacking : others > 0;
    grant.refusal = recalls ? LeaseGrant_Refusal.RECALLING : LeaseGrant_Refusal.EXHAUSTED;
    if (recalls) this.onRecall(bucket, asked.proxyId);
  }

  #fill(row: WindowRow, rate: Limit): void {
    const nowMs = this.#clock.now();
    const share = 1_000_000 - row.leased;
    const more = ((nowMs - row.levelAtMs) * share * rate.amount) / rate.periodMs;
    row.level = Math.floor(Math.min(row.level + more, share * rate.burst));
    row.levelAtMs = nowMs;
  }

  #windowOf(pot: PotRow, start: number): WindowRow {
    let row = pot.windows.get(start);
    if (row === undefined) {
      const level = pot.rate === undefined ? 0 : 1_000_000 * pot.rate.burst;
      row = { spent: 0, leased: 0, forfeited: 0, level, levelAtMs: this.#clock.now() };
      pot.windows.set(start, row);
    }
    return row;
  }
}

export interface WindowRow {
  spent: number;
  leased: number;
  forfeited: number;
  level: number;
  levelAtMs: number;
}

interface PotRow {
  ceiling: number;
  readonly windowMs: number;
  readonly windows: Map<number, WindowRow>;
  readonly rate: Limit | undefined;
}

interface LeaseRow {
  readonly bucket: string;
  readonly pot: PotRow;
  readonly row: WindowRow;
  granted: number;
  confirmed: number;
  returned: number;
  levelGranted: number;
  levelReturned: number;
}

interface ProxyRow {
  epoch: number;
  sequence: number;
  leases: Map<string, LeaseRow>;
  readonly frozen: Map<number, Map<string, LeaseRow>>;
}

interface Asked {
  readonly proxyId: string;
  readonly proxy: ProxyRow;
  readonly pot: PotRow;
  readonly row: WindowRow;
  readonly lease: LeaseReport;
  readonly grant: LeaseGrant;
}

function createLease(bucket: string, pot: PotRow, row: WindowRow): LeaseRow {
  const totals = { granted: 0, confirmed: 0, returned: 0, levelGranted: 0, levelReturned: 0 };
  return { bucket, pot, row, ...totals };
}

function createReply(report: QuotaReport, unavailable: string, superseded = false): QuotaReply {
  const { sequence } = report;
  return {
    $typeName: "weir.link.v1.QuotaReply",
    sequence,
    leases: [],
    unavailable,
    superseded,
    suspended: false,
  };
}

/** A grant of nothing. */
export function createTestGrant({ bucket, windowStartMs }: LeaseReport): LeaseGrant {
  return {
    $typeName: "weir.link.v1.LeaseGrant",
    bucket,
    windowStartMs,
    windowEndsInMs: -1n,
    granted: 0n,
    levelGranted: 0n,
    ceiling: 0n,
    remaining: 0n,
    refusal: LeaseGrant_Refusal.UNSPECIFIED,
    recalled: false,
    retryAfterMs: 0n,
    confirmed: 0n,
    returned: 0n,
    levelReturned: 0n,
    spent: 0n,
  };
}
