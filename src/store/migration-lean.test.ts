import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import { readLastUsed, readRecord } from "./ledger-reads.ts";
import { appendBatches } from "./ledger-writes.ts";
import { applyNextMigration, loadMigrations } from "./migrations.ts";
import { SqliteEngine } from "./sqlite-engine.ts";

describe("the migration that makes the ledger lean", () => {
  it("keeps requests, sums and keys, and what comes later is added to them", async () => {
    const directory = mkdtempSync(join(tmpdir(), "weir-lean-"));
    const path = join(directory, "x.db");
    const engine = new SqliteEngine(path, { readOnly: false, busyTimeoutMs: 20 });
    onTestFinished(() => {
      engine.close();
      rmSync(directory, { recursive: true });
    });
    const migrations = loadMigrations(new URL("./migrations/", import.meta.url), "sqlite");
    const migrate = async (upTo: number) => {
      const input = { migrations: migrations.slice(0, upTo), atMs: 0 };
      while ((await applyNextMigration(engine, input)) !== undefined);
    };
    const createRecord = (requestId: string) =>
      create(RequestRecordSchema, { requestId, team: "teams/a", key: "k", costNanoUsd: 5n });

    await migrate(7);
    const bytes = toBinary(RequestRecordSchema, createRecord("old"));
    engine.run(
      `INSERT INTO requests VALUES ('old', 0, 1, 'grpc', 1, 'teams/a', 'k', '', '', '', '', 'u',
       1, 2, 3, 4, 5, 6, 7, 8, 5, 1, 9, NULL, 'stop', '', '', 3, 'p', $1)`,
      [bytes],
    );
    engine.run("INSERT INTO key_usage VALUES ('k', 77)");
    for (const table of ["usage_hours", "usage_days"]) {
      engine.run(
        `INSERT INTO ${table} VALUES (0, 'teams/a', 'k', '', '', '', '',
         1, 0, 1, 2, 7, 5, 6, 7, 8, 5, 0, 9)`,
      );
    }
    await migrate(8);

    expect(Buffer.from((await readRecord(engine, "old")) ?? [])).toEqual(Buffer.from(bytes));
    expect(await readLastUsed(engine, ["k"])).toEqual([["k", 77]]);
    const batch = EncodedBatch.of(["old", "new"].map(createRecord));
    expect(await appendBatches(engine, [batch.bytes])).toBe(1);
    for (const table of ["usage_hours", "usage_days"]) {
      expect(engine.rows(`SELECT requests, cost_nano_usd, latency_us FROM ${table}`)).toEqual([
        { requests: 2, cost_nano_usd: 10, latency_us: 9 },
      ]);
    }
    const [row] = engine.rows("SELECT * FROM requests WHERE request_id = 'old'");
    expect(row).toMatchObject({ team: "teams/a", key_name: "k", output_audio_tokens: 8 });
    expect(row).toMatchObject({ cost_nano_usd: 5, cost_known: 1, latency_us: 9, error_reason: "" });
  });
});
