import type { QuotaBook } from "./quota-book.ts";
import { ANSWER_MS } from "./quota-holders.ts";
import type { QuotaReportInput } from "./quota-report.ts";
import type { BucketRow } from "./quota-rows.ts";

/**
 * Others hold what one proxy needs: they are asked for it, and it alone collects, so that two that
 * need a little more do not keep each other waiting, and nobody snatches away what comes back.
 */
export function askOthers(
  book: QuotaBook,
  row: BucketRow,
  { proxyId, atMs }: Pick<QuotaReportInput, "proxyId" | "atMs">,
  need: number,
): void {
  if (row.recallFor !== proxyId || atMs - row.recallAskedMs > SERIES_MS) row.recallSinceMs = atMs;
  row.recallFor = proxyId;
  row.recallNeed = need;
  row.recallAskedMs = Math.max(row.recallAskedMs, atMs);
  book.change(row);
}

/** True while another proxy collects. One that no longer asks has lost its turn. */
export function hasOtherRight(
  row: BucketRow,
  { proxyId, atMs }: Pick<QuotaReportInput, "proxyId" | "atMs">,
): boolean {
  if (row.recallFor === "" || row.recallFor === proxyId) return false;
  return atMs - row.recallAskedMs < TURN_MS;
}

/**
 * The proxy has what it needed, or cannot have it. A recall that ends before all can have heard of
 * it says nothing about those who gave nothing back.
 */
export function releaseRight(
  book: QuotaBook,
  row: BucketRow,
  { proxyId, atMs }: Pick<QuotaReportInput, "proxyId" | "atMs">,
): void {
  if (row.recallFor !== proxyId) return;
  row.recallFor = "";
  row.recallNeed = 0;
  if (atMs - row.recallSinceMs <= ANSWER_MS) row.recallSinceMs = 0;
  book.change(row);
}

/** For a while after a recall everybody holds only what they need. */
export function isScarce(row: BucketRow, atMs: number): boolean {
  return row.recallAskedMs > 0 && atMs - row.recallAskedMs < RECALL_MS;
}

/** How long a recall goes on after it was last asked for. */
export const RECALL_MS = 10_000;
const TURN_MS = 300;
const SERIES_MS = 2000;
