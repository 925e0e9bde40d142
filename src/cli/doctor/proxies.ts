import type { ListProxiesResponse_Proxy } from "../../../gen/weir/admin/v1/admin_service_pb.ts";
import { broken, type Finding, good, listSome } from "./finding.ts";

/** Whether proxies are connected, hold the newest policy, and miss nothing. */
export function checkProxies(
  proxies: readonly ListProxiesResponse_Proxy[],
  newestChange: bigint,
): Finding[] {
  if (proxies.length === 0) {
    const mend = "Start one: `weir proxy --control HOST:PORT`; see its log when it cannot connect.";
    return [broken("no proxy is connected to the control process", mend)];
  }
  const newest = proxies.reduce(
    (highest, { revision }) => (revision > highest ? revision : highest),
    newestChange,
  );
  const findings: Finding[] = [];
  for (const proxy of proxies) {
    if (proxy.refusedRevision > 0n) {
      findings.push(
        broken(
          `${proxy.proxyId} refuses revision ${proxy.refusedRevision}: ${proxy.refusal}`,
          "Mend that resource, or `weir rollback` to the revision before.",
        ),
      );
    }
  }
  const behind = proxies.filter(({ revision }) => revision < newest);
  if (behind.length === 0) {
    const who = proxies.length === 1 ? "1 proxy is" : `${proxies.length} proxies are`;
    findings.push(good(`${who} connected, at revision ${newest}`));
  } else {
    const list = listSome(behind.map((each) => `${each.proxyId} at ${each.revision}`));
    const mend = "Wait a moment and look again; then see the logs of these proxies.";
    findings.push(broken(`behind revision ${newest}: ${list}`, mend));
  }
  return [...findings, ...listFaults(proxies), ...checkVersions(proxies)];
}

/** Providers that every proxy has a fault to tell of. */
export function listFaultyProviders(proxies: readonly ListProxiesResponse_Proxy[]): Set<string> {
  const [first, ...others] = proxies.map(
    ({ faults }) => new Set(faults.join("\n").match(/\bproviders\/[a-z0-9-]+/g) ?? []),
  );
  return new Set([...(first ?? [])].filter((name) => others.every((each) => each.has(name))));
}

/** The same fault at several proxies is said once. */
function listFaults(proxies: readonly ListProxiesResponse_Proxy[]): Finding[] {
  const places = new Map<string, string[]>();
  for (const { proxyId, faults } of proxies) {
    for (const fault of faults) places.set(fault, [...(places.get(fault) ?? []), proxyId]);
  }
  return [...places].map(([fault, at]) =>
    broken(`${listSome(at)}: ${fault}`, "Mend it there, and start the proxy again."),
  );
}

function checkVersions(proxies: readonly ListProxiesResponse_Proxy[]): Finding[] {
  const versions = new Set(proxies.map(({ version }) => version));
  if (versions.size < 2) return [];
  const what = `proxies of several versions are connected: ${[...versions].join(", ")}`;
  return [{ state: "doubtful", what, mend: "Finish the upgrade." }];
}
