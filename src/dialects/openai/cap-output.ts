import { isJsonObject } from "../../mesh/json.ts";
import type { WireObject } from "./field.ts";
import type { Translation } from "./translation.ts";

/** What thinking may take of a limit that was lowered, so that something is left for the answer. */
const REASONING_SHARE = 0.8;
/** Fewest tokens that a vendor takes for thinking. */
const REASONING_TOKENS_MIN = 1024;

/**
 * Holds a request to a limit of output tokens, whatever the caller or the target's overrides say.
 * It goes into the field that is there, or the one that the vendor is known to take; a lower limit
 * stays as it is.
 */
export function capOutput(body: WireObject, most: number, translation: Translation): void {
  const { traits } = translation;
  const byEngines = capField(body, "max_tokens", most);
  const byOpenAi = capField(body, "max_completion_tokens", most);
  if (!byEngines && !byOpenAi) body[traits.strict ? "max_completion_tokens" : "max_tokens"] = most;
  if (traits.openRouter) capReasoning(body, most, translation);
}

/** False when the field is not there. */
function capField(body: WireObject, field: string, most: number): boolean {
  const given = body[field];
  if (given === undefined || given === null) return false;
  if (typeof given !== "number" || !(given >= 1 && given <= most)) body[field] = most;
  return true;
}

/** OpenRouter refuses a budget of thoughts that leaves no room for an answer. */
function capReasoning(body: WireObject, most: number, translation: Translation): void {
  const { reasoning } = body;
  if (!isJsonObject(reasoning)) return;
  const { max_tokens: budget, ...others } = reasoning;
  if (typeof budget !== "number" || budget < most) return;
  const room = Math.floor(most * REASONING_SHARE);
  if (room < REASONING_TOKENS_MIN) {
    body.reasoning = others;
    translation.warn(`reasoning.max_tokens left out: the limit of ${most} tokens leaves no room`);
  } else {
    body.reasoning = { ...reasoning, max_tokens: room };
    translation.warn(`reasoning.max_tokens lowered to ${room}`);
  }
}
