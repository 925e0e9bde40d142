import { CacheState, type Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { Cost } from "../../../gen/weir/v1/usage_pb.ts";
import type { Call } from "../../mesh/call.ts";
import { formatNanoUsd } from "../rest/decimal.ts";
import type { RpcHouse } from "./rpc-house.ts";

/** What is known of an answer when its header goes. */
export interface AnswerFacts {
  readonly house: RpcHouse;
  readonly call: Call;
  /** Undefined when nothing was committed. */
  readonly decision: Decision | undefined;
  /** Undefined in streams, whose header goes before anything is known of the cost. */
  readonly cost: Cost | undefined;
}

/**
 * The header fields, or initial metadata, of an answer by lower-case name: the same that the REST
 * doors send.
 */
export function createAnswerHeaders(facts: AnswerFacts): Record<string, string> {
  const { house, call, decision, cost } = facts;
  const { trail } = call;
  const overheadMs = (trail.upstreamStartedMs ?? house.clock.now()) - call.startedMs;
  const headers: Record<string, string> = {
    "x-request-id": call.requestId,
    "x-weir-overhead-us": String(Math.max(0, Math.round(overheadMs * 1000))),
    "x-weir-attempts": String(decision?.attempts ?? trail.attempts.length),
  };
  const revision = decision?.policyRevision ?? house.revision?.();
  if (revision !== undefined) headers["x-weir-policy-revision"] = String(revision);
  if (cost?.known === true) headers["x-weir-cost-usd"] = formatNanoUsd(cost.costNanoUsd);
  if (trail.warnings.length > 0) {
    headers["x-weir-warnings"] = toFieldValue(trail.warnings.join("; ")).slice(0, WARNINGS_MAX);
  }
  if (decision === undefined) return headers;
  if (decision.provider !== "") {
    headers["x-weir-target"] = toFieldValue(`${decision.provider}/${decision.upstreamModel}`);
  }
  const cache = cacheWords[decision.cache];
  if (cache !== undefined) headers["x-weir-cache"] = cache;
  return headers;
}

const cacheWords: Partial<Record<CacheState, string>> = {
  [CacheState.MISS]: "miss",
  [CacheState.EXACT]: "exact",
  [CacheState.SEMANTIC]: "semantic",
};

/** All warnings together; clients and proxies break on larger headers. */
const WARNINGS_MAX = 2048;

/** Names come from whoever runs Weir, and may hold what a header field may not. */
function toFieldValue(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
