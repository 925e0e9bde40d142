import type { Model } from "../../../gen/weir/admin/v1/model_pb.ts";
import type { Provider } from "../../../gen/weir/admin/v1/provider_pb.ts";
import { type Key, Role } from "../../../gen/weir/admin/v1/team_pb.ts";
import { asWeirError, type WeirAdminClient } from "../../client/admin.ts";
import { describeFailure } from "../failure.ts";
import { formatRole } from "../role-words.ts";
import { broken, doubtful, type Finding, good } from "./finding.ts";
import { checkKeys, checkModels, checkReach } from "./policy.ts";
import { checkProxies, listFaultyProviders } from "./proxies.ts";

type Admin = WeirAdminClient["admin"];

/** What the control process tells about policy and proxies, as far as the key may see it. */
export async function checkByAdmin(
  admin: Admin,
  address: string,
  nowMs: number,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const self = await admin.getSelf({});
    if (self.role === Role.UNSPECIFIED) {
      const mend = "Set WEIR_ADMIN_KEY to an administrative key, and run this again.";
      return [doubtful(`${self.key} is no administrative key: policy cannot be checked`, mend)];
    }
    findings.push(good(`the key is ${self.key}, ${formatRole(self.role)}`));
    const [{ proxies }, { changes }] = await Promise.all([
      admin.listProxies({}),
      admin.listRevisions({ pageSize: 1 }),
    ]);
    findings.push(...checkProxies(proxies, changes[0]?.revision ?? 0n));
    findings.push(...(await checkResources(admin, nowMs, listFaultyProviders(proxies))));
  } catch (error) {
    findings.push(explain(error, address));
  }
  return findings;
}

async function checkResources(
  admin: Admin,
  nowMs: number,
  faulty: ReadonlySet<string>,
): Promise<Finding[]> {
  const pageSize = 1000;
  const [providers, models, keys] = await Promise.all([
    readPages<Provider>(async (pageToken) => {
      const page = await admin.listProviders({ pageSize, pageToken });
      return [page.providers, page.nextPageToken];
    }),
    readPages<Model>(async (pageToken) => {
      const page = await admin.listModels({ pageSize, pageToken });
      return [page.models, page.nextPageToken];
    }),
    readPages<Key>(async (pageToken) => {
      const page = await admin.listKeys({ pageSize, pageToken, parent: "teams/-" });
      return [page.keys, page.nextPageToken];
    }),
  ]);
  return [
    ...checkModels(models, providers, faulty),
    ...checkKeys(keys, nowMs),
    ...(await checkReach(providers)),
  ];
}

async function readPages<T>(
  read: (pageToken: string) => Promise<readonly [readonly T[], string]>,
): Promise<T[]> {
  const all: T[] = [];
  for (let pageToken = ""; ; ) {
    const [items, next] = await read(pageToken);
    all.push(...items);
    pageToken = next;
    if (pageToken === "") return all;
  }
}

function explain(error: unknown, address: string): Finding {
  const { reason } = asWeirError(error);
  const what = describeFailure(error, address);
  if (reason.startsWith("CREDENTIAL_")) {
    return broken(what, "Set WEIR_ADMIN_KEY to the key that the first start printed.");
  }
  if (reason === "PERMISSION_DENIED") {
    return doubtful(what, "Use the key of a platform admin or an auditor to check the rest.");
  }
  return broken(what, "See that the control process runs, and its log.");
}
