import { CacheState, type Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { Cost } from "../../../gen/weir/v1/usage_pb.ts";
import { addLimitFields } from "../limit-fields.ts";
import { formatNanoUsd } from "./decimal.ts";
import type { Exchange } from "./exchange.ts";

/** All warnings together; a header that is larger than this breaks clients and proxies. */
const WARNINGS_LENGTH_MAX = 2048;

/**
 * The headers that every answer carries, as the flat list that writeHead takes: names and values in
 * turn. `decision` is undefined when nothing was committed.
 */
export function createHead(exchange: Exchange, type: string, decision?: Decision): string[] {
  const { call, house } = exchange;
  const { trail } = call;
  const overheadMs = (trail.upstreamStartedMs ?? house.clock.now()) - call.startedMs;
  const head = [
    "content-type",
    type,
    "x-request-id",
    call.requestId,
    "x-weir-overhead-us",
    String(Math.max(0, Math.round(overheadMs * 1000))),
    "x-weir-attempts",
    String(decision?.attempts ?? trail.attempts.length),
  ];
  // Anthropic's clients look for the id under their vendor's own name only.
  if (exchange.route.errors(exchange.http) === "anthropic") {
    head.push("request-id", call.requestId);
  }
  if (decision === undefined) {
    const revision = house.revision?.();
    if (revision !== undefined) head.push("x-weir-policy-revision", String(revision));
  } else {
    pushDecision(head, decision);
  }
  addLimitFields(head, call, house.clock);
  if (trail.warnings.length > 0 || (decision !== undefined && decision.warnings.length > 0)) {
    const warnings = new Set([...trail.warnings, ...(decision?.warnings ?? [])]);
    const text = toHeaderValue([...warnings].join("; "));
    head.push("x-weir-warnings", text.slice(0, WARNINGS_LENGTH_MAX));
  }
  return head;
}

/** Adds what the answer cost, when that is known. */
export function pushCost(head: string[], cost: Cost): void {
  if (cost.known) head.push("x-weir-cost-usd", formatNanoUsd(cost.costNanoUsd));
}

function pushDecision(head: string[], decision: Decision): void {
  head.push("x-weir-policy-revision", String(decision.policyRevision));
  if (decision.provider !== "") {
    head.push("x-weir-target", toHeaderValue(`${decision.provider}/${decision.upstreamModel}`));
  }
  const cache = cacheWord(decision.cache);
  if (cache !== "") head.push("x-weir-cache", cache);
}

function cacheWord(state: CacheState): string {
  switch (state) {
    case CacheState.MISS:
      return "miss";
    case CacheState.EXACT:
      return "exact";
    case CacheState.SEMANTIC:
      return "semantic";
    default:
      return "";
  }
}

/**
 * Only printable ASCII: node refuses to send much else, and a line break would begin another
 * header.
 */
function toHeaderValue(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
