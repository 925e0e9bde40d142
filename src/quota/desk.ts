import type { Clock } from "../mesh/clock.ts";
import type { Account } from "./account.ts";
import type { QuotaCounters } from "./counters.ts";
import type { OpenList } from "./open-list.ts";
import type { Pot } from "./pot.ts";

/** What those who take and give back have in common. */
export interface Desk {
  readonly clock: Clock;
  readonly counters: QuotaCounters;
  readonly open: OpenList;
  /** The ledger is to hear of it with the next report. */
  changed(pot: Pot): void;
  /** More is asked for at once. */
  low(pot: Pot): void;
  /** Something came back, and somebody waits. */
  freed(pot: Pot): void;
  /** Something is to go back to the ledger at once. */
  returned(pot: Pot): void;
  /** More was used than was taken: the disk is told. */
  overran(account: Account): void;
  /** The ledger knows all of a lease that is empty: a crash costs nothing of it. */
  forgot(account: Account): void;
}
