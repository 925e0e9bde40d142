/**
 * `node test/bench/profile.ts [--form openai] [--seconds 5] [--top 40]`: where a proxy's time goes under a closed loop, by
 * function and by file, from V8's own sampling. One form a run: openai, openai-stream, anthropic-stream, grpc, grpc-stream,
 * connect.
 */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mockCore, serverCore, startScript } from "./bench-process.ts";
import { runLoad } from "./load-process.ts";
import { type Trial, trials } from "./trials.ts";
import { BENCH_KEY, WeirUnderTest } from "./weir-under-test.ts";

const { values: given } = parseArgs({
  options: {
    form: { type: "string", default: "openai" },
    seconds: { type: "string", default: "5" },
    top: { type: "string", default: "40" },
  },
});

/** A profile as V8 writes it. */
interface Profile {
  /** Microseconds on the machine's monotonic clock. */
  readonly startTime: number;
  readonly nodes: ReadonlyArray<{
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
    readonly children?: readonly number[];
  }>;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const WARM_SECONDS = 3;

/** What was recorded, and when. */
interface Recording {
  readonly cpuUs: number;
  readonly fromUs: number;
  readonly untilUs: number;
  /** CPU time by the name of the thread. */
  readonly threads: ReadonlyArray<readonly [string, number]>;
}

async function record(trial: Trial, directory: string): Promise<Recording> {
  const log = join(directory, "upstream.log");
  const upstream = startScript("mock-upstream.ts", [], { core: mockCore, log });
  const { port: upstreamPort } = await upstream.readLine<{ readonly port: number }>(10);
  const nodeArgs = ["--cpu-prof", "--cpu-prof-dir", directory, "--cpu-prof-interval", "200"];
  const core = serverCore;
  const weir = await WeirUnderTest.start({
    name: "weir",
    directory,
    upstreamPort,
    proxies: 1,
    core,
    nodeArgs,
  });
  try {
    const pid = weir.proxies[0]?.pid ?? 0;
    const server = { pid, port: weir.port, http1Port: weir.port, key: BENCH_KEY };
    const known = [upstream.pid, weir.control.pid];
    const seconds = Number(given.seconds);
    const load = { directory, warmSeconds: WARM_SECONDS, seconds, known };
    const running = runLoad(trial, server, load);
    await new Promise((resolve) => setTimeout(resolve, WARM_SECONDS * 1000));
    const before = new Map(readThreads(pid));
    const result = await running;
    if (result.errors > 0) throw new Error(result.error);
    const untilUs = Number(process.hrtime.bigint() / 1000n);
    return {
      cpuUs: result.serverCpuUs / result.done,
      fromUs: untilUs - seconds * 1e6,
      untilUs,
      threads: readThreads(pid)
        .map(([name, us]) => [name, us - (before.get(name) ?? 0)] as const)
        .sort(([, a], [, b]) => b - a),
    };
  } finally {
    await weir.stop();
    await upstream.stop();
  }
}

function readThreads(pid: number): Array<readonly [string, number]> {
  const totals = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim();
    const run = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0];
    totals.set(name, (totals.get(name) ?? 0) + Number(run) / 1000);
  }
  return [...totals];
}

/** Microseconds by key within the measured window, the largest first. */
function sum(
  profile: Profile,
  { fromUs, untilUs }: Recording,
  key: (frame: Profile["nodes"][number]["callFrame"]) => string,
) {
  const keys = new Map(profile.nodes.map(({ id, callFrame }) => [id, key(callFrame)]));
  const totals = new Map<string, number>();
  let nowUs = profile.startTime;
  profile.samples.forEach((id, at) => {
    const deltaUs = profile.timeDeltas[at] ?? 0;
    nowUs += deltaUs;
    if (nowUs < fromUs || nowUs > untilUs) return;
    const name = keys.get(id) ?? "";
    totals.set(name, (totals.get(name) ?? 0) + deltaUs);
  });
  totals.delete("(idle)");
  return [...totals].sort(([, a], [, b]) => b - a);
}

function print(title: string, totals: ReadonlyArray<readonly [string, number]>): void {
  const all = totals.reduce((sofar, [, us]) => sofar + us, 0);
  process.stdout.write(`\n${title}\n`);
  for (const [name, us] of totals.slice(0, Number(given.top))) {
    process.stdout.write(`${((us / all) * 100).toFixed(1).padStart(6)} %  ${name}\n`);
  }
}

function shorten(url: string): string {
  return url.replace(/^file:\/\//, "").replace(`${process.cwd()}/`, "");
}

const trial = trials.find(
  ({ server, form, rate, behaviour }) =>
    server === "weir" && form === given.form && rate === undefined && behaviour === "plain",
);
if (trial === undefined) throw new Error(`--form: no ${given.form}`);
const directory = mkdtempSync(join(tmpdir(), "weir-profile-"));
const recording = await record(trial, directory);
const file = readdirSync(directory).find((name) => name.endsWith(".cpuprofile"));
if (file === undefined) throw new Error(`the proxy left no profile in ${directory}`);
const profile: Profile = JSON.parse(readFileSync(join(directory, file), "utf8"));
const cpu = recording.cpuUs.toFixed(1);
process.stdout.write(`${cpu} µs a request while profiled; ${join(directory, file)}\n`);
print("threads", recording.threads);
print(
  "own time by function",
  sum(profile, recording, ({ functionName, url, lineNumber }) =>
    url === ""
      ? functionName
      : `${functionName || "(anonymous)"}  ${shorten(url)}:${lineNumber + 1}`,
  ),
);
print(
  "own time by file",
  sum(profile, recording, ({ functionName, url }) => (url === "" ? functionName : shorten(url))),
);
