import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { systemClock } from "../mesh/clock.ts";
import { openJournal } from "./journal.ts";
import type { JournalPosition } from "./segments.ts";

const silent = { info: () => undefined, warn: () => undefined };

/** Notes records as fast as it can and prints each id once its note has resolved. */
const program = `
import { writeSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { RequestRecordSchema } from ${JSON.stringify(new URL("../../gen/weir/admin/v1/record_pb.ts", import.meta.url))};
import { systemClock } from ${JSON.stringify(new URL("../mesh/clock.ts", import.meta.url))};
import { openJournal } from ${JSON.stringify(new URL("./journal.ts", import.meta.url))};
const [, , directory, round] = process.argv;
const log = { info() {}, warn() {} };
const journal = await openJournal({ directory, proxyId: "p", clock: systemClock, log, segmentBytesMax: 20_000 });
let next = 0;
async function work() {
  for (;;) {
    const requestId = "r" + round + "-" + next++;
    await journal.note(create(RequestRecordSchema, { requestId, errorMessage: "x".repeat(next % 300) }));
    writeSync(1, requestId + "\\n");
  }
}
for (let i = 0; i < 20; i++) work();
// The timers of a clock keep no process alive; a proxy has its server for that.
setInterval(() => {}, 1000);
`;

async function runAndKill(script: string, directory: string, round: number): Promise<string[]> {
  const child = spawn(process.execPath, [script, directory, String(round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  // The moment of the kill differs from round to round, and is as good as random within a write.
  const printedMax = 3000 + round * 1777;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
    if (printed.length > printedMax) child.kill("SIGKILL");
  });
  await new Promise((resolve) => child.once("close", resolve));
  return printed.split("\n").slice(0, -1);
}

async function readAll(directory: string): Promise<Set<string>> {
  const journal = await openJournal({ directory, proxyId: "p", clock: systemClock, log: silent });
  const ids = new Set<string>();
  let place: JournalPosition = journal.committedUpTo;
  for (;;) {
    const batch = await journal.read(place, { records: 1000, bytes: 1_000_000 });
    if (batch.records.length === 0) break;
    place = batch.next;
    for (const bytes of batch.records) ids.add(fromBinary(RequestRecordSchema, bytes).requestId);
  }
  await journal.close();
  return ids;
}

describe("kill -9", () => {
  it("loses no record whose note had resolved", async () => {
    const directory = await mkdtemp(join(tmpdir(), "weir-kill-"));
    // Within the repository, so that the program finds its packages.
    const script = join(import.meta.dirname, `.journal-kill-${process.pid}.mjs`);
    await writeFile(script, program);
    try {
      const promised: string[] = [];
      for (let round = 0; round < 5; round++) {
        promised.push(...(await runAndKill(script, directory, round)));
        const found = await readAll(directory);
        expect(promised.filter((id) => !found.has(id))).toEqual([]);
      }
      expect(promised.length).toBeGreaterThan(500);
    } finally {
      await rm(script);
      await rm(directory, { recursive: true });
    }
  });
});
