import type { Alert } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { type Clock, pause } from "../mesh/clock.ts";
import { createTimestamp } from "../mesh/record.ts";
import type { AlertState } from "../store/alert-operations.ts";
import type { AlertStore } from "../store/store.ts";
import type { WebhookSecret } from "./alert-message.ts";
import type { Guard, StreamContext } from "./guard.ts";
import { readPageSize } from "./page-token.ts";

/** How often the store is asked for those who tail: alerts of other control processes come too. */
const POLL_MS = 1_000;
const PAGE_MAX = 1_000;
/**
 * Alerts of several processes are not committed in the order of their times: those of the last
 * seconds are looked at again.
 */
const OVERLAP_MS = 10_000;

/** What the RPCs about alerts stand on. */
export interface AlertContext {
  readonly store: AlertStore;
  readonly clock: Clock;
  readonly webhookSecret: WebhookSecret;
}

/** The RPCs about alerts. */
export function createAlertMethods(context: AlertContext, { unary, stream }: Guard) {
  const { store, webhookSecret } = context;
  return {
    listAlerts: unary("ListAlerts", async (_by, r: { policy: string; pageSize: number }) => {
      const limit = readPageSize(r.pageSize, { max: PAGE_MAX, default: 100 });
      const page = { policy: r.policy, afterMs: undefined, limit };
      return { alerts: (await store.listAlerts(page)).map(showAlert) };
    }),
    tailAlerts: stream("TailAlerts", (_by, r: { policy: string }, still) =>
      tail(context, r.policy, still),
    ),
    getWebhookSecret: unary("GetWebhookSecret", async () => ({ secret: webhookSecret.text })),
  };
}

async function* tail(
  { store, clock }: AlertContext,
  policy: string,
  { signal, assertStill }: StreamContext,
): AsyncIterable<{ readonly alert: Alert }> {
  const beganMs = clock.wallMs();
  let told = new Set<string>();
  for (;;) {
    const afterMs = Math.max(beganMs, clock.wallMs() - OVERLAP_MS) - 1;
    const found = await store.listAlerts({ policy, afterMs, limit: PAGE_MAX });
    const names = new Set<string>();
    for (const state of found) {
      const name = `${state.bucket}|${state.windowStartMs}|${state.percent}`;
      names.add(name);
      if (told.has(name)) continue;
      if (signal.aborted) return;
      assertStill();
      yield { alert: showAlert(state) };
    }
    told = names;
    await pause(clock, POLL_MS);
    if (signal.aborted) return;
    assertStill();
  }
}

function showAlert(state: AlertState): Alert {
  return {
    $typeName: "weir.admin.v1.Alert",
    policy: state.policy,
    subject: state.subject,
    unit: state.unit,
    percent: state.percent,
    spent: BigInt(state.spent),
    ceiling: BigInt(state.ceiling),
    windowStartTime: createTimestamp(state.windowStartMs),
    ...(state.windowEndMs === null ? {} : { windowEndTime: createTimestamp(state.windowEndMs) }),
    raiseTime: createTimestamp(state.raisedMs),
    delivered: state.delivered,
    pending: state.pending,
    failed: state.failed,
  };
}
