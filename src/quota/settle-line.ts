import type { Account } from "./account.ts";
import type { Desk } from "./desk.ts";

/** One account's part of what was taken. */
export interface Line {
  readonly account: Account;
  readonly reserved: number;
  readonly spent: number;
  /** As Account.reserve() returned it. */
  readonly mark: number;
}

/**
 * Ends one account's part: books what is spent; the rest stays here, or goes where it is awaited.
 */
export function settleLine(desk: Desk, line: Line, nowMs: number): void {
  const { account, reserved, spent } = line;
  const { pot } = account;
  account.settle(reserved, spent, line.mark, nowMs);
  account.dirty = true;
  pot.demand.spent += spent;
  pot.demand.usedAtMs = nowMs;
  if (spent > reserved) desk.overran(account);
  if (!pot.queued) desk.changed(pot);
  if (pot.waiters.size > 0) desk.freed(pot);
  // Of a window that is over, or of what others wait for, nothing is kept.
  if (account.rate !== undefined || account.available <= 0) return;
  if (account !== pot.current || nowMs < account.recalledUntilMs) {
    account.giveBack(account.available, nowMs);
    desk.returned(pot);
  }
}
