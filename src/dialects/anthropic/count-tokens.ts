import type { ChatAsk } from "../../mesh/ask.ts";
import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import type { Target } from "../../mesh/target.ts";
import type { UpstreamRequest, VendorCounting } from "../dialect.ts";
import { encodeJson } from "./fields.ts";
import { composeBody, writeHeaders } from "./write-request.ts";

/** How many tokens a prompt has, by `/messages/count_tokens`. */
export const counting: VendorCounting = {
  /** Throws INVALID_REQUEST like a real request; what only shapes the answer is left out. */
  writeRequest(ask: ChatAsk, target: Target, warnings: string[]): UpstreamRequest {
    const { body, betas } = composeBody(ask, target, warnings);
    const counted = Object.assign(body, target.overrides);
    for (const name of ANSWER_FIELDS) counted[name] = undefined;
    return {
      path: "/messages/count_tokens",
      headers: writeHeaders(ask, betas),
      body: encodeJson(counted, "request"),
    };
  },

  readAnswer(body: Buffer): number {
    const tokens = parseCount(body);
    if (typeof tokens === "number" && Number.isInteger(tokens) && tokens >= 0) return tokens;
    throw new MeshError("UPSTREAM_GARBLED", "The upstream's count made no sense. Try again.", {
      internal: `count_tokens answered ${body.toString("utf8", 0, 200)}`,
    });
  },
};

/** A count as the body of an answer to `/v1/messages/count_tokens`. */
export function writeCount(inputTokens: number): JsonObject {
  return { input_tokens: inputTokens };
}

/** Fields of `/messages` that the counting route refuses. */
const ANSWER_FIELDS = [
  ...["max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata"],
  ...["service_tier", "container", "inference_geo"],
];

function parseCount(body: Buffer): unknown {
  try {
    const answer: unknown = JSON.parse(body.toString("utf8"));
    return isJsonObject(answer) ? answer.input_tokens : undefined;
  } catch {
    return undefined;
  }
}
