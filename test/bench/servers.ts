import { join } from "node:path";
import { type BenchProcess, mockCore, serverCore, startScript } from "./bench-process.ts";
import { startNginx } from "./nginx-proxy.ts";
import { BENCH_KEY, WeirUnderTest } from "./weir-under-test.ts";

/** Whom the load asks. `direct` is the upstream itself. */
export type ServerName = "direct" | "bare" | "nginx" | "grpc-js" | "connect-node" | "weir";

/** A server that can be asked. */
export interface RunningServer {
  readonly pid: number;
  readonly port: number;
  /** Where it takes HTTP/1.1, when not at `port`. */
  readonly http1Port: number;
  readonly key: string | undefined;
}

/** The servers of one run, all in front of one upstream. */
export class Servers {
  readonly #directory: string;
  readonly #processes: BenchProcess[] = [];
  readonly #running = new Map<ServerName, RunningServer>();
  #weir: WeirUnderTest | undefined;
  upstreamPort = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Starts the upstream and these servers. nginx is left out where it is not installed. */
  async start(names: ReadonlySet<ServerName>): Promise<void> {
    const options = { core: mockCore, log: join(this.#directory, "upstream.log") };
    const upstream = startScript("mock-upstream.ts", [], options);
    this.#processes.push(upstream);
    this.upstreamPort = (await upstream.readLine<ReadyLine>(10)).port;
    this.#add("direct", upstream, { port: this.upstreamPort });
    if (names.has("bare")) await this.#startScript("bare", "bare-proxy.ts");
    if (names.has("grpc-js")) await this.#startScript("grpc-js", "grpc-js-forward.ts");
    if (names.has("connect-node")) await this.#startScript("connect-node", "connect-forward.ts");
    if (names.has("nginx")) {
      const nginx = await startNginx(this.#directory, this.upstreamPort);
      if (nginx !== undefined) {
        this.#processes.push(nginx.process);
        this.#add("nginx", nginx.process, nginx);
      }
    }
    if (names.has("weir")) await this.#startWeir();
  }

  get(name: ServerName): RunningServer | undefined {
    return this.#running.get(name);
  }

  /** All processes: what they use is not foreign. */
  listPids(): number[] {
    const weir = this.#weir === undefined ? [] : [this.#weir.control, ...this.#weir.proxies];
    return [...this.#processes, ...weir].map(({ pid }) => pid);
  }

  async stop(): Promise<void> {
    await this.#weir?.stop();
    await Promise.all(this.#processes.map((each) => each.stop()));
  }

  async #startScript(name: ServerName, script: string): Promise<void> {
    const log = join(this.#directory, `${name}.log`);
    const upstream = `http://127.0.0.1:${this.upstreamPort}`;
    const process = startScript(script, [upstream], { core: serverCore, log });
    this.#processes.push(process);
    this.#add(name, process, await process.readLine<ReadyLine>(10));
  }

  async #startWeir(): Promise<void> {
    const weir = await WeirUnderTest.start({
      name: "weir",
      directory: this.#directory,
      upstreamPort: this.upstreamPort,
      proxies: 1,
      core: serverCore,
    });
    this.#weir = weir;
    const [proxy] = weir.proxies;
    if (proxy !== undefined) this.#add("weir", proxy, weir, BENCH_KEY);
  }

  #add(name: ServerName, process: BenchProcess, ready: ReadyLine, key?: string): void {
    const { pid } = process;
    const { port, port1 = port } = ready;
    this.#running.set(name, { pid, port, http1Port: port1, key });
  }
}

interface ReadyLine {
  readonly port: number;
  readonly port1?: number;
}
