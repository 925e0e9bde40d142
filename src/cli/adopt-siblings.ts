import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Journal } from "../link/journal.ts";
import type { Log } from "../telemetry/log.ts";
import type { Sibling } from "./compose-quota.ts";

/** A proxy among others of its machine. */
export interface SiblingPlan {
  readonly dataDir: string;
  readonly proxyId: string;
  /** From which number on the directories are of proxies that will not return; undefined: none. */
  readonly adoptBeyond: number | undefined;
  readonly log: Log;
}

/**
 * After a start with fewer workers, what the others left is not forgotten: takes over their
 * journals, and names those whose quota can be confessed for. One that still runs is left alone.
 */
export async function adoptSiblings(plan: SiblingPlan, journal: Journal): Promise<Sibling[]> {
  if (plan.adoptBeyond === undefined) return [];
  const adopted: Sibling[] = [];
  const place = dirname(plan.dataDir);
  for (const name of readdirSync(place)) {
    const dataDir = join(place, name);
    const directory = join(dataDir, "journal");
    if (!/^\d+$/.test(name) || Number(name) < plan.adoptBeyond || !existsSync(directory)) continue;
    try {
      const files = await journal.adopt(directory);
      plan.log.info({ directory, files }, "took over a journal");
    } catch (error) {
      plan.log.warn({ directory, error: String(error) }, "cannot take over a journal");
      continue;
    }
    const proxyId = nameSibling(plan, name);
    if (proxyId !== undefined) adopted.push({ dataDir, proxyId });
  }
  return adopted;
}

/** `weir serve` gives a proxy and its directory the same number. */
function nameSibling({ dataDir, proxyId }: SiblingPlan, name: string): string | undefined {
  const own = `-${basename(dataDir)}`;
  return proxyId.endsWith(own) ? `${proxyId.slice(0, -own.length)}-${name}` : undefined;
}
