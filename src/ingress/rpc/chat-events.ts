import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import type { Outcome } from "../../mesh/outcome.ts";

/** The first event of a stream. */
export function createStartedEvent(decision: Decision): ChatEvent {
  return {
    case: "started",
    value: { $typeName: "weir.v1.ChatStarted", decision, upstreamModelVersion: "" },
  };
}

/** The last event of a stream. */
export function createFinishedEvent(outcome: Outcome): ChatEvent {
  const { finish, usage, cost, firstTokenMs, latencyMs } = outcome;
  return {
    case: "finished",
    value: {
      $typeName: "weir.v1.ChatFinished",
      finish,
      usage,
      cost,
      timeToFirstToken: firstTokenMs === undefined ? undefined : createDuration(firstTokenMs),
      latency: createDuration(latencyMs),
    },
  };
}

/** A span of time as the wire has it. */
function createDuration(ms: number): Duration {
  const nanos = Math.round(Math.max(0, ms) * 1e6);
  return {
    $typeName: "google.protobuf.Duration",
    seconds: BigInt(Math.floor(nanos / 1e9)),
    nanos: nanos % 1e9,
  };
}
