import { cpuPerEvent, cpuPerRequest, type Measured } from "./rounds.ts";
import { atMost, type Promised, type RowSpec, type Unit } from "./row.ts";
import { nameTrial } from "./trials.ts";

type Measure = (result: Measured) => number;

/** How many times as dear one trial is as another. */
function compare(
  name: string,
  measure: Measure,
  [ours, other]: readonly [string, string],
  promise?: Promised,
): RowSpec {
  return {
    name,
    unit: "×",
    trials: [ours, other],
    promise,
    compute: (a, b) => measure(a) / measure(b),
  };
}

/** How much more one trial has than another. */
function add(
  name: string,
  measure: Measure,
  [ours, direct]: readonly [string, string],
  promise?: Promised,
): RowSpec {
  return {
    name,
    unit: "ms",
    trials: [ours, direct],
    promise,
    compute: (a, b) => measure(a) - measure(b),
  };
}

function show(name: string, unit: Unit, measure: Measure, trial: string): RowSpec {
  return { name, unit, trials: [trial], promise: undefined, compute: measure };
}

const p50: Measure = ({ latency }) => latency.p50;
const p99: Measure = ({ latency }) => latency.p99;
const first50: Measure = ({ firstContent }) => firstContent.p50;
const first99: Measure = ({ firstContent }) => firstContent.p99;
const rate: Measure = (result) => result.rate;

const bare = {
  plain: nameTrial("bare", "openai", "closed"),
  burst: nameTrial("bare", "openai-stream", "closed"),
  paced: nameTrial("bare", "openai-stream", "paced"),
};
const grpcJs = {
  plain: nameTrial("grpc-js", "grpc", "closed"),
  burst: nameTrial("grpc-js", "grpc-stream", "closed"),
  paced: nameTrial("grpc-js", "grpc-stream", "paced"),
};
const connectNode = {
  plain: nameTrial("connect-node", "grpc", "closed"),
  burst: nameTrial("connect-node", "grpc-stream", "closed"),
  json: nameTrial("connect-node", "connect", "closed"),
};
const nginx = {
  plain: nameTrial("nginx", "openai", "closed"),
  burst: nameTrial("nginx", "openai-stream", "closed"),
};
const weir = {
  plain: nameTrial("weir", "openai", "closed"),
  burst: nameTrial("weir", "openai-stream", "closed"),
  paced: nameTrial("weir", "openai-stream", "paced"),
  translated: nameTrial("weir", "anthropic-stream", "closed"),
  translatedPaced: nameTrial("weir", "anthropic-stream", "paced"),
  grpc: nameTrial("weir", "grpc", "closed"),
  grpcBurst: nameTrial("weir", "grpc-stream", "closed"),
  grpcPaced: nameTrial("weir", "grpc-stream", "paced"),
  json: nameTrial("weir", "connect", "closed"),
};

const atRate = (form: "openai" | "grpc", each: number) =>
  [nameTrial("weir", form, `${each}/s`), nameTrial("direct", "openai", `${each}/s`)] as const;
const begun = (form: "openai-stream" | "grpc-stream") =>
  [nameTrial("weir", form, "begun"), nameTrial("direct", "openai-stream", "begun")] as const;

/** Rows of the table that Weir is held to, in its order, by their part. */
export const heldTo = {
  restPlain: [
    compare(
      "REST plain, CPU / bare node:http + dispatch",
      cpuPerRequest,
      [weir.plain, bare.plain],
      atMost(1.8, 1.4),
    ),
    compare("REST plain, CPU / nginx", cpuPerRequest, [weir.plain, nginx.plain], atMost(3.5, 2.6)),
  ],
  restBurst: [
    compare(
      "SSE burst, same dialect, an event / raw relay",
      cpuPerEvent,
      [weir.burst, bare.burst],
      atMost(1.6, 1.3),
    ),
    compare(
      "SSE burst, translated, an event / raw relay",
      cpuPerEvent,
      [weir.translated, bare.burst],
      atMost(4, 3),
    ),
  ],
  grpc: [
    compare(
      "gRPC plain, CPU / grpc-js's bare forward",
      cpuPerRequest,
      [weir.grpc, grpcJs.plain],
      atMost(0.9, 0.5),
    ),
    compare(
      "gRPC stream burst, an event / grpc-js",
      cpuPerEvent,
      [weir.grpcBurst, grpcJs.burst],
      atMost(0.4, 0.25),
    ),
  ],
  latency: [
    add("added p50 at 350/s, REST", p50, atRate("openai", 350), atMost(0.6, 0.4)),
    add("added p99 at 350/s, REST", p99, atRate("openai", 350), atMost(3, 1.5)),
    add("added p50 at 1,000/s, REST", p50, atRate("openai", 1000), atMost(0.6, 0.4)),
    add("added p99 at 1,000/s, REST", p99, atRate("openai", 1000), atMost(5, 3)),
    add("added p99 at 1,000/s, gRPC", p99, atRate("grpc", 1000), atMost(8, 4)),
    add("added time to first event p50, paced", first50, begun("openai-stream"), atMost(1, 0.6)),
    add("added time to first event p99, paced", first99, begun("openai-stream"), atMost(8, 4)),
  ],
} satisfies Record<string, readonly RowSpec[]>;

/** What else a run shows. Nothing is promised about it. */
export const further: readonly RowSpec[] = [
  compare("SSE burst, same dialect, an event / nginx", cpuPerEvent, [weir.burst, nginx.burst]),
  compare("SSE paced, same dialect, an event / raw relay", cpuPerEvent, [weir.paced, bare.paced]),
  compare("SSE paced, translated, an event / raw relay", cpuPerEvent, [
    weir.translatedPaced,
    bare.paced,
  ]),
  compare("gRPC stream paced, an event / grpc-js", cpuPerEvent, [weir.grpcPaced, grpcJs.paced]),
  compare("gRPC plain, CPU / connect-node", cpuPerRequest, [weir.grpc, connectNode.plain]),
  compare("gRPC stream burst, an event / connect-node", cpuPerEvent, [
    weir.grpcBurst,
    connectNode.burst,
  ]),
  compare("Connect JSON, CPU / connect-node", cpuPerRequest, [weir.json, connectNode.json]),
  compare("gRPC plain, CPU / REST plain", cpuPerRequest, [weir.grpc, weir.plain]),
  compare("Connect JSON, CPU / REST plain", cpuPerRequest, [weir.json, weir.plain]),
  add("added p50 at 350/s, gRPC", p50, atRate("grpc", 350)),
  add("added p99 at 350/s, gRPC", p99, atRate("grpc", 350)),
  add("added p50 at 1,000/s, gRPC", p50, atRate("grpc", 1000)),
  add("added time to first event p50, paced, gRPC", first50, begun("grpc-stream")),
  add("added time to first event p99, paced, gRPC", first99, begun("grpc-stream")),
  show("REST plain on one core", "/s", rate, weir.plain),
  show("gRPC plain on one core", "/s", rate, weir.grpc),
  show("Connect JSON on one core", "/s", rate, weir.json),
  show("bare node:http + dispatch on one core", "/s", rate, bare.plain),
  show("upstream and load alone", "/s", rate, nameTrial("direct", "openai", "closed")),
  show("REST plain, a request", "µs", cpuPerRequest, weir.plain),
  show("gRPC plain, a request", "µs", cpuPerRequest, weir.grpc),
  show("Connect JSON, a request", "µs", cpuPerRequest, weir.json),
  show("SSE burst, same dialect, an event", "µs", cpuPerEvent, weir.burst),
  show("SSE burst, translated, an event", "µs", cpuPerEvent, weir.translated),
  show("gRPC stream burst, an event", "µs", cpuPerEvent, weir.grpcBurst),
  show("SSE paced, same dialect, an event", "µs", cpuPerEvent, weir.paced),
  show("gRPC stream paced, an event", "µs", cpuPerEvent, weir.grpcPaced),
];
