import { parentPort, workerData } from "node:worker_threads";
import type { WriteOutcome } from "./group-commit.ts";
import { commitGroup } from "./group-commit.ts";
import type { OperationName } from "./operations.ts";
import { operations } from "./operations.ts";
import type { SqlSession } from "./sql-session.ts";
import { SqliteEngine } from "./sqlite-engine.ts";
import { describeFailure } from "./sqlite-failure.ts";
import type { LaneAnswer, LaneReport, LaneRequest, LaneSetup } from "./sqlite-messages.ts";

/** Most writes in one transaction: bounds how long the first of them waits. */
const GROUP_MAX = 512;

type Job = Exclude<LaneRequest, "close">;

/** The thread of one lane: one connection, operations one after the other, writes in groups. */
function serve({ path, lane, busyTimeoutMs }: LaneSetup): void {
  const port = parentPort;
  if (port === null) throw new Error("sqlite-worker.ts runs in a worker thread only");
  const report = (message: LaneReport) => port.postMessage(message);
  let engine: SqliteEngine;
  try {
    engine = new SqliteEngine(path, { readOnly: lane !== "write", busyTimeoutMs });
  } catch (error) {
    report({ event: "unusable", failure: describeFailure(error, path) });
    port.close();
    return;
  }
  const queue: Job[] = [];
  let closing = false;
  let busy = false;

  const drain = async () => {
    while (queue.length > 0) {
      const jobs = queue.splice(0, lane === "write" ? GROUP_MAX : 1);
      const run = lane === "write" ? writeGroup : readOne;
      report(await run(engine, jobs, path));
      // Takes in what came meanwhile: it makes the next group.
      await new Promise((resolve) => setImmediate(resolve));
    }
    busy = false;
    if (!closing) return;
    engine.close();
    port.close();
  };

  port.on("message", (request: LaneRequest) => {
    if (request === "close") closing = true;
    else queue.push(request);
    if (busy) return;
    busy = true;
    setImmediate(drain);
  });
  report({ event: "ready" });
}

async function writeGroup(
  engine: SqliteEngine,
  jobs: readonly Job[],
  path: string,
): Promise<LaneReport> {
  const writes = jobs.map((job) => () => runOperation(engine, job));
  const { outcomes, transactions } = await commitGroup(engine, writes);
  const answers = jobs.map((job, index) => mapOutcome(job.id, outcomes[index], path));
  return { event: "answers", answers, transactions };
}

/** Reads within a transaction, so that several statements see one state. */
async function readOne(
  engine: SqliteEngine,
  jobs: readonly Job[],
  path: string,
): Promise<LaneReport> {
  const answers: LaneAnswer[] = [];
  for (const job of jobs) {
    try {
      engine.script("BEGIN");
      const output = await runOperation(engine, job);
      answers.push({ id: job.id, ok: true, output });
    } catch (error) {
      answers.push({ id: job.id, ok: false, failure: describeFailure(error, path) });
    } finally {
      if (engine.inTransaction) engine.script("ROLLBACK");
    }
  }
  return { event: "answers", answers, transactions: jobs.length };
}

function mapOutcome(id: number, outcome: WriteOutcome | undefined, path: string): LaneAnswer {
  if (outcome?.ok) return { id, ok: true, output: outcome.output };
  return { id, ok: false, failure: describeFailure(outcome?.error, path) };
}

/** The cast stands for what SqliteBackend.run has checked: that the input is the operation's. */
function runOperation(session: SqlSession, job: Job): Promise<unknown> {
  return (operations as Record<OperationName, Operation>)[job.name](session, job.input);
}

type Operation = (session: SqlSession, input: unknown) => Promise<unknown>;

serve(workerData);
