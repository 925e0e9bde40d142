/**
 * `node test/bench/ledger.ts [--seconds 6] [--rate 10000] [--proxies 2] [--keys 100]`: what it costs the control plane to take a
 * record in, in microseconds of CPU by thread. The control process is the real one, with a SQLite store on the disk of the
 * temporary directory; the records come over real links, as the journals of loaded proxies send them.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectRequestSchema } from "../../gen/weir/link/v1/link_service_pb.ts";
import { withMemorySettings } from "../../src/cli/child-memory.js";
import type { Journal } from "../../src/link/journal.ts";
import { openChannel } from "../../src/link/link-channel.ts";
import { type RecordSender, startRecordSender } from "../../src/link/record-sender.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import { BenchProcess } from "./bench-process.ts";
import { findFreePort } from "./free-port.ts";
import { LedgerRecords } from "./ledger-records.ts";
import { readThreadTimes } from "./thread-times.ts";

const { values: given } = parseArgs({
  options: {
    seconds: { type: "string", default: "6" },
    rate: { type: "string", default: "10000" },
    proxies: { type: "string", default: "2" },
    keys: { type: "string", default: "100" },
    "node-arg": { type: "string", multiple: true, default: [] },
    "data-dir": { type: "string" },
  },
});

const WARM_SECONDS = 3;
const TOKEN = "bench-link-token-bench-link-token-bench";

/** A journal that has as many records as a proxy under this load would have written. */
class LoadJournal implements Pick<Journal, "read" | "committed" | "committedUpTo" | "onAdded"> {
  readonly committedUpTo = { segment: 0, offset: 0 };
  confirmed = 0;
  readonly #proxyId: string;
  readonly #records: LedgerRecords;
  readonly #perMs: number;
  readonly #beganMs = performance.now();
  #sent = 0;
  #rested = false;

  constructor(proxyId: string, records: LedgerRecords, perMs: number) {
    this.#proxyId = proxyId;
    this.#records = records;
    this.#perMs = perMs;
  }

  /** No more comes. */
  rest(): void {
    this.#rested = true;
  }

  get sent(): number {
    return this.#sent;
  }

  async read(_after: unknown, limits: { readonly records: number }) {
    const due = Math.floor((performance.now() - this.#beganMs) * this.#perMs) - this.#sent;
    const records: Buffer[] = [];
    const most = this.#rested ? 0 : Math.min(due, limits.records);
    while (records.length < most) records.push(this.#records.next(this.#proxyId));
    this.#sent += records.length;
    return { records, next: { segment: 0, offset: this.#sent } };
  }

  committed(upTo: { readonly offset: number }): void {
    this.confirmed = upTo.offset;
  }

  onAdded(listener: () => void): () => void {
    const timer = setInterval(listener, 5);
    return () => clearInterval(timer);
  }
}

function connect(address: string, proxyId: string, journal: LoadJournal): () => void {
  let sender: RecordSender | undefined;
  const channel = openChannel({
    address,
    token: TOKEN,
    tls: undefined,
    message: ({ message }) => {
      if (message.case === "recordsCommitted") sender?.committed(message.value.sequence);
    },
    ended: (reason) => {
      if (reason !== "done") throw new Error(`the link broke: ${reason}`);
    },
  });
  const hello = { proxyId, epoch: 1n, version: "bench", listen: "bench" };
  channel.send(
    toBinary(
      ConnectRequestSchema,
      create(ConnectRequestSchema, { message: { case: "hello", value: hello } }),
    ),
  );
  sender = startRecordSender(journal, channel, systemClock);
  return () => {
    sender?.stop();
    channel.close("done");
  };
}

async function measure(directory: string): Promise<void> {
  const port = await findFreePort();
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const listen = ["--listen", `127.0.0.1:${port}`, "--data-dir", directory];
  const command = [process.execPath, ...given["node-arg"], main];
  const control = new BenchProcess(
    "control",
    [...command, "control", ...listen, "--link-token", TOKEN],
    { core: undefined, env: withMemorySettings({}), log: join(directory, "control.log") },
  );
  try {
    await waitUntilListening(port);
    const records = new LedgerRecords(Number(given.keys));
    const perMs = Number(given.rate) / Number(given.proxies) / 1000;
    const links = Array.from({ length: Number(given.proxies) }, (_, n) => {
      const journal = new LoadJournal(`bench-${n}`, records, perMs);
      return { journal, stop: connect(`127.0.0.1:${port}`, `bench-${n}`, journal) };
    });
    const confirmed = () => links.reduce((sum, { journal }) => sum + journal.confirmed, 0);
    const sent = () => links.reduce((sum, { journal }) => sum + journal.sent, 0);
    await sleep(WARM_SECONDS * 1000);
    const before = { threads: readThreadTimes(control.pid), confirmed: confirmed() };
    await sleep(Number(given.seconds) * 1000);
    const after = { threads: readThreadTimes(control.pid), confirmed: confirmed() };
    for (const { journal } of links) journal.rest();
    while (confirmed() < sent()) await sleep(50);
    for (const { stop } of links) stop();
    report(before, after);
    check(directory, sent());
  } finally {
    await control.stop();
  }
}

interface Moment {
  readonly threads: ReadonlyMap<string, number>;
  readonly confirmed: number;
}

function report(before: Moment, after: Moment): void {
  const taken = after.confirmed - before.confirmed;
  const each = [...after.threads]
    .map(([name, us]) => [name, (us - (before.threads.get(name) ?? 0)) / taken] as const)
    .sort(([, a], [, b]) => b - a);
  const seconds = Number(given.seconds);
  print(`${Math.round(taken / seconds)} records/s, ${given.keys} keys, ${given.proxies} proxies`);
  for (const [name, us] of each) if (us >= 0.05) print(`${us.toFixed(1).padStart(7)} µs  ${name}`);
  print(
    `${each
      .reduce((sum, [, us]) => sum + us, 0)
      .toFixed(1)
      .padStart(7)} µs CPU a record`,
  );
}

/** What was confirmed is there, and counted once. */
function check(directory: string, sent: number): void {
  const path = join(directory, "weir.db");
  const database = new DatabaseSync(path, { readOnly: true });
  const count = (sql: string) => Number(Object.values(database.prepare(sql).get() ?? {})[0]);
  const rows = count("SELECT COUNT(*) FROM requests");
  const hours = count("SELECT SUM(requests) FROM usage_hours");
  const days = count("SELECT SUM(requests) FROM usage_days");
  database.close();
  const bytes = (statSync(path).size / rows).toFixed(0);
  print(
    `${sent} confirmed; ${rows} rows, ${hours} in hours, ${days} in days; ${bytes} bytes a row`,
  );
  if (given["data-dir"] === undefined && (rows !== sent || hours !== sent || days !== sent)) {
    throw new Error("The ledger does not hold what was confirmed.");
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function waitUntilListening(port: number): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const socket = createConnection({ port, host: "127.0.0.1" });
    const open = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    if (tries === 200) throw new Error("the control process does not listen");
    await sleep(100);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const directory = given["data-dir"] ?? mkdtempSync(join(tmpdir(), "weir-bench-ledger-"));
try {
  await measure(directory);
} finally {
  if (given["data-dir"] === undefined) rmSync(directory, { recursive: true });
}
