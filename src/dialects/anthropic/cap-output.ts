import { isJsonObject, type JsonValue } from "../../mesh/json.ts";
import { BUDGET_SHARE, BUDGET_TOKENS_MIN } from "./write-thinking.ts";

/**
 * Holds a body to a limit of output tokens, whatever the caller or the target's overrides say; a
 * lower one stays as it is. A budget of thoughts has to be below it: it is lowered too, or left out
 * with a warning when that leaves fewer than Anthropic takes.
 */
export function capOutput(
  body: Record<string, JsonValue | undefined>,
  most: number,
  warnings: string[],
): void {
  const given = body.max_tokens;
  if (typeof given === "number" && given >= 1 && given <= most) return;
  body.max_tokens = most;
  const { thinking } = body;
  if (!isJsonObject(thinking) || typeof thinking.budget_tokens !== "number") return;
  if (thinking.budget_tokens < most) return;
  const room = Math.floor(most * BUDGET_SHARE);
  if (room >= BUDGET_TOKENS_MIN) {
    body.thinking = { ...thinking, budget_tokens: room };
    warnings.push(`thinking.budget_tokens: lowered to ${room}`);
  } else {
    body.thinking = undefined;
    warnings.push(`thinking: left out, since a limit of ${most} tokens leaves no room for it`);
  }
}
