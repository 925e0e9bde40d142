import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Port } from "../ingress/port.ts";
import type { Journal } from "../link/journal.ts";
import type { Clock } from "../mesh/clock.ts";
import type { QuotaCounters } from "../quota/counters.ts";
import type { Breakers } from "../routing/breaker.ts";
import { createMetric, formatMetrics, type Metric } from "../telemetry/metrics.ts";
import { ProcessHealth } from "../telemetry/process-health.ts";
import { Tally } from "../telemetry/tally.ts";
import { listConnections } from "./connection-metrics.ts";

const TURN_MS = 10_000;
const GOOD = "OK";

/** Whose metrics they are. */
export interface MetricOwner {
  readonly proxyId: string;
  readonly clock: Clock;
}

type CountedPort = Pick<Port, "connections">;
type CountedJournal = Pick<Journal, "counts">;

/** What a proxy counts, and what Prometheus reads of it. */
export class ProxyMetrics {
  readonly #proxyId: string;
  readonly #journal: CountedJournal;
  readonly #counters: QuotaCounters;
  readonly #health = new ProcessHealth();
  readonly #turning: { cancel(): void };
  readonly #requests = new Tally();
  readonly #refused = new Map<string, number>();
  readonly #attempts = new Tally();
  #port: CountedPort | undefined;

  constructor(owner: MetricOwner, journal: CountedJournal, counters: QuotaCounters) {
    this.#proxyId = owner.proxyId;
    this.#journal = journal;
    this.#counters = counters;
    this.#turning = owner.clock.every(TURN_MS, () => this.#health.turn());
  }

  /** The port that clients call, once it is open. */
  watch(port: CountedPort): void {
    this.#port = port;
  }

  /** A request has left its record. */
  count(record: RequestRecord): void {
    this.#requests.add(record.door, record.errorReason || GOOD);
    for (const { provider, errorReason } of record.attempts) {
      this.#attempts.add(provider, errorReason || GOOD);
    }
  }

  /** A request was refused and left none. */
  refused(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  read(breakers: Breakers, revision: number): string {
    const metrics = [
      ...this.#listRequests(),
      listBreakers(breakers),
      ...listQuota(this.#counters),
      ...listJournal(this.#journal),
      ...listConnections(this.#port),
      createMetric("gauge", "weir_policy_revision", "Revision that is served by.", revision),
      ...this.#health.metrics(),
    ];
    return formatMetrics(metrics, { proxy: this.#proxyId });
  }

  close(): void {
    this.#turning.cancel();
    this.#health.close();
  }

  #listRequests(): Metric[] {
    const attempts = this.#attempts.samples("provider", "outcome").map(({ labels, value }) => ({
      labels: { ...labels, provider: shorten(labels.provider ?? "") },
      value,
    }));
    return [
      {
        name: "weir_requests_total",
        help: "Requests that left a record, by door and by the reason of their error.",
        type: "counter",
        samples: this.#requests.samples("door", "reason"),
      },
      {
        name: "weir_requests_refused_total",
        help: "Requests that were refused before they could leave a record, by reason.",
        type: "counter",
        samples: [...this.#refused].map(([reason, value]) => ({ labels: { reason }, value })),
      },
      {
        name: "weir_upstream_attempts_total",
        help: "Attempts at providers, by how they ended.",
        type: "counter",
        samples: attempts,
      },
    ];
  }
}

function listBreakers(breakers: Breakers): Metric {
  const samples = [...breakers.all()].map(([id, { state }]) => {
    const slash = id.indexOf("/");
    const labels = { provider: id.slice(0, slash), model: id.slice(slash + 1) };
    return { labels, value: state === "closed" ? 0 : 1 };
  });
  return {
    name: "weir_breaker_open",
    help: "1 while a target is ejected because it failed, by provider and upstream model.",
    type: "gauge",
    samples,
  };
}

function listQuota(counters: QuotaCounters): Metric[] {
  const count = (name: string, help: string, value: number) =>
    createMetric("counter", `weir_quota_${name}`, help, value);
  const denied = Object.entries(counters.denied);
  return [
    count("reserved_total", "Attempts that took what they might cost.", counters.reserved),
    count("settled_total", "Attempts that were charged.", counters.settled),
    count("released_total", "Attempts that got everything back.", counters.released),
    count("overrun_total", "Times that more was used than was taken.", counters.overrun),
    count(
      "forfeited_total",
      "Leases of which a crash may have cost something until their window ends.",
      counters.forfeited,
    ),
    count("leaked_total", "Reservations that nobody ended.", counters.leaked),
    count("unproven_total", "Attempts that passed without proof.", counters.unproven),
    count("clamped_total", "Attempts whose output limit was lowered.", counters.clamped),
    count("waited_total", "Attempts that waited for the ledger.", counters.waited),
    {
      name: "weir_quota_denied_total",
      help: "Attempts that a limit refused, by reason.",
      type: "counter",
      samples: denied.map(([reason, value]) => ({ labels: { reason }, value })),
    },
    count(
      "invariant_violations",
      "Times that the sums of leases did not come out; must stay 0.",
      counters.unsound,
    ),
  ];
}

function listJournal(journal: CountedJournal): Metric[] {
  const { pendingBytes, late, dropped } = journal.counts();
  const name = "weir_journal";
  return [
    createMetric(
      "gauge",
      `${name}_pending_bytes`,
      "Records that the ledger has not confirmed.",
      pendingBytes,
    ),
    createMetric("counter", `${name}_late_total`, "Records answered for before the disk.", late),
    createMetric("counter", `${name}_dropped_total`, "Records that were lost.", dropped),
  ];
}

function shorten(provider: string): string {
  return provider.replace(/^providers\//, "");
}
