import { parseBucket } from "../mesh/limit.ts";
import type { QuotaReportInput } from "./quota-report.ts";
import { readByKeys } from "./quota-rows.ts";
import { readInteger, readText, type SqlSession } from "./sql-session.ts";

/**
 * Buckets that a report asks for and that shall not be opened. Values of labels are the callers' to
 * choose: a policy that has a pot for each gets so many pots, and those that are there stay.
 */
export async function findRefused(
  session: SqlSession,
  { leases, terms }: QuotaReportInput,
  potsMax = POTS_MAX,
): Promise<ReadonlySet<string>> {
  const asked = new Map<string, string>();
  for (const { bucket, windowStartMs } of leases) {
    const { policy, subject } = parseBucket(bucket) ?? { policy: "", subject: "" };
    const opens = windowStartMs === -1 && terms.has(bucket) && LABEL_POT.test(subject);
    if (opens) asked.set(bucket, policy);
  }
  const refused = new Set<string>();
  if (asked.size === 0) return refused;
  const known = await readByKeys(
    [...asked.keys()].map((bucket) => [bucket]),
    async (where, values) =>
      session.rows(`SELECT bucket FROM quota_buckets WHERE ${where}`, values),
    ([bucket]) => `bucket = ${bucket}`,
  );
  for (const row of known) asked.delete(readText(row, "bucket"));
  const room = new Map<string, number>();
  for (const [bucket, policy] of asked) {
    const left = room.get(policy) ?? potsMax - (await countPots(session, policy));
    room.set(policy, left - 1);
    if (left <= 0) refused.add(bucket);
  }
  return refused;
}

async function countPots(session: SqlSession, policy: string): Promise<number> {
  const [row] = await session.rows("SELECT COUNT(*) AS pots FROM quota_buckets WHERE policy = $1", [
    policy,
  ]);
  return row === undefined ? 0 : readInteger(row, "pots");
}

/** Other subjects are names of resources, and as many as those who administer have made. */
const LABEL_POT = /^[a-z0-9_.-]{1,63}=/;

/** Of each policy: more than anybody has projects or customers. */
const POTS_MAX = 50_000;
