import type {
  GetQuotaStatusResponse_Bucket,
  GetQuotaStatusResponse_Lease,
} from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { formatAmount } from "./amount.ts";
import { formatTime } from "./quantities.ts";
import { formatTable } from "./table.ts";

/** A bucket, or a policy that has none yet since nothing was asked of it. */
export type QuotaRow = GetQuotaStatusResponse_Bucket | { readonly policy: string };

/** What there is of each bucket, where it is, and when it begins anew. */
export function formatQuota(rows: readonly QuotaRow[]): string {
  const columns = [
    { title: "POLICY" },
    { title: "WHOSE" },
    { title: "CEILING", right: true },
    { title: "SPENT", right: true },
    { title: "HELD", right: true },
    { title: "LOST", right: true },
    { title: "OVER", right: true },
    { title: "LEFT", right: true },
    { title: "RESETS (UTC)" },
    { title: "HELD BY" },
  ];
  return formatTable(columns, rows.map(formatRow));
}

function formatRow(row: QuotaRow): string[] {
  if (!("bucket" in row)) return [row.policy, "nothing was asked yet"];
  const say = (amount: bigint) => (amount === 0n ? "-" : formatAmount(amount, row.unit));
  return [
    row.gone ? `${row.policy} (gone)` : row.policy,
    row.subject || "all",
    formatAmount(row.ceiling, row.unit),
    say(row.spent),
    say(row.leased),
    say(row.forfeited),
    say(row.overhang),
    formatAmount(row.remaining, row.unit),
    formatTime(row.resetTime),
    row.leases.map((lease) => formatLease(lease, row.unit)).join(", ") || "-",
  ];
}

function formatLease(lease: GetQuotaStatusResponse_Lease, unit: string): string {
  const frozen = lease.frozen ? " (until it is back)" : "";
  return `${lease.proxyId}: ${formatAmount(lease.held, unit)}${frozen}`;
}
