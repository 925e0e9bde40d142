import { isDeepStrictEqual } from "node:util";
import { asWeirError, type WeirAdminClient } from "../client/admin.ts";
import { describeFailure, Failure } from "./failure.ts";
import { type OrderedDocument, orderDocuments } from "./order-documents.ts";
import type { ResourceDocument } from "./read-documents.ts";
import type { Item, WrittenItem } from "./resource-kind.ts";

type Admin = WeirAdminClient["admin"];

/** What became of one document. */
export interface Applied {
  readonly name: string;
  readonly change: "created" | "updated" | "unchanged";
  /** True when somebody else's disjoint change was kept beside it. */
  readonly merged: boolean;
  readonly warnings: readonly string[];
  /** Revision of the whole policy afterwards. */
  readonly revision: string;
}

/** How to apply. */
export interface ApplyOrder {
  readonly validateOnly: boolean;
  readonly reason: string;
  /** Told of each document as it is done. */
  report(applied: Applied): void;
}

/**
 * Checks all documents by the server, then writes them in the order that they need. Throws a
 * Failure that names file and line; when the check failed, nothing was written.
 */
export async function applyDocuments(
  admin: Admin,
  documents: readonly ResourceDocument[],
  order: ApplyOrder,
): Promise<void> {
  const ordered = orderDocuments(documents);
  const before = new Map<string, Item>();
  for (const { kind, name, place } of ordered) {
    const found = await explainFailure(place, name, () => find(() => kind.get(admin, name)));
    if (found !== undefined) before.set(name, found);
  }
  const checked = await checkAll(admin, ordered, { before, reason: order.reason });
  for (const document of ordered) {
    const { kind, name, place, json } = document;
    const known = before.get(name);
    if (order.validateOnly) {
      const draft = checked.get(name);
      order.report(
        draft === undefined ? describeUnchecked(name, known) : describe(draft, known, document),
      );
      continue;
    }
    const { reason } = order;
    const write = () => kind.put(admin, json, { validateOnly: false, reason });
    order.report(describe(await explainFailure(place, name, write), known, document));
  }
}

/** What the batch looks like before it is written. */
interface Ground {
  readonly before: ReadonlyMap<string, Item>;
  readonly reason: string;
}

/**
 * Validates each document on its own. One that names what only this batch will make cannot be
 * judged fully yet: that its names are missing is forgiven, nothing else.
 */
async function checkAll(
  admin: Admin,
  ordered: readonly OrderedDocument[],
  { before, reason }: Ground,
): Promise<Map<string, WrittenItem>> {
  const checked = new Map<string, WrittenItem>();
  const faults: string[] = [];
  for (const { kind, name, place, json, needs } of ordered) {
    try {
      checked.set(name, await kind.put(admin, json, { validateOnly: true, reason }));
    } catch (error) {
      const waits = [...needs].some((each) => !before.has(each));
      const { reason: why, code } = asWeirError(error);
      if (why === "FAILED_PRECONDITION" && waits) continue;
      if (code === UNAVAILABLE || code === UNAUTHENTICATED) throw error;
      faults.push(`${place}: ${name}: ${describeFailure(error, "Weir")}`);
    }
  }
  if (faults.length === 0) return checked;
  throw new Failure(`nothing was written, since this is wrong:\n  ${faults.join("\n  ")}`);
}

const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

async function find(get: () => Promise<Item>): Promise<Item | undefined> {
  try {
    return await get();
  } catch (error) {
    if (asWeirError(error).reason === "NOT_FOUND") return undefined;
    throw error;
  }
}

async function explainFailure<T>(place: string, name: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const { code } = asWeirError(error);
    if (code === UNAVAILABLE || code === UNAUTHENTICATED) throw error;
    throw new Failure(`${place}: ${name}: ${describeFailure(error, "Weir")}`);
  }
}

function describe(
  { item, result }: WrittenItem,
  before: Item | undefined,
  { name }: ResourceDocument,
): Applied {
  return {
    name,
    change: before === undefined ? "created" : isSame(item, before) ? "unchanged" : "updated",
    merged: result?.merged ?? false,
    warnings: result?.warnings ?? [],
    revision: String(result?.revision ?? 0),
  };
}

function describeUnchecked(name: string, before: Item | undefined): Applied {
  const warnings = ["it names what does not exist yet, and is checked fully when that is written"];
  const change = before === undefined ? "created" : "updated";
  return { name, change, merged: false, warnings, revision: "0" };
}

/**
 * A check leaves the etag as it is, a write changes it: so the fields are compared, and the etag.
 */
function isSame(after: Item, before: Item): boolean {
  const { meta: _after, ...now } = after.json;
  const { meta: _before, ...was } = before.json;
  return after.etag === before.etag && isDeepStrictEqual(now, was);
}
