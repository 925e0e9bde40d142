import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { parseMetrics, sumOf } from "../../test/support/parse-metrics.ts";
import { systemClock } from "../mesh/clock.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import type { Hub } from "../mesh/hub.ts";
import { createTimestamp } from "../mesh/record.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { startControl } from "./compose-control.ts";
import { ControlMetrics } from "./compose-control-metrics.ts";

const ADMIN_KEY = `wk_${"a".repeat(40)}`;
const TEAM_KEY = `wk_${"k".repeat(40)}`;

const control = {
  revision: 7,
  quotaCounters: { reports: 5, unavailable: 1, violations: 0 },
  alertCounters: { delivered: 3, failed: 2, abandoned: 1 },
};
const proxy = {
  proxyId: "p",
  version: "",
  listen: "",
  revision: 7,
  connectedWallMs: 0,
  refusedRevision: 0,
  refusal: "",
  faults: [],
};

function open(appendRecords: Hub["appendRecords"], clock = new VirtualClock()) {
  const metrics = new ControlMetrics(clock);
  onTestFinished(() => metrics.close());
  const hub = metrics.watch({
    installationId: "i",
    changeSince: async () => undefined,
    onCommit: () => () => {},
    appendRecords,
  });
  const proxies = [
    proxy,
    { ...proxy, revision: 6, refusedRevision: 7 },
    { ...proxy, revision: 5, faults: ["a fault"] },
  ];
  const port = { connections: () => ({ open: 4, refused: 0, sheds: 0 }) };
  const read = () =>
    parseMetrics(metrics.read({ control, registry: { list: () => proxies }, port }));
  const record = (agoMs: number) =>
    create(RequestRecordSchema, {
      startTime: createTimestamp(clock.wallMs() - agoMs),
      latencyUs: 1_000_000n,
    });
  return { clock, hub, read, record };
}

describe("a control process's metrics", () => {
  it("tell of proxies: joined, behind, refusing, with faults", () => {
    const series = open(async () => {}).read();
    expect(sumOf(series, "weir_policy_revision")).toBe(7);
    expect(sumOf(series, "weir_link_proxies_connected")).toBe(3);
    expect(sumOf(series, "weir_link_proxies_behind")).toBe(2);
    expect(sumOf(series, "weir_link_proxies_refusing")).toBe(1);
    expect(sumOf(series, "weir_link_proxies_faulty")).toBe(1);
  });

  it("carry the counters of quotas, alerts and connections, and of the process", () => {
    const series = open(async () => {}).read();
    expect(sumOf(series, "weir_quota_ledger_reports_total")).toBe(5);
    expect(sumOf(series, "weir_alerts_delivered_total")).toBe(3);
    expect(sumOf(series, "weir_alerts_failed_total")).toBe(2);
    expect(sumOf(series, "weir_alerts_abandoned_total")).toBe(1);
    expect(sumOf(series, "weir_connections_open")).toBe(4);
    expect(sumOf(series, "process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(sumOf(series, "process_start_time_seconds")).toBeGreaterThan(1e9);
  });

  it("count what goes into the ledger, how long that takes, and how late it is", async () => {
    const go = Promise.withResolvers<void>();
    const { clock, hub, read, record } = open(() => go.promise);
    const appending = hub.appendRecords(EncodedBatch.of([record(3_000), record(1_000)]));
    expect(sumOf(read(), "weir_ledger_waiting_records")).toBe(2);
    await clock.advance(500);
    go.resolve();
    await appending;
    const series = read();
    expect(sumOf(series, "weir_ledger_waiting_records")).toBe(0);
    expect(sumOf(series, "weir_ledger_records_total")).toBe(2);
    expect(sumOf(series, "weir_ledger_batches_total")).toBe(1);
    expect(sumOf(series, "weir_ledger_batch_seconds_total")).toBeCloseTo(0.5);
    expect(sumOf(series, "weir_ledger_batch_seconds_max")).toBeCloseTo(0.5);
    // It had ended two seconds before it came.
    expect(sumOf(series, "weir_ledger_lag_seconds")).toBeCloseTo(2.5);
  });

  it("forget the longest batch after 20 s, and not before ten", async () => {
    const { clock, hub, read, record } = open(async () => {});
    await clock.advance(9_000);
    await hub.appendRecords(EncodedBatch.of([record(3_000)]));
    await clock.advance(10_000);
    expect(sumOf(read(), "weir_ledger_lag_seconds")).toBeCloseTo(2);
    await clock.advance(10_000);
    expect(sumOf(read(), "weir_ledger_lag_seconds")).toBe(0);
  });

  it("count batches that the store did not take, and let the link know", async () => {
    const { hub, read, record } = open(() => Promise.reject(new Error("full")));
    await expect(hub.appendRecords(EncodedBatch.of([record(0)]))).rejects.toThrow("full");
    const series = read();
    expect(sumOf(series, "weir_ledger_batches_failed_total")).toBe(1);
    expect(sumOf(series, "weir_ledger_records_total")).toBe(0);
    expect(sumOf(series, "weir_ledger_waiting_records")).toBe(0);
  });
});

async function startTrial(metricsOpen: boolean): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), "weir-control-"));
  const quiet = { info: () => {}, warn: () => {}, error: () => {} };
  const running = await startControl({
    listen: { host: "127.0.0.1", port: 0 },
    tls: undefined,
    dataDir,
    databaseUrl: undefined,
    retainDays: undefined,
    token: "t".repeat(32),
    metricsOpen,
    findEngines: async () => [],
    clock: systemClock,
    env: { WEIR_ADMIN_KEY: ADMIN_KEY, WEIR_BOOTSTRAP_KEY: TEAM_KEY },
    log: quiet,
  });
  onTestFinished(async () => {
    await running.stop();
    rmSync(dataDir, { recursive: true });
  });
  return `http://127.0.0.1:${running.port.port}`;
}

describe("GET /metrics of a control process", () => {
  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

  it("is for keys that read everything", async () => {
    const url = `${await startTrial(false)}/metrics`;
    const answer = await fetch(url, bearer(ADMIN_KEY));
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toContain("version=0.0.4");
    expect(sumOf(parseMetrics(await answer.text()), "weir_policy_revision")).toBe(1);
    for (const [given, status, code] of [
      [{}, 401, "credential_missing"],
      [bearer("wk_unknown"), 401, "credential_unknown"],
      [bearer(TEAM_KEY), 403, "permission_denied"],
    ] as const) {
      const refused = await fetch(url, given);
      expect(refused.status).toBe(status);
      expect(await refused.json()).toMatchObject({ error: { code } });
    }
    expect((await fetch(url, { method: "POST", ...bearer(ADMIN_KEY) })).status).toBe(405);
  });

  it("is for everybody where whoever runs it says so, over HTTP/2 too", async () => {
    const url = await startTrial(true);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    const session = connect(url);
    onTestFinished(() => session.destroy());
    const stream = session.request({ ":path": "/metrics" });
    let text = "";
    for await (const piece of stream) text += piece;
    expect(sumOf(parseMetrics(text), "weir_link_proxies_connected")).toBe(0);
  });
});
