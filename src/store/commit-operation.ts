import { changeColumns, readChangeRow } from "./change-rows.ts";
import type { ResourceRow } from "./resource-rows.ts";
import { createEtag, readResourceRow, resourceColumns } from "./resource-rows.ts";
import type { SqlSession } from "./sql-session.ts";
import { readInteger } from "./sql-session.ts";
import type { ResourceKind } from "./store.ts";

/** One transaction on resources, bodies encoded. */
export interface CommitInput {
  readonly writes: readonly EncodedWrite[];
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
  readonly atMs: number;
}

export interface EncodedWrite {
  readonly name: string;
  readonly kind: ResourceKind;
  /** Null deletes. */
  readonly body: string | null;
  readonly secrets: readonly string[];
  readonly expected: string;
}

export type CommitOutput =
  | {
      readonly outcome: "committed";
      readonly revision: number;
      readonly repeated: boolean;
      readonly rows: readonly ResourceRow[];
    }
  | {
      readonly outcome: "conflict";
      readonly name: string;
      readonly current: ResourceRow | undefined;
    };

/** Writes all of it as one new revision, or nothing. What changes nothing makes no revision. */
export async function commitResources(
  session: SqlSession,
  input: CommitInput,
): Promise<CommitOutput> {
  const counters = await lockCounters(session);
  const repeated = await findCommit(session, input.requestId);
  if (repeated !== undefined) return repeated;

  const steps: Step[] = [];
  for (const write of input.writes) {
    const current = await readResource(session, write.name);
    if ((current?.etag ?? "absent") !== write.expected) {
      return { outcome: "conflict", name: write.name, current };
    }
    if (write.body !== null || current !== undefined) steps.push({ write, current });
  }

  const revision = counters.revision + (steps.length === 0 ? 0 : 1);
  const rows: ResourceRow[] = [];
  let sequence = counters.sequence;
  for (const step of steps) {
    sequence += 1;
    const row = await applyStep(session, step, { revision, atMs: input.atMs });
    if (row !== undefined) rows.push(row);
    await appendChange(session, step, { ...input, revision, sequence });
  }
  await session.run("UPDATE counters SET revision = $1, sequence = $2 WHERE id = 1", [
    revision,
    sequence,
  ]);
  if (input.requestId !== "") {
    await session.run("INSERT INTO commits (request_id, revision, at_ms) VALUES ($1, $2, $3)", [
      input.requestId,
      revision,
      input.atMs,
    ]);
  }
  return { outcome: "committed", revision, repeated: false, rows };
}

/** A write and what it finds. */
interface Step {
  readonly write: EncodedWrite;
  readonly current: ResourceRow | undefined;
}

/**
 * The update changes nothing, but where readers do not exclude writers it is what holds the next
 * commit up.
 */
async function lockCounters(
  session: SqlSession,
): Promise<{ readonly revision: number; readonly sequence: number }> {
  const [row] = await session.rows(
    "UPDATE counters SET revision = revision WHERE id = 1 RETURNING revision, sequence",
  );
  if (row === undefined) throw new Error("table counters is empty");
  return { revision: readInteger(row, "revision"), sequence: readInteger(row, "sequence") };
}

async function findCommit(
  session: SqlSession,
  requestId: string,
): Promise<CommitOutput | undefined> {
  if (requestId === "") return undefined;
  const [commit] = await session.rows("SELECT revision FROM commits WHERE request_id = $1", [
    requestId,
  ]);
  if (commit === undefined) return undefined;
  const revision = readInteger(commit, "revision");
  const changes = await session.rows(
    `SELECT ${changeColumns} FROM changes
     WHERE revision = $1 AND request_id = $2 ORDER BY sequence`,
    [revision, requestId],
  );
  const rows = changes.flatMap((change) => readChangeRow(change).after ?? []);
  return { outcome: "committed", revision, repeated: true, rows };
}

async function readResource(session: SqlSession, name: string): Promise<ResourceRow | undefined> {
  const [row] = await session.rows(`SELECT ${resourceColumns} FROM resources WHERE name = $1`, [
    name,
  ]);
  return row && readResourceRow(row);
}

async function applyStep(
  session: SqlSession,
  { write, current }: Step,
  at: { readonly revision: number; readonly atMs: number },
): Promise<ResourceRow | undefined> {
  const { name, kind, body, secrets } = write;
  await session.run("DELETE FROM key_secrets WHERE key_name = $1", [name]);
  if (body === null) {
    await session.run("DELETE FROM resources WHERE name = $1", [name]);
    return undefined;
  }
  const row: ResourceRow = {
    name,
    kind,
    body,
    etag: createEtag(name, at.revision),
    revision: at.revision,
    createMs: current?.createMs ?? at.atMs,
    updateMs: at.atMs,
  };
  await session.run(
    `INSERT INTO resources (${resourceColumns}) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, body = excluded.body,
       etag = excluded.etag, revision = excluded.revision, update_ms = excluded.update_ms`,
    [name, kind, body, row.etag, row.revision, row.createMs, row.updateMs],
  );
  for (const secret of secrets) {
    await session.run("INSERT INTO key_secrets (sha256_hex, key_name) VALUES ($1, $2)", [
      secret,
      name,
    ]);
  }
  return row;
}

async function appendChange(
  session: SqlSession,
  { write, current }: Step,
  at: CommitInput & { readonly revision: number; readonly sequence: number },
): Promise<void> {
  await session.run(
    `INSERT INTO changes (${changeColumns})
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      at.sequence,
      at.revision,
      write.name,
      write.kind,
      current?.body ?? null,
      current?.revision ?? null,
      current?.updateMs ?? null,
      write.body,
      current?.createMs ?? at.atMs,
      at.actor,
      at.reason,
      at.requestId,
      at.atMs,
    ],
  );
}
