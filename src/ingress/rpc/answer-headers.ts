import { CacheState, type Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { Cost } from "../../../gen/weir/v1/usage_pb.ts";
import type { Call } from "../../mesh/call.ts";
import { addLimitFields } from "../limit-fields.ts";
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
  const fields: string[] = [];
  addAnswerFields(fields, facts);
  const headers: Record<string, string> = {};
  for (let at = 0; at < fields.length; at += 2) headers[fields[at] ?? ""] = fields[at + 1] ?? "";
  return headers;
}

/** Adds the same to a list of names and values, each name before its value. */
export function addAnswerFields(fields: string[], facts: AnswerFacts): void {
  const { house, call, decision, cost } = facts;
  const { trail } = call;
  const overheadMs = (trail.upstreamStartedMs ?? house.clock.now()) - call.startedMs;
  const overheadUs = String(Math.max(0, Math.round(overheadMs * 1000)));
  const attempts = String(decision?.attempts ?? trail.attempts.length);
  fields.push("x-request-id", call.requestId);
  fields.push("x-weir-overhead-us", overheadUs, "x-weir-attempts", attempts);
  const revision = decision?.policyRevision ?? house.revision?.();
  if (revision !== undefined) fields.push("x-weir-policy-revision", String(revision));
  if (cost?.known === true) fields.push("x-weir-cost-usd", formatNanoUsd(cost.costNanoUsd));
  if (trail.warnings.length > 0) {
    const warnings = toFieldValue(trail.warnings.join("; ")).slice(0, WARNINGS_MAX);
    fields.push("x-weir-warnings", warnings);
  }
  addLimitFields(fields, call, house.clock);
  if (decision === undefined) return;
  if (decision.provider !== "") {
    fields.push("x-weir-target", toFieldValue(`${decision.provider}/${decision.upstreamModel}`));
  }
  const cache = cacheWords[decision.cache];
  if (cache !== undefined) fields.push("x-weir-cache", cache);
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
  return UNFIT.test(text) ? text.replace(/[^\x20-\x7e]/g, "?") : text;
}

const UNFIT = /[^\x20-\x7e]/;
