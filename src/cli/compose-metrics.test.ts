import { create } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { parseMetrics, sumOf } from "../../test/support/parse-metrics.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createCounters } from "../quota/counters.ts";
import { Breakers } from "../routing/breaker.ts";
import { ProxyMetrics } from "./compose-metrics.ts";
import { runCommand } from "./run-command.fixture.ts";

const clock = new VirtualClock();
const counts = { pendingBytes: 12, memoryBytes: 0, late: 1, dropped: 0, damagedBytes: 0 };

function open() {
  const counters = createCounters();
  const journal = { counts: () => counts };
  const metrics = new ProxyMetrics({ proxyId: 'a "proxy"', clock }, journal, counters);
  onTestFinished(() => metrics.close());
  const breakers = new Breakers(clock);
  const read = () => parseMetrics(metrics.read(breakers, 7));
  return { counters, metrics, breakers, read };
}

describe("a proxy's metrics", () => {
  it("count requests and attempts by how they ended", () => {
    const { metrics, read } = open();
    const attempts = [
      { provider: "providers/p", errorReason: "UPSTREAM_FAILED" },
      { provider: "providers/q" },
    ];
    metrics.count(create(RequestRecordSchema, { door: "grpc", attempts }));
    metrics.count(create(RequestRecordSchema, { door: "grpc", errorReason: "RATE_LIMITED" }));
    metrics.refused("CREDENTIAL_UNKNOWN");
    const series = read();
    expect(sumOf(series, "weir_requests_total", { door: "grpc", reason: "OK" })).toBe(1);
    expect(sumOf(series, "weir_requests_total", { reason: "RATE_LIMITED" })).toBe(1);
    expect(sumOf(series, "weir_requests_refused_total")).toBe(1);
    const attempted = (labels: Record<string, string>) =>
      sumOf(series, "weir_upstream_attempts_total", labels);
    expect(attempted({ provider: "p", outcome: "UPSTREAM_FAILED" })).toBe(1);
    expect(attempted({ provider: "q", outcome: "OK" })).toBe(1);
  });

  it("count connections, once the port is open", () => {
    const { metrics, read } = open();
    expect(sumOf(read(), "weir_connections_open")).toBe(0);
    metrics.watch({ connections: () => ({ open: 3, refused: 2, sheds: 1 }) });
    const series = read();
    expect(sumOf(series, "weir_connections_open")).toBe(3);
    expect(sumOf(series, "weir_connections_refused_total")).toBe(2);
    expect(sumOf(series, "weir_connections_sheds_total")).toBe(1);
  });

  it("tell which targets are ejected", () => {
    const { breakers, read } = open();
    breakers.of("p/some/model").fail(true);
    breakers.of("q/m").succeed();
    const series = read();
    expect(sumOf(series, "weir_breaker_open", { provider: "p", model: "some/model" })).toBe(1);
    expect(sumOf(series, "weir_breaker_open", { provider: "q", model: "m" })).toBe(0);
  });

  it("carry the proxy's name, the quota room's counters and the journal's", () => {
    const { counters, read } = open();
    counters.reserved = 5;
    counters.denied.BUDGET_EXHAUSTED = 2;
    counters.unsound = 1;
    const series = read();
    for (const { labels } of series) expect(labels.proxy).toBe('a "proxy"');
    expect(sumOf(series, "weir_quota_reserved_total")).toBe(5);
    expect(sumOf(series, "weir_quota_denied_total", { reason: "BUDGET_EXHAUSTED" })).toBe(2);
    expect(sumOf(series, "weir_quota_invariant_violations")).toBe(1);
    expect(sumOf(series, "weir_journal_pending_bytes")).toBe(12);
    expect(sumOf(series, "weir_policy_revision")).toBe(7);
  });
});

describe("WEIR_MAX_CONNECTIONS", () => {
  for (const name of ["serve", "proxy"]) {
    it(`is a number of connections, for weir ${name}`, async () => {
      const env = {
        WEIR_MAX_CONNECTIONS: "0",
        WEIR_CONTROL: "h:1",
        WEIR_LINK_TOKEN: "x".repeat(32),
      };
      const { code, err } = await runCommand([name], env);
      expect([code, err]).toEqual([2, expect.stringContaining("--max-connections")]);
    });
  }
});

describe("WEIR_METRICS_OPEN", () => {
  for (const name of ["serve", "proxy"]) {
    it(`is true or false, for weir ${name}`, async () => {
      const env = {
        WEIR_METRICS_OPEN: "maybe",
        WEIR_CONTROL: "h:1",
        WEIR_LINK_TOKEN: "x".repeat(32),
      };
      const { code, err } = await runCommand([name], env);
      expect([code, err]).toEqual([2, expect.stringContaining("write true or false")]);
    });
  }
});
