import type { QuestionForm } from "./requests.ts";
import type { ServerName } from "./servers.ts";
import type { models } from "./upstream-bytes.ts";

/** Parts of the bench that can be asked for alone. */
export const groups = ["rest", "sse", "grpc", "connect", "latency", "memory", "workers"] as const;
export type Group = (typeof groups)[number];

/** One load on one server, repeated in every round. */
export interface Trial {
  readonly name: string;
  readonly group: Group;
  readonly server: ServerName;
  readonly form: QuestionForm;
  /** How the upstream behaves. */
  readonly behaviour: keyof typeof models;
  /** Requests under way in a closed loop; places for them in an open one. */
  readonly concurrency: number;
  /** Requests a second of an open loop; undefined for a closed loop. */
  readonly rate: number | undefined;
}

const CLOSED = 32;
const PACED = 64;
const OPEN = 256;

/** Streams begun each second when the time to the first content is taken; each lasts for two thirds of one. */
const FIRST_CONTENT_RATE = 100;

/** All trials, in the order of a round: those that are compared with each other follow each other. */
export const trials: readonly Trial[] = [
  ...saturate("rest", "openai", ["direct", "bare", "nginx", "weir"]),
  ...saturate("sse", "openai-stream", ["bare", "nginx", "weir"]),
  ...saturate("sse", "anthropic-stream", ["weir"]),
  ...pace("sse", "openai-stream", ["bare", "nginx", "weir"]),
  ...pace("sse", "anthropic-stream", ["weir"]),
  ...saturate("grpc", "grpc", ["grpc-js", "connect-node", "weir"]),
  ...saturate("grpc", "grpc-stream", ["grpc-js", "connect-node", "weir"]),
  ...pace("grpc", "grpc-stream", ["grpc-js", "weir"]),
  ...saturate("connect", "connect", ["connect-node", "weir"]),
  ...ask("openai", 350, ["direct", "bare", "nginx", "weir"]),
  ...ask("grpc", 350, ["grpc-js", "weir"]),
  ...ask("openai", 1000, ["direct", "bare", "nginx", "weir"]),
  ...ask("grpc", 1000, ["grpc-js", "weir"]),
  ...begin("openai-stream", ["direct", "bare", "nginx", "weir"]),
  ...begin("grpc-stream", ["grpc-js", "weir"]),
];

/** Names a trial as `trials` does. */
export function nameTrial(server: ServerName, form: QuestionForm, load: string): string {
  return `${server} ${form} ${load}`;
}

type Servers = readonly ServerName[];

/** As many requests as one core can take; all events of a stream at once. */
function saturate(group: Group, form: QuestionForm, servers: Servers): Trial[] {
  return servers.map((server) => ({
    name: nameTrial(server, form, "closed"),
    group,
    server,
    form,
    behaviour: "plain",
    concurrency: CLOSED,
    rate: undefined,
  }));
}

/** As many streams as a busy proxy has open, an event every ten milliseconds in each. */
function pace(group: Group, form: QuestionForm, servers: Servers): Trial[] {
  return servers.map((server) => ({
    name: nameTrial(server, form, "paced"),
    group,
    server,
    form,
    behaviour: "paced",
    concurrency: PACED,
    rate: undefined,
  }));
}

/** Requests at a constant rate. */
function ask(form: QuestionForm, rate: number, servers: Servers): Trial[] {
  return servers.map((server) => ({
    name: nameTrial(server, form, `${rate}/s`),
    group: "latency",
    server,
    form,
    behaviour: "plain",
    concurrency: OPEN,
    rate,
  }));
}

/** Streams at a constant rate, to see when their first content comes. */
function begin(form: QuestionForm, servers: Servers): Trial[] {
  const rate = FIRST_CONTENT_RATE;
  return servers.map((server) => ({
    name: nameTrial(server, form, "begun"),
    group: "latency",
    server,
    form,
    behaviour: "paced",
    concurrency: OPEN,
    rate,
  }));
}
