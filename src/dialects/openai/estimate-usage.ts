import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import { createUsage } from "../../mesh/usage.ts";

/**
 * What a stream has used that ended without a count: four bytes a token, as English text has it,
 * and never less than one for each delta, since vendors send at most one token less often than
 * that.
 */
export function estimateUsage(askBytes: number, deltas: number, textBytes: number): Usage {
  return createUsage({
    inputTokens: Math.ceil(askBytes / 4),
    outputTokens: Math.max(deltas, Math.ceil(textBytes / 4)),
    estimated: true,
  });
}
