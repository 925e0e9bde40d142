import type { TokenLogprob, TokenLogprob_Candidate } from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { isJsonArray, type WireObject } from "./field.ts";

/** One list of a choice's `logprobs`; empty when there is none. */
export function readLogprobs(value: JsonValue | undefined): TokenLogprob[] {
  if (!isJsonArray(value)) return [];
  return value.filter(isJsonObject).map((wire) => ({
    $typeName: "weir.v1.TokenLogprob",
    chosen: readCandidate(wire),
    top: isJsonArray(wire.top_logprobs)
      ? wire.top_logprobs.filter(isJsonObject).map(readCandidate)
      : [],
  }));
}

/** A choice's `logprobs`; null when there are none. */
export function writeLogprobs(
  content: readonly TokenLogprob[],
  refusal: readonly TokenLogprob[],
): WireObject | null {
  if (content.length === 0 && refusal.length === 0) return null;
  return {
    content: content.length === 0 ? null : content.map(writeLogprob),
    refusal: refusal.length === 0 ? null : refusal.map(writeLogprob),
  };
}

function readCandidate(wire: JsonObject): TokenLogprob_Candidate {
  const bytes = isJsonArray(wire.bytes) ? wire.bytes : [];
  return {
    $typeName: "weir.v1.TokenLogprob.Candidate",
    token: typeof wire.token === "string" ? wire.token : "",
    logprob: typeof wire.logprob === "number" ? wire.logprob : 0,
    utf8: Uint8Array.from(bytes, Number),
  };
}

function writeLogprob(logprob: TokenLogprob): WireObject {
  return { ...writeCandidate(logprob.chosen), top_logprobs: logprob.top.map(writeCandidate) };
}

function writeCandidate(candidate: TokenLogprob_Candidate | undefined): WireObject {
  const token = candidate?.token ?? "";
  const utf8 = candidate?.utf8 ?? new Uint8Array(0);
  const bytes = utf8.length > 0 ? utf8 : Buffer.from(token);
  return { token, logprob: candidate?.logprob ?? 0, bytes: [...bytes] };
}
