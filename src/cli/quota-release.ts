import type { ReleaseQuotaResponse_Lease } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { WeirAdminClient } from "../client/admin.ts";
import { formatAmount } from "./amount.ts";
import { print, printNote } from "./output.ts";
import { formatTime } from "./quantities.ts";
import { formatTable } from "./table.ts";

/** `weir quota release`: takes away what a proxy holds that will not come back. */
export async function releaseProxy(
  admin: WeirAdminClient["admin"],
  proxyId: string,
  force: boolean,
): Promise<number> {
  const { leases, leaseCount, reportTime } = await admin.releaseQuota({ proxyId, force });
  const last = reportTime === undefined ? "never" : `last at ${formatTime(reportTime)} UTC`;
  if (leaseCount === 0n) {
    print(`${proxyId} held nothing. It reported ${last}.`);
    return 0;
  }
  const columns = [
    { title: "POLICY" },
    { title: "WHOSE" },
    { title: "LOST", right: true },
    { title: "FREE AGAIN", right: true },
  ];
  print(formatTable(columns, leases.map(formatRow)));
  const more = leaseCount - BigInt(leases.length);
  if (more > 0n) printNote(`${more} more were released.`);
  printNote(
    `${proxyId} reported ${last}. What is lost counts as spent until its window ends. Should the ` +
      "proxy still run, it admits nothing that is limited until it is started again.",
  );
  return 0;
}

function formatRow(lease: ReleaseQuotaResponse_Lease): string[] {
  const say = (amount: bigint) => (amount === 0n ? "-" : formatAmount(amount, lease.unit));
  return [lease.policy, lease.subject || "all", say(lease.forfeited), say(lease.returned)];
}
