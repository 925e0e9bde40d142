import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/store/alert-operations.ts";
import type { StoreFixture } from "./store-contract.ts";
import { useStore } from "./use-store.ts";

export function describeAlerts(createFixture: () => Promise<StoreFixture>): void {
  describe("alerts", () => {
    const store = useStore(createFixture);

    it("are raised once a bucket, window and percentage", async () => {
      const alerts = [createAlert("once", 50), createAlert("once", 80)];
      const urls = [["https://a"], ["https://a", "https://a"]];
      expect(await store().raiseAlerts({ alerts, urls })).toEqual(alerts);
      const next = createAlert("once", 50, { windowStartMs: 1_000, windowEndMs: null });
      const again = { alerts: [...alerts, next], urls: [...urls, []] };
      expect(await store().raiseAlerts(again)).toEqual([next]);
      const listed = await store().listAlerts({
        policy: "policies/once",
        afterMs: undefined,
        limit: 10,
      });
      expect(listed).toHaveLength(3);
      expect(listed.find(({ percent }) => percent === 80)).toEqual({
        ...alerts[1],
        ...{ delivered: 0, pending: 1, failed: 0 },
      });
    });

    it("go to one of those who claim them at the same time, and come back when it fails", async () => {
      const alert = createAlert("claim", 50, { raisedMs: 5_000 });
      await store().raiseAlerts({ alerts: [alert], urls: [["https://b"]] });
      const claim = (nowMs: number) =>
        store().claimDeliveries({ nowMs, holdMs: 30_000, limit: 100 });
      expect(await claim(4_999)).not.toContainEqual(expect.objectContaining({ alert }));
      const claims = await Promise.all(Array.from({ length: 4 }, () => claim(5_000)));
      const mine = claims.flat().filter((each) => each.alert.bucket === alert.bucket);
      expect(mine).toEqual([{ alert, url: "https://b", attempts: 1 }]);
      const [delivery] = mine;
      if (delivery === undefined) throw new Error("nothing was claimed");
      const failed = { delivery, deliveredMs: null, dueMs: 9_000, failure: "status 500" };
      await store().finishDelivery(failed);
      const [again] = (await claim(9_000)).filter((each) => each.alert.bucket === alert.bucket);
      expect(again?.attempts).toBe(2);
      await store().finishDelivery({ delivery, deliveredMs: 9_100, dueMs: null, failure: "" });
      const later = await claim(1_000_000_000);
      expect(later.filter((each) => each.alert.bucket === alert.bucket)).toEqual([]);
      const [listed] = await store().listAlerts({
        policy: "policies/claim",
        afterMs: 4_999,
        limit: 1,
      });
      expect(listed).toMatchObject({ delivered: 1, pending: 0, failed: 0 });
    });

    it("that whoever claimed them forgets are due again after a while", async () => {
      const alert = createAlert("forgotten", 100, { raisedMs: 10 });
      await store().raiseAlerts({ alerts: [alert], urls: [["https://c"]] });
      const claim = async (nowMs: number) => {
        const claimed = await store().claimDeliveries({ nowMs, holdMs: 50, limit: 100 });
        return claimed.filter((each) => each.alert.bucket === alert.bucket).length;
      };
      expect([await claim(10), await claim(59), await claim(60)]).toEqual([1, 0, 1]);
    });
  });
}

function createAlert(name: string, percent: number, more: Partial<Alert> = {}): Alert {
  return {
    bucket: `policies/${name}|nano_usd:month@UTC|teams/a`,
    windowStartMs: 0,
    windowEndMs: 2_678_400_000,
    percent,
    policy: `policies/${name}`,
    subject: "teams/a",
    unit: "nano_usd",
    ceiling: 9_000_000_000_000_000,
    spent: 4_600_000_000_000_000,
    raisedMs: 7,
    ...more,
  };
}
