import type { StoredResource } from "../store/store.ts";
import type { Caller } from "./caller.ts";
import { refuse } from "./check-fields.ts";
import { type Body, type Kind, teamKind } from "./kinds.ts";
import { createPageToken, readPageSize, readPageToken } from "./page-token.ts";
import { createVisibility } from "./permissions.ts";
import type { ResourceContext } from "./resources.ts";
import { showResources } from "./show-resources.ts";

/** What a list is asked for. */
export interface ListOrder {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined for kinds that have no parent. */
  readonly parent?: string;
}

/** One page. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Empty means that this is the last. */
  readonly nextPageToken: string;
}

const PAGE = { max: 1000, default: 100 };
/**
 * How many resources one call looks at; a page may be shorter than asked when filters leave little.
 */
const SCANNED_MAX = 20_000;
const STEP = 1000;

/** Lists what the caller may see, by name. Throws INVALID_REQUEST for a wrong page or parent. */
export async function listResources<T extends Body>(
  context: ResourceContext,
  caller: Caller,
  kind: Kind<T>,
  order: ListOrder,
): Promise<Page<T>> {
  const size = readPageSize(order.pageSize, PAGE);
  const scope = [kind.kind, order.parent ?? "", Object.entries(order.labels).sort()];
  let afterName = readPageToken(scope, order.pageToken);
  const namePrefix = prefixOf(kind, order.parent);
  const wanted = Object.entries(order.labels);
  const sees = createVisibility(context.keeper.current, caller);
  const found: T[] = [];
  for (let scanned = 0; scanned < SCANNED_MAX; ) {
    const page = { kind: kind.kind, namePrefix, afterName, limit: Math.max(STEP, size) };
    const rows = await context.store.list(page);
    for (const row of rows) {
      const body = sees(kind, row.name) ? choose(kind, row, wanted) : undefined;
      if (body !== undefined && found.length === size) {
        return await finishPage(context, kind, found, createPageToken(scope, afterName));
      }
      afterName = row.name;
      if (body !== undefined) found.push(body);
    }
    if (rows.length < page.limit) return await finishPage(context, kind, found, "");
    scanned += rows.length;
  }
  return await finishPage(context, kind, found, createPageToken(scope, afterName));
}

async function finishPage<T extends Body>(
  context: ResourceContext,
  kind: Kind<T>,
  bodies: readonly T[],
  nextPageToken: string,
): Promise<Page<T>> {
  return { items: await showResources(context.store, kind, bodies), nextPageToken };
}

/** The body of a row that has the labels. */
function choose<T extends Body>(
  kind: Kind<T>,
  row: StoredResource,
  wanted: readonly (readonly [string, string])[],
): T | undefined {
  const body = kind.unwrap(row.body);
  if (body === undefined) return undefined;
  return wanted.every(([label, value]) => body.labels[label] === value) ? body : undefined;
}

function prefixOf<T extends Body>({ kind }: Kind<T>, parent: string | undefined): string {
  if (parent === undefined) return "";
  if (parent === "teams/-") return "teams/";
  if (kind === "policy" && parent === "") return "policies/";
  if (kind === "policy" && parent === "-") return "";
  if (teamKind.pattern.test(parent)) return `${parent}/`;
  refuse("parent", "It must be teams/{team}, or teams/- for those of all teams.");
}
