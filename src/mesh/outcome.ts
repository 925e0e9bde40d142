import type { Decision, Finish } from "../../gen/weir/v1/chat_pb.ts";
import type { EmbedResponse } from "../../gen/weir/v1/embed_service_pb.ts";
import type { Cost, Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { WireForm } from "./chunk.ts";

/** How a chat ended. Its content has gone through the sink. */
export interface Outcome {
  readonly decision: Decision;
  readonly finish: Finish;
  readonly usage: Usage;
  readonly cost: Cost;
  /** From arrival to the first content, in milliseconds. Undefined when there was none. */
  readonly firstTokenMs: number | undefined;
  /** From arrival to the end, in milliseconds. */
  readonly latencyMs: number;
}

/** How an embedding ended, with its vectors. */
export interface EmbedOutcome {
  readonly decision: Decision;
  readonly usage: Usage;
  readonly cost: Cost;
  /** The upstream's own body, when the caller's dialect is the upstream's. */
  readonly wire: WireForm | undefined;
  /** The answer, decoded once; decision, usage and cost are filled in. */
  response(): EmbedResponse;
}
