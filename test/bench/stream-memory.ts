import { join } from "node:path";
import { serverCore, startScript } from "./bench-process.ts";
import { holdStreams, type LoadOptions } from "./load-process.ts";
import { readRssBytes } from "./machine.ts";
import type { QuestionForm } from "./requests.ts";
import type { RunningServer, ServerName } from "./servers.ts";
import type { Trial } from "./trials.ts";
import { BENCH_KEY, WeirUnderTest } from "./weir-under-test.ts";

/**
 * Open before the first look, so that what is paid once is not counted. No other load comes before: the garbage that it
 * leaves would make room for the streams.
 */
const STREAMS_BEFORE = 100;
const STREAMS = 500;
const SETTLE_MS = 2000;

/** What an open stream costs a server that has just been started. */
export interface StreamMemory {
  readonly server: ServerName;
  readonly form: QuestionForm;
  readonly bytesEach: number;
}

/** Opens streams that stay open and sees what they add to the server's resident memory. */
export async function measureStreamMemory(
  server: "bare" | "weir",
  form: QuestionForm,
  options: LoadOptions & { readonly upstreamPort: number },
): Promise<StreamMemory> {
  const started = server === "weir" ? await startWeir(form, options) : await startBare(options);
  const trial = (name: string, concurrency: number): Trial => ({
    name: `${server} ${form} ${name}`,
    group: "memory",
    server,
    form,
    behaviour: "hold",
    concurrency,
    rate: undefined,
  });
  try {
    const few = await holdStreams(trial("few", STREAMS_BEFORE), started.running, options);
    const before = await readSettledRss(started.running.pid);
    const many = await holdStreams(trial("many", STREAMS), started.running, options);
    const after = await readSettledRss(started.running.pid);
    for (const load of [few, many]) load.endInput();
    return { server, form, bytesEach: (after - before) / STREAMS };
  } finally {
    await started.stop();
  }
}

interface Started {
  readonly running: RunningServer;
  stop(): Promise<void>;
}

async function startWeir(
  form: QuestionForm,
  options: LoadOptions & { readonly upstreamPort: number },
): Promise<Started> {
  const { directory, upstreamPort } = options;
  const name = `weir-memory-${form}-${Math.round(performance.now())}`;
  const weir = await WeirUnderTest.start({
    name,
    directory,
    upstreamPort,
    proxies: 1,
    core: serverCore,
  });
  const pid = weir.proxies[0]?.pid ?? 0;
  return {
    running: { pid, port: weir.port, http1Port: weir.port, key: BENCH_KEY },
    stop: () => weir.stop(),
  };
}

async function startBare(
  options: LoadOptions & { readonly upstreamPort: number },
): Promise<Started> {
  const upstream = `http://127.0.0.1:${options.upstreamPort}`;
  const log = join(options.directory, "bare-memory.log");
  const bare = startScript("bare-proxy.ts", [upstream], { core: serverCore, log });
  const { port } = await bare.readLine<{ readonly port: number }>(10);
  return {
    running: { pid: bare.pid, port, http1Port: port, key: undefined },
    stop: () => bare.stop(),
  };
}

async function readSettledRss(pid: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return readRssBytes(pid);
}
