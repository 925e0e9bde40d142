import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Model } from "../../../gen/weir/admin/v1/model_pb.ts";
import type { Provider } from "../../../gen/weir/admin/v1/provider_pb.ts";
import type { Key } from "../../../gen/weir/admin/v1/team_pb.ts";
import { compileProvider } from "../../mesh/compile-provider.ts";
import { broken, doubtful, type Finding, good, listSome } from "./finding.ts";
import { tryConnect } from "./port.ts";

const SOON_MS = 7 * 86_400_000;
const CONNECT_MS = 2000;

/**
 * Whether something listens at the addresses of the providers that are in use. Tries them all at
 * once.
 */
export async function checkReach(providers: readonly Provider[]): Promise<Finding[]> {
  const used = providers.filter((provider) => !provider.disabled);
  const findings = await Promise.all(
    used.flatMap((provider) => listAddresses(provider).map((url) => checkAddress(provider, url))),
  );
  return findings;
}

async function checkAddress({ name }: Provider, address: string): Promise<Finding> {
  const url = new URL(address);
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const fault = await tryConnect(host, port, CONNECT_MS);
  if (fault === undefined) return good(`${name} can be reached at ${url.host}`);
  return broken(
    `${name} cannot be reached from here at ${url.host} (${fault})`,
    "Start it, mend the network or the base URL, or disable the provider.",
  );
}

/**
 * The addresses that a proxy would call; none for those that it calls in itself, or cannot call.
 */
function listAddresses(provider: Provider): readonly string[] {
  try {
    return compileProvider(provider, { env: {}, readFile: () => "" }).baseUrls;
  } catch {
    return [];
  }
}

/** Models that nobody can answer. `faulty` are providers that no proxy can call. */
export function checkModels(
  models: readonly Model[],
  providers: readonly Provider[],
  faulty: ReadonlySet<string>,
): Finding[] {
  if (models.length === 0) {
    return [doubtful("there are no models", "Make some: `weir apply -f FILE`, as README shows.")];
  }
  const usable = new Set(
    providers
      .filter(({ name, disabled }) => !disabled && !faulty.has(name))
      .map((provider) => provider.name),
  );
  const enabled = models.filter((model) => !model.disabled);
  const names = new Set(enabled.map((model) => model.name));
  const dead = enabled.filter((model) =>
    model.aliasOf === ""
      ? !model.targets.some((target) => usable.has(target.provider))
      : !isServed(names, model.aliasOf),
  );
  if (dead.length === 0) return [good(`all ${enabled.length} models have a target in use`)];
  const list = listSome(dead.map((model) => model.name));
  const mend = "Enable or mend their providers, give them other targets, or disable them.";
  return [broken(`nobody can answer for ${list}`, mend)];
}

function isServed(names: ReadonlySet<string>, model: string): boolean {
  const name = `models/${model}`;
  if (names.has(name)) return true;
  return [...names].some((each) => each.endsWith("*") && name.startsWith(each.slice(0, -1)));
}

/** Keys that have ended, or soon will. */
export function checkKeys(keys: readonly Key[], nowMs: number): Finding[] {
  const ends = (from: number, to: number) =>
    keys.filter(({ disabled, expireTime }) => {
      if (disabled || expireTime === undefined) return false;
      const endMs = timestampMs(expireTime);
      return endMs > from && endMs <= to;
    });
  const findings: Finding[] = [];
  const ended = ends(Number.NEGATIVE_INFINITY, nowMs);
  if (ended.length > 0) {
    const list = listSome(ended.map((key) => key.name));
    findings.push(doubtful(`these keys have expired: ${list}`, "Extend, or delete them."));
  }
  const soon = ends(nowMs, nowMs + SOON_MS);
  if (soon.length > 0) {
    const list = listSome(soon.map((key) => key.name));
    findings.push(doubtful(`these keys expire within 7 days: ${list}`, "Extend them in time."));
  }
  if (findings.length === 0)
    findings.push(good(`none of ${keys.length} keys expires within 7 days`));
  return findings;
}
