import { describe } from "vitest";
import { describeQuotaBudgets } from "./quota-budgets.ts";
import { describeQuotaCrashes } from "./quota-crashes.ts";
import { describeQuotaDepartures } from "./quota-departures.ts";
import { describeQuotaRates } from "./quota-rates.ts";
import { describeQuotaRecalls } from "./quota-recalls.ts";
import { describeQuotaTogether } from "./quota-together.ts";
import type { StoreFixture } from "./store-contract.ts";

/** What every engine must do for quotas. */
export function runQuotaContract(name: string, createFixture: () => Promise<StoreFixture>): void {
  describe(`quota on ${name}`, () => {
    describeQuotaBudgets(createFixture);
    describeQuotaCrashes(createFixture);
    describeQuotaDepartures(createFixture);
    describeQuotaRecalls(createFixture);
    describeQuotaRates(createFixture);
    describeQuotaTogether(createFixture);
  });
}
