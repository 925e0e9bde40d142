import { MeshError } from "../mesh/errors.ts";
import type { Store } from "../store/store.ts";
import { type FieldPath, formatPath, listDifferences, overlap } from "./field-mask.ts";
import type { Body, Kind } from "./kinds.ts";

/** How many writes may have come in between. */
const HISTORY_MAX = 100;

/** An edit that was made on an older state than the current one. */
export interface StaleEdit<T extends Body> {
  readonly kind: Kind<T>;
  /** The etag that the caller read. */
  readonly etag: string;
  readonly current: T;
  readonly input: T;
  /** What the caller named; empty means all that it changed. */
  readonly paths: readonly FieldPath[];
}

/**
 * The paths that may be written all the same, because nobody else has changed them since the caller
 * read the resource. Throws ETAG_MISMATCH that names both sides otherwise.
 */
export async function mergePaths<T extends Body>(
  store: Store,
  edit: StaleEdit<T>,
): Promise<readonly FieldPath[]> {
  const { kind, current, input } = edit;
  const base = await findBase(store, edit);
  if (base === undefined) {
    throw new MeshError(
      "ETAG_MISMATCH",
      `The etag of ${current.name} is not one of its last ${HISTORY_MAX}. Read it again, and ` +
        "write again.",
      { field: "meta.etag" },
    );
  }
  const isOurs = ([first]: FieldPath) => !kind.serverFields.has(first.name);
  const theirs = listDifferences(kind.desc, base, current).filter(isOurs);
  const mine =
    edit.paths.length > 0 ? edit.paths : listDifferences(kind.desc, base, input).filter(isOurs);
  const clash = mine.filter((path) => theirs.some((other) => overlap(path, other)));
  if (clash.length === 0) return mine;
  const [yours, since] = [clash, theirs].map((paths) => paths.map(formatPath).join(", "));
  throw new MeshError(
    "ETAG_MISMATCH",
    `${current.name} has changed since you read it: ${since} changed in between, and you write ` +
      `${yours}. Read it ` +
      "again, and write again.",
    {
      field: "meta.etag",
      metadata: {
        base: edit.etag,
        current: current.meta?.etag ?? "",
        theirs: since ?? "",
        yours: yours ?? "",
      },
    },
  );
}

async function findBase<T extends Body>(
  store: Store,
  { kind, etag, current }: StaleEdit<T>,
): Promise<T | undefined> {
  const page = { name: current.name, beforeSequence: 0, limit: HISTORY_MAX };
  for (const change of await store.listChanges(page)) {
    const after = change.after && kind.unwrap(change.after);
    if (after?.meta?.etag === etag) return after;
  }
  return undefined;
}
