import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseMetrics, sumOf } from "../../test/support/parse-metrics.ts";
import { createMetric, formatMetrics } from "./metrics.ts";
import { ProcessHealth } from "./process-health.ts";
import { Tally } from "./tally.ts";

describe("formatMetrics()", () => {
  it("says what each metric is, and whose", () => {
    const text = formatMetrics([createMetric("counter", "a_total", "What\nit is.", 3)], { p: "x" });
    expect(text).toBe('# HELP a_total What\\nit is.\n# TYPE a_total counter\na_total{p="x"} 3\n');
  });

  it("is read back as it was, whatever stands in labels", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.double(), (word, value) => {
        const samples = [{ labels: { word }, value }];
        const metric = { ...createMetric("gauge", "m", "", 0), samples };
        const [read] = parseMetrics(formatMetrics([metric], {}));
        expect(read?.labels).toEqual({ word });
        expect(read?.value).toBe(value + 0);
      }),
    );
  });
});

describe("a tally", () => {
  it("counts pairs", () => {
    const tally = new Tally();
    for (const second of ["x", "y", "x"]) tally.add("a", second);
    expect(tally.samples("first", "second")).toEqual([
      { labels: { first: "a", second: "x" }, value: 2 },
      { labels: { first: "a", second: "y" }, value: 1 },
    ]);
  });

  it("has an end, and loses nothing", () => {
    const tally = new Tally();
    for (let i = 0; i < 12_000; i++) tally.add("a", String(i));
    const samples = tally.samples("first", "second");
    expect(samples.length).toBeLessThanOrEqual(10_001);
    expect(samples.reduce((sum, { value }) => sum + value, 0)).toBe(12_000);
  });
});

describe("the health of a process", () => {
  it("is told before and after the first turn", () => {
    const health = new ProcessHealth();
    const read = () => parseMetrics(formatMetrics(health.metrics(), {}));
    expect(sumOf(read(), "weir_event_loop_delay_seconds")).toBe(0);
    health.turn();
    const series = read();
    expect(series.filter(({ name }) => name === "weir_event_loop_delay_seconds")).toHaveLength(3);
    for (const { value } of series) expect(value).toBeGreaterThanOrEqual(0);
    expect(sumOf(series, "process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
    health.close();
  });
});
