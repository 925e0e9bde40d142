import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import {
  type GetQuotaStatusResponse,
  GetQuotaStatusResponseSchema,
} from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { WeirAdminClient } from "../client/admin.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { print, printJson, printNote } from "./output.ts";
import { formatTime } from "./quantities.ts";
import { releaseProxy } from "./quota-release.ts";
import { formatQuota, type QuotaRow } from "./quota-table.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

type Admin = WeirAdminClient["admin"];

const PAGE_SIZE = 1_000;
/** Asked for at the same time, of the policies of a list. */
const TOGETHER = 8;

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  force: {
    value: undefined,
    help: "release what a proxy holds although it is connected",
  },
  limit: {
    value: "N",
    help: "how many policies at most without a NAME, 1 to 10000; default 100",
    short: "n",
  },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  force: z.boolean().default(false),
  limit: z.coerce.number().int().min(1).max(10_000).default(100),
});

/**
 * `weir quota`: what there is of limits, who holds it, how to go on after a suspension, and how to
 * get back what a proxy holds that is gone.
 */
export const command: Command = {
  name: "quota",
  summary:
    "Show what is spent, held and left of limits; resume a suspended ledger; release a lost proxy.",
  synopsis: `[POLICY | TEAM | USER | KEY] [-n N]
       weir quota resume
       weir quota release PROXY [--force]`,
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const [name, ...rest] = positionals;
    if (name === "release") {
      const [proxyId, ...others] = rest;
      if (proxyId === undefined || others.length > 0) {
        throw new UsageError("write the one proxy to release, as `weir quota` shows it");
      }
      return withAdmin("quota", given, ({ admin }) => releaseProxy(admin, proxyId, given.force));
    }
    if (given.force) throw new UsageError("--force is for `weir quota release PROXY`");
    if (rest.length > 0) throw new UsageError("write one name, such as policies/NAME, or none");
    if (name !== undefined && name !== "resume" && !name.includes("/")) {
      const forms = "policies/…, teams/…, users/… or teams/…/keys/…";
      throw new UsageError(`"${name}" is no full name: write ${forms}`);
    }
    return withAdmin("quota", given, async ({ admin }) => {
      if (name === "resume") return resume(admin);
      const found =
        name === undefined ? await readAll(admin, given.limit) : await readOne(admin, name);
      show(found, given.output);
      return 0;
    });
  },
};

interface Found {
  readonly rows: readonly QuotaRow[];
  readonly status: GetQuotaStatusResponse;
  /** What is not shown, and how to see it; empty when all is. */
  readonly hidden: string;
}

async function resume(admin: Admin): Promise<number> {
  const { suspendedReason } = await admin.resumeQuota({});
  const was =
    suspendedReason === "" ? "The ledger was granting already." : "The ledger grants again.";
  print(suspendedReason === "" ? was : `${was} It had stopped: ${suspendedReason}`);
  return 0;
}

async function readOne(admin: Admin, name: string): Promise<Found> {
  const status = await admin.getQuotaStatus({ name });
  const hidden = status.truncated ? `${name} has more buckets than are shown.` : "";
  return { rows: status.buckets, status, hidden };
}

/** All buckets of the policies that limit something, by name of policy. */
async function readAll(admin: Admin, limit: number): Promise<Found> {
  const policies = (await listPolicies(admin)).filter(isLimit);
  const shown = policies.slice(0, limit);
  const rows: QuotaRow[] = [];
  let status: GetQuotaStatusResponse | undefined;
  for (let at = 0; at < shown.length; at += TOGETHER) {
    const some = shown.slice(at, at + TOGETHER);
    const answers = await Promise.all(some.map(({ name }) => admin.getQuotaStatus({ name })));
    answers.forEach((answer, i) => {
      const policy = some[i]?.name ?? "";
      rows.push(...(answer.buckets.length === 0 ? [{ policy }] : answer.buckets));
      const buckets = [...(status?.buckets ?? []), ...answer.buckets];
      const truncated = answer.truncated || status?.truncated === true;
      status = { ...answer, buckets, truncated };
    });
  }
  const more = policies.length - shown.length;
  const hidden =
    more > 0
      ? `${more} more policies are not shown: name one, or write -n ${policies.length}.`
      : status?.truncated === true
        ? "Some policies have more buckets than are shown: name a team, a user or a key."
        : "";
  return { rows, status: status ?? emptyStatus, hidden };
}

const emptyStatus: GetQuotaStatusResponse = {
  $typeName: "weir.admin.v1.GetQuotaStatusResponse",
  buckets: [],
  suspendedReason: "",
  truncated: false,
};

async function listPolicies(admin: Admin): Promise<Policy[]> {
  const all: Policy[] = [];
  for (let pageToken = ""; ; ) {
    const page = await admin.listPolicies({ parent: "-", pageSize: PAGE_SIZE, pageToken });
    all.push(...page.policies);
    pageToken = page.nextPageToken;
    if (pageToken === "") return all;
  }
}

function isLimit({ rule, disabled }: Policy): boolean {
  if (disabled) return false;
  return rule.case === "budget" || rule.case === "rateLimit" || rule.case === "concurrency";
}

function show({ rows, status, hidden }: Found, output: "table" | "json"): void {
  if (output === "json") printJson(toJson(GetQuotaStatusResponseSchema, status));
  else print(rows.length === 0 ? "Nothing is limited, or was asked of it yet." : formatQuota(rows));
  if (hidden !== "") printNote(hidden);
  if (status.suspendedReason === "") return;
  const since = formatTime(status.suspendTime);
  printNote(
    `Nothing is granted since ${since}: ${status.suspendedReason} \`weir quota resume\` goes on.`,
  );
}
