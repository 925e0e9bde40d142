import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Control } from "../control/control.ts";
import type { Port } from "../ingress/port.ts";
import type { Clock } from "../mesh/clock.ts";
import type { EncodedBatch } from "../mesh/encoded-batch.ts";
import type { Hub, ProxyRegistry } from "../mesh/hub.ts";
import { createMetric, formatMetrics, type Metric } from "../telemetry/metrics.ts";
import { ProcessHealth } from "../telemetry/process-health.ts";
import { listConnections } from "./connection-metrics.ts";

const TURN_MS = 10_000;

/** Whose metrics they are. */
export interface ControlMetricSources {
  readonly control: Pick<Control, "quotaCounters" | "alertCounters" | "revision">;
  readonly registry: Pick<ProxyRegistry, "list">;
  readonly port: Pick<Port, "connections">;
}

/** What a control process counts, and what Prometheus reads of it. */
export class ControlMetrics {
  readonly #clock: Clock;
  readonly #health = new ProcessHealth();
  readonly #turning: { cancel(): void };
  #records = 0;
  #batches = 0;
  #failed = 0;
  #seconds = 0;
  #waiting = 0;
  /** Of this stretch of time, and of the one before, which is told. */
  #longest = new Longest();
  #told = new Longest();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turning = clock.every(TURN_MS, () => {
      this.#health.turn();
      this.#told = this.#longest;
      this.#longest = new Longest();
    });
  }

  /** The hub, with an eye on what it takes into the ledger. */
  watch(hub: Hub): Hub {
    return { ...hub, appendRecords: (records) => this.#append(hub, records) };
  }

  read(sources: ControlMetricSources): string {
    const { control, port } = sources;
    return formatMetrics(
      [
        createMetric(
          "gauge",
          "weir_policy_revision",
          "Revision that this process publishes.",
          control.revision,
        ),
        ...listProxies(sources),
        ...this.#listIntake(),
        ...listQuota(control.quotaCounters),
        ...listAlerts(control.alertCounters),
        ...listConnections(port),
        ...this.#health.metrics(),
      ],
      {},
    );
  }

  close(): void {
    this.#turning.cancel();
    this.#health.close();
  }

  async #append(hub: Hub, records: EncodedBatch): Promise<void> {
    const startMs = this.#clock.now();
    this.#waiting += records.length;
    try {
      await hub.appendRecords(records);
      this.#records += records.length;
      const oldest = records.first();
      if (oldest !== undefined) {
        this.#longest.note("lag", (this.#clock.wallMs() - findEnd(oldest)) / 1000);
      }
    } catch (error) {
      this.#failed += 1;
      throw error;
    } finally {
      const seconds = (this.#clock.now() - startMs) / 1000;
      this.#waiting -= records.length;
      this.#batches += 1;
      this.#seconds += seconds;
      this.#longest.note("append", seconds);
    }
  }

  #listIntake(): Metric[] {
    const name = (what: string) => `weir_ledger_${what}`;
    const count = (what: string, help: string, value: number) =>
      createMetric("counter", name(what), help, value);
    const gauge = (what: string, help: string, value: number) =>
      createMetric("gauge", name(what), help, value);
    // A batch that is told of once the stretch is over may be asked for before that.
    const now = (what: "lag" | "append") => Math.max(this.#told[what], this.#longest[what]);
    return [
      count("records_total", "Records of requests that the store has taken.", this.#records),
      count("batches_total", "Batches of records that were given to the store.", this.#batches),
      count("batches_failed_total", "Batches that the store did not take.", this.#failed),
      count(
        "batch_seconds_total",
        "From the arrival of a batch to its commit, for all of them; by their number, the latency.",
        this.#seconds,
      ),
      gauge("batch_seconds_max", "The longest batch of the last ten to 20 s.", now("append")),
      gauge("waiting_records", "Records that the store has and has not confirmed.", this.#waiting),
      gauge(
        "lag_seconds",
        "From the end of a request to its record in the store, at most in the last ten to 20 s.",
        now("lag"),
      ),
    ];
  }
}

/** The longest times of a stretch, in seconds. */
class Longest {
  lag = 0;
  append = 0;

  note(what: "lag" | "append", seconds: number): void {
    this[what] = Math.max(this[what], seconds);
  }
}

/** When a request was over, in milliseconds since 1970. */
function findEnd({ startTime, latencyUs }: RequestRecord): number {
  if (startTime === undefined) return 0;
  return Number(startTime.seconds) * 1000 + startTime.nanos / 1e6 + Number(latencyUs) / 1000;
}

function listProxies({ control, registry }: ControlMetricSources): Metric[] {
  const proxies = registry.list();
  const gauge = (what: string, help: string, value: number) =>
    createMetric("gauge", `weir_link_proxies_${what}`, help, value);
  const behind = proxies.filter(({ revision }) => revision < control.revision);
  const refusing = behind.filter(({ refusedRevision }) => refusedRevision >= control.revision);
  const faulty = proxies.filter(({ faults }) => faults.length > 0);
  return [
    gauge("connected", "Proxies that are joined to this process.", proxies.length),
    gauge("behind", "Of these, those that have not confirmed the revision.", behind.length),
    gauge("refusing", "Of these, those that have refused it.", refusing.length),
    gauge("faulty", "Proxies that cannot use some provider.", faulty.length),
  ];
}

function listQuota({ reports, unavailable, violations }: Control["quotaCounters"]): Metric[] {
  const count = (what: string, help: string, value: number) =>
    createMetric("counter", `weir_quota_ledger_${what}_total`, help, value);
  return [
    count("reports", "Reports of proxies on their leases.", reports),
    count("unavailable", "Reports that the ledger did not answer in time.", unavailable),
    count("violations", "Sums that did not add up; must stay 0.", violations),
  ];
}

function listAlerts({ delivered, failed, abandoned }: Control["alertCounters"]): Metric[] {
  const count = (what: string, help: string, value: number) =>
    createMetric("counter", `weir_alerts_${what}_total`, help, value);
  return [
    count("delivered", "Alerts that a webhook has taken.", delivered),
    count("failed", "Tries at which a webhook did not take an alert.", failed),
    count("abandoned", "Alerts that were tried for the last time, in vain.", abandoned),
  ];
}
