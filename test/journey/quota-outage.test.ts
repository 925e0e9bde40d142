import { describe, expect, it } from "vitest";
import { noPostgres } from "../support/postgres-server.ts";
import { undergo } from "../support/quota-ordeal.ts";

/** `npm run bench:quota` does the same with a whole dollar, 2,000 clients and a whole minute. */
describe.skipIf(noPostgres)(`a team's money${noPostgres ? ` (${noPostgres})` : ""}`, () => {
  it("is never overspent, and is served from while the store is away and a proxy is killed", async () => {
    const log: string[] = [];
    const { phases, audit, findings } = await undergo({
      proxies: 4,
      clients: 40,
      outageMs: 5_000,
      outage: "freeze",
      warmMs: 1_000,
      spendMs: 30_000,
      ceiling: 60_000_000,
      lateMsMax: 60_000,
      seed: 3,
      shape: { answerMs: [200, 1_200], promptBytes: [150, 400], output: [5, 30], plain: 70 },
      spending: { answerMs: [50, 300], promptBytes: [2_000, 8_000], output: [5, 60], plain: 70 },
      log: (text) => log.push(text),
    });
    expect(findings, log.join("\n")).toEqual([]);
    const outage = phases.find(({ name }) => name === "outage");
    expect(outage?.steady.served).toBeGreaterThan(0);
    expect(outage?.steady.unproven).toBe(0);
    expect(outage?.killed.lost).toBeGreaterThan(0);
    expect(audit.billed).toBeLessThanOrEqual(audit.ceiling);
    expect(audit.sums.spent).toBeGreaterThan(0.99 * (audit.ceiling - audit.sums.forfeited));
  });
});
