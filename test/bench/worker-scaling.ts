import { runLoad } from "./load-process.ts";
import { cpuPerRequest, type RoundOptions, repeatDisturbed } from "./rounds.ts";
import { median } from "./samples.ts";
import type { RunningServer, Servers } from "./servers.ts";
import type { Trial } from "./trials.ts";
import { BENCH_KEY, WeirUnderTest } from "./weir-under-test.ts";

/** What a second proxy process brings. */
export interface WorkerScaling {
  /** Requests a second with two, over requests a second with one, as they came. */
  readonly rate: number;
  /**
   * Twice the CPU time of a request with one, over that with two: what the rate would be had the load and the upstream
   * cores of their own.
   */
  readonly byCpu: number;
}

/** Nothing is pinned: two proxies, the upstream and the load share what cores there are. */
export async function measureWorkerScaling(
  servers: Servers,
  options: RoundOptions,
): Promise<WorkerScaling> {
  const { directory } = options;
  const { upstreamPort } = servers;
  const start = (proxies: number) =>
    WeirUnderTest.start({
      name: `weir-workers-${proxies}`,
      directory,
      upstreamPort,
      proxies,
      core: undefined,
    });
  const one = await start(1);
  const two = await start(2);
  try {
    const rates: number[] = [];
    const cpus: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const single = await measure(one, servers, options);
      const double = await measure(two, servers, options);
      rates.push(double.rate / single.rate);
      cpus.push((2 * cpuPerRequest(single)) / cpuPerRequest(double));
    }
    return { rate: median(rates), byCpu: median(cpus) };
  } finally {
    await one.stop();
    await two.stop();
  }
}

function measure(weir: WeirUnderTest, servers: Servers, options: RoundOptions) {
  const trial: Trial = {
    name: `workers ${weir.proxies.length}`,
    group: "workers",
    server: "weir",
    form: "openai",
    behaviour: "plain",
    concurrency: 64,
    rate: undefined,
  };
  const pids = weir.proxies.map(({ pid }) => pid);
  const [pid = 0, ...others] = pids;
  const { port } = weir;
  const running: RunningServer = { pid, port, http1Port: port, key: BENCH_KEY };
  const { directory, seconds, warmSeconds } = options;
  const known = [...servers.listPids(), weir.control.pid, process.pid];
  const load = { directory, seconds, warmSeconds, known, servers: others, unpinned: true };
  return repeatDisturbed(() => runLoad(trial, running, load), options.retries);
}
