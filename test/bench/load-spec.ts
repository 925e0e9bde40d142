/** What a load process is told, as JSON in its only argument. */
export interface LoadSpec {
  readonly protocol: "http1" | "grpc";
  readonly port: number;
  /** File with the request: for http1 head and body, for grpc the message in its gRPC frame. */
  readonly requestFile: string;
  /** For grpc: path and header fields beyond those that gRPC itself demands. */
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly connections: number;
  /** Requests that may be under way on one connection; 1 for http1. */
  readonly streams: number;
  /** Requests a second of an open loop; undefined for a closed loop. */
  readonly rate: number | undefined;
  readonly warmSeconds: number;
  readonly seconds: number;
  /** An answer with fewer bytes of body has failed. */
  readonly bodyBytesMin: number;
  /** Whether each event is looked for: needed when events come one by one, too dear in bursts. */
  readonly marks: boolean;
  /** Opens all requests, says so, and holds them open until stdin ends. */
  readonly hold: boolean;
  /** The processes whose time is measured. */
  readonly servers: readonly number[];
  /** Other processes of this bench, whose time is not foreign. */
  readonly known: readonly number[];
}

/** What a load process prints as one line of JSON when it is done. Latencies are milliseconds. */
export interface LoadResult {
  /** Completed requests a second, in the measured window. */
  readonly rate: number;
  readonly done: number;
  readonly errors: number;
  /** What the first error said. */
  readonly error: string | undefined;
  readonly latency: Quantiles;
  /** Until the first content came. */
  readonly firstContent: Quantiles;
  /** Events of content that came in the window; 0 unless they were looked for. */
  readonly marks: number;
  readonly seconds: number;
  /** CPU time of the measured processes, all threads, in microseconds. */
  readonly serverCpuUs: number;
  /** Share of one core that everything else on this machine took. */
  readonly foreignCores: number;
  readonly loadCpuUs: number;
  /** Resident bytes of the first measured process at the end of the window. */
  readonly rssBytes: number;
}

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}
