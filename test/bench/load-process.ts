import { join } from "node:path";
import { type BenchProcess, loadCore, startScript } from "./bench-process.ts";
import type { LoadResult, LoadSpec } from "./load-spec.ts";
import { isGrpc, listCredentialFields, type Question, writeQuestion } from "./requests.ts";
import type { RunningServer } from "./servers.ts";
import type { Trial } from "./trials.ts";
import { models } from "./upstream-bytes.ts";

/** How a load is run. */
export interface LoadOptions {
  readonly directory: string;
  readonly warmSeconds: number;
  readonly seconds: number;
  /** Processes of the bench beside the measured server. */
  readonly known: readonly number[];
  /** Looks for every event, also where that is dear. */
  readonly marks?: boolean;
  /** Lets the kernel choose the core. */
  readonly unpinned?: boolean;
  /** Measured beside the server's own process. */
  readonly servers?: readonly number[];
}

/** A request on a gRPC connection shares it with three others, as a busy client's do. */
const STREAMS = 4;
const GRACE_SECONDS = 20;

/** Puts one load on a server and returns what came of it. */
export async function runLoad(
  trial: Trial,
  server: RunningServer,
  options: LoadOptions,
): Promise<LoadResult> {
  const load = startLoad(createSpec(trial, server, options, false), options);
  try {
    return await load.readLine(options.warmSeconds + options.seconds + GRACE_SECONDS);
  } finally {
    await load.stop();
  }
}

/** Opens streams that stay open; resolves when each has had its first content. */
export async function holdStreams(
  trial: Trial,
  server: RunningServer,
  options: LoadOptions,
): Promise<BenchProcess> {
  const load = startLoad(createSpec(trial, server, options, true), options);
  await load.readLine(GRACE_SECONDS);
  return load;
}

function startLoad(spec: LoadSpec, options: LoadOptions): BenchProcess {
  const core = options.unpinned === true ? undefined : loadCore;
  const log = join(options.directory, "load.log");
  return startScript("load.ts", [JSON.stringify(spec)], { core, log });
}

function createSpec(
  trial: Trial,
  server: RunningServer,
  options: LoadOptions,
  hold: boolean,
): LoadSpec {
  const { form, behaviour, concurrency, rate } = trial;
  const grpc = isGrpc(form);
  const question: Question = {
    form,
    port: grpc ? server.port : server.http1Port,
    path: choosePath(trial),
    model: models[behaviour],
    key: server.key,
  };
  const streams = grpc ? STREAMS : 1;
  return {
    protocol: grpc ? "grpc" : "http1",
    port: question.port,
    requestFile: writeQuestion(options.directory, trial.name.replace(/\W+/g, "-"), question),
    path: question.path,
    fields: listCredentialFields(question),
    connections: Math.ceil(concurrency / streams),
    streams,
    rate,
    warmSeconds: options.warmSeconds,
    seconds: options.seconds,
    bodyBytesMin: form.endsWith("-stream") ? STREAM_BYTES_MIN : WHOLE_BYTES_MIN,
    marks: options.marks ?? behaviour === "paced",
    hold,
    servers: [server.pid, ...(options.servers ?? [])],
    known: options.known.filter((pid) => pid !== server.pid && !options.servers?.includes(pid)),
  };
}

/** The text alone of a streamed answer, and of a whole one. */
const STREAM_BYTES_MIN = 64 * 20;
const WHOLE_BYTES_MIN = 80;

/** Weir knows by the model how the upstream shall behave, all others pass the path on. */
function choosePath({ server, form, behaviour }: Trial): string {
  switch (form) {
    case "grpc":
    case "connect":
      return "/weir.v1.ChatService/CreateChat";
    case "grpc-stream":
      return "/weir.v1.ChatService/StreamChat";
    case "anthropic-stream":
      return "/v1/messages";
    case "openai":
    case "openai-stream": {
      const path = "/v1/chat/completions";
      return server === "weir" || behaviour === "plain" ? path : `/${behaviour}${path}`;
    }
  }
}
