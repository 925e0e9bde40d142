import type { ChatAsk } from "../mesh/ask.ts";
import { isJsonObject, type JsonObject } from "../mesh/json.ts";
import type { Target } from "../mesh/target.ts";

/**
 * Whether a stream lets all be seen that is billed as output, so that what has passed bounds what
 * was produced; `choices` is how many answers are counted. Thoughts that a vendor hides or sums up
 * are billed in full; so are answers made to choose from, predictions that were wrong, and what
 * tools say that the vendor runs itself. In doubt it does not.
 */
export function showsAll(ask: ChatAsk, choices: number, target: Target): boolean {
  if (!isOpen(target)) return false;
  if (ask.parameters().includes("reasoning")) return false;
  for (const body of [ask.wire, target.overrides]) {
    if (body !== undefined && hides(body, choices)) return false;
  }
  // What options of a typed request say is not looked into.
  return ask.wire !== undefined || !ask.parameters().includes("provider_options");
}

/** Whether nothing is known to be hidden by the model unless a request asks for it. */
function isOpen({ capabilities, provider, upstreamModel }: Target): boolean {
  if (provider.dialect === "sim") return capabilities !== undefined;
  if (THINKERS.test(upstreamModel)) return false;
  return capabilities === undefined ? TALKERS.test(upstreamModel) : !capabilities.has("reasoning");
}

/** Models that think unseen, or may, whatever anybody says of them. */
const THINKERS =
  /(?:^|[/.])o\d|gpt-5|gpt-oss|gemini|grok|think|reason|qwq|magistral|compound|sonar|deep-?research|(?:^|[^a-z])r1/i;

/** Models that think only where a request says so, or never. */
const TALKERS =
  /gpt-4o|gpt-4\.1|gpt-4-turbo|gpt-3\.5|claude|llama|mistral|mixtral|codestral|gemma/i;

function hides(body: JsonObject, choices: number): boolean {
  const { thinking, prediction, reasoning, reasoning_effort: effort } = body;
  const thinks = isJsonObject(thinking) ? thinking.type !== "disabled" : thinking != null;
  if (thinks || prediction != null || reasoning != null || effort != null) return true;
  // Engines take a number in quotes, too.
  if (Number(body.best_of ?? 1) > 1) return true;
  if (body.mcp_servers != null || body.web_search_options != null || body.plugins != null) {
    return true;
  }
  if (typeof body.n === "number" && body.n > choices) return true;
  return Array.isArray(body.tools) && body.tools.some((tool) => !isOwnTool(tool));
}

/** A tool that the caller runs. */
function isOwnTool(tool: unknown): boolean {
  if (!isJsonObject(tool)) return false;
  return tool.type === undefined || tool.type === "function" || tool.type === "custom";
}
