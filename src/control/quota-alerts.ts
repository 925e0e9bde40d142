import { request } from "undici";
import type { Clock } from "../mesh/clock.ts";
import type { Alert, Delivery } from "../store/alert-operations.ts";
import type { AlertStore } from "../store/store.ts";
import { createAlertMessage, type WebhookSecret } from "./alert-message.ts";
import type { FaultListener } from "./connect-errors.ts";

/** Where a budget says nothing else. */
export const ALERT_PERCENTS: readonly number[] = [50, 80, 100];

const ROUND_MS = 1_000;
/** Deliveries of other control processes, and of earlier starts, are looked for so often. */
const IDLE_ROUNDS = 15;
const AT_ONCE = 16;
/** One who takes longer to answer has not got it. */
const ANSWER_MS = 5_000;
const HOLD_MS = 30_000;
/** The pause after the first failure; doubled with each, up to an hour. */
const RETRY_MS = 5_000;
const RETRY_MS_MAX = 3_600_000;
/** About a day in all. */
const ATTEMPTS_MAX = 30;
/** Buckets whose alerts are remembered, so that the store is not asked for each report. */
const REMEMBERED_MAX = 100_000;

/** What a report has told of one budget. */
export interface BudgetReading {
  readonly bucket: string;
  readonly policy: string;
  readonly subject: string;
  readonly unit: string;
  readonly windowStartMs: number;
  /** Null for never. */
  readonly windowEndMs: number | null;
  readonly ceiling: number;
  /** Spent and forfeited. */
  readonly spent: number;
  /** A request was refused since it did not fit. */
  readonly exhausted: boolean;
  /** At which percentages to tell; empty means the usual ones. */
  readonly percents: readonly number[];
  readonly urls: readonly string[];
}

/** Tells of budgets that are running out, each percentage once a window. */
export interface QuotaAlerts {
  /** Takes readings at once; what they raise is written and sent on its own. */
  note(readings: readonly BudgetReading[]): void;
  readonly counters: AlertCounters;
  close(): void;
}

/** What has happened to deliveries since the process began. */
export interface AlertCounters {
  readonly delivered: number;
  /** Tries that did not arrive. */
  readonly failed: number;
  /** Deliveries that are not tried again. */
  readonly abandoned: number;
}

export interface QuotaAlertsOptions {
  readonly store: AlertStore;
  readonly clock: Clock;
  readonly installationId: string;
  readonly secret: WebhookSecret;
  readonly onFault: FaultListener;
}

export function createQuotaAlerts(options: QuotaAlertsOptions): QuotaAlerts {
  return new Alerts(options);
}

class Alerts implements QuotaAlerts {
  readonly #options: QuotaAlertsOptions;
  /** The highest percentage that was raised, by bucket and window. */
  readonly #raised = new Map<string, number>();
  readonly #stop: () => void;
  #sending = false;
  #round = 0;
  #pending = true;
  #fault = "";
  #delivered = 0;
  #failed = 0;
  #abandoned = 0;

  constructor(options: QuotaAlertsOptions) {
    this.#options = options;
    const timer = options.clock.every(ROUND_MS, () => this.#wake());
    this.#stop = () => timer.cancel();
  }

  get counters(): AlertCounters {
    return { delivered: this.#delivered, failed: this.#failed, abandoned: this.#abandoned };
  }

  note(readings: readonly BudgetReading[]): void {
    const alerts: Alert[] = [];
    const urls: (readonly string[])[] = [];
    for (const reading of readings) {
      for (const alert of this.#listCrossed(reading)) {
        alerts.push(alert);
        urls.push(reading.urls);
      }
    }
    if (alerts.length === 0) return;
    this.#options.store
      .raiseAlerts({ alerts, urls })
      .then(() => {
        this.#pending = true;
        this.#tell("");
      })
      .catch((error: unknown) => {
        // The next report of these buckets raises them again.
        for (const { bucket, windowStartMs } of alerts) {
          this.#raised.delete(`${bucket}|${windowStartMs}`);
        }
        this.#tell(`Alerts cannot be written: ${String(error)}`);
      });
  }

  close(): void {
    this.#stop();
  }

  /** A ceiling of nothing is reached by nothing, and tells nobody anything. */
  #listCrossed(reading: BudgetReading): readonly Alert[] {
    const { percents, urls: _urls, exhausted, ...facts } = reading;
    if (reading.ceiling <= 0) return [];
    const key = `${reading.bucket}|${reading.windowStartMs}`;
    const before = this.#raised.get(key) ?? 0;
    const share = (reading.spent / reading.ceiling) * 100;
    const reached = exhausted ? Math.max(share, 100) : share;
    const crossed = (percents.length === 0 ? ALERT_PERCENTS : percents).filter(
      (percent) => percent > before && percent <= reached,
    );
    if (crossed.length === 0) return [];
    if (this.#raised.size >= REMEMBERED_MAX) this.#raised.clear();
    this.#raised.set(key, Math.max(...crossed));
    const raisedMs = this.#options.clock.wallMs();
    return crossed.map((percent) => ({ ...facts, percent, raisedMs }));
  }

  #wake(): void {
    this.#round += 1;
    if (this.#sending || (!this.#pending && this.#round % IDLE_ROUNDS !== 0)) return;
    this.#sending = true;
    this.#sendDue()
      .then((sent) => {
        this.#pending = sent > 0;
        this.#tell("");
      })
      .catch((error: unknown) => this.#tell(`Alerts cannot be read: ${String(error)}`))
      .finally(() => {
        this.#sending = false;
      });
  }

  async #sendDue(): Promise<number> {
    const { store, clock } = this.#options;
    const due = { nowMs: clock.wallMs(), holdMs: HOLD_MS, limit: AT_ONCE };
    const deliveries = await store.claimDeliveries(due);
    await Promise.all(deliveries.map((delivery) => this.#deliver(delivery)));
    return deliveries.length;
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { store, clock, installationId, secret } = this.#options;
    const nowSeconds = Math.floor(clock.wallMs() / 1000);
    const sender = { installationId, secret, nowSeconds };
    const failure = await post(createAlertMessage(delivery.url, delivery.alert, sender));
    const delivered = failure === "";
    const pauseMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** (delivery.attempts - 1));
    const again = !delivered && delivery.attempts < ATTEMPTS_MAX;
    if (delivered) this.#delivered += 1;
    else this.#failed += 1;
    if (!delivered && !again) this.#abandoned += 1;
    await store.finishDelivery({
      delivery,
      deliveredMs: delivered ? clock.wallMs() : null,
      dueMs: again ? clock.wallMs() + pauseMs : null,
      failure,
    });
  }

  /** Once for a store that is away, however often it is asked. */
  #tell(text: string): void {
    if (text !== "" && text !== this.#fault) this.#options.onFault(text);
    this.#fault = text;
  }
}

/** Why a message did not arrive; empty when it did. Redirects are not followed. */
async function post(message: ReturnType<typeof createAlertMessage>): Promise<string> {
  try {
    const { statusCode, body } = await request(message.url, {
      method: "POST",
      headers: message.headers,
      body: message.body,
      headersTimeout: ANSWER_MS,
      bodyTimeout: ANSWER_MS,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    await body.dump();
    return statusCode >= 200 && statusCode < 300 ? "" : `status ${statusCode}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
