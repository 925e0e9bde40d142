import {
  type Chat,
  type Reasoning,
  Reasoning_Effort,
  Role,
  ToolChoice_Mode,
} from "../../../gen/weir/v1/chat_pb.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { ModelTraits } from "./models.ts";

/** How a model is told to think. */
export interface ThinkingWish {
  readonly thinking: JsonObject | undefined;
  /** For `output_config.effort`. */
  readonly effort: string | undefined;
  /** How many of `max_tokens` the thinking may take; 0 without a budget. */
  readonly budgetTokens: number;
}

/** Fewest tokens that Anthropic takes as a budget. */
export const BUDGET_TOKENS_MIN = 1024;
/**
 * The share of the caller's `max_tokens` that thinking may take, so that something is left for the
 * answer.
 */
export const BUDGET_SHARE = 0.8;

const NO_WISH: ThinkingWish = { thinking: undefined, effort: undefined, budgetTokens: 0 };

/**
 * A wish for reasoning in Anthropic's terms. Models that think adaptively get `adaptive` and an
 * effort (minimal and low → low, medium, high, max). Older ones get a budget: the caller's own, or
 * by effort 1,024, 2,048, 8,192, 16,384 or 32,000 tokens; never more than four fifths of the
 * caller's `max_tokens`. Where no thinking is possible, it is left out with a warning: a budget
 * below 1,024, a forced tool, or (with a budget) an open tool loop whose calls have no signed
 * thoughts.
 */
export function writeThinking(
  chat: Chat,
  traits: ModelTraits,
  outputTokensMax: number | undefined,
  warnings: string[],
): ThinkingWish {
  const { reasoning } = chat;
  if (reasoning === undefined) return NO_WISH;
  if (reasoning.effort === Reasoning_Effort.NONE) {
    return { ...NO_WISH, thinking: { type: "disabled" } };
  }
  const { effort, maxTokens, rawEffort } = reasoning;
  if (effort === Reasoning_Effort.UNSPECIFIED && maxTokens === undefined && rawEffort === "") {
    return NO_WISH;
  }
  const mode = chat.toolChoice?.mode;
  if (mode === ToolChoice_Mode.REQUIRED || mode === ToolChoice_Mode.NAMED) {
    warnings.push("reasoning: left out, since a forced tool call allows none here");
    return NO_WISH;
  }
  const byBudget = traits.budget && (maxTokens !== undefined || !traits.adaptive);
  if (!byBudget) return writeAdaptive(reasoning, warnings);
  return writeBudget(chat, reasoning, chat.sampling?.maxTokens ?? outputTokensMax, warnings);
}

function writeAdaptive(reasoning: Reasoning, warnings: string[]): ThinkingWish {
  if (reasoning.maxTokens !== undefined) {
    warnings.push("reasoning.max_tokens: this model sets its own budget; the effort decides");
  }
  const thinking = { type: "adaptive", ...(reasoning.exclude ? { display: "omitted" } : {}) };
  return { thinking, effort: writeEffort(reasoning), budgetTokens: 0 };
}

function writeEffort(reasoning: Reasoning): string | undefined {
  if (/^(low|medium|high|xhigh|max)$/.test(reasoning.rawEffort)) return reasoning.rawEffort;
  return efforts.get(reasoning.effort) ?? effortOf(reasoning.maxTokens);
}

/** The effort whose budget comes nearest from above. */
function effortOf(budgetTokens: number | undefined): string | undefined {
  if (budgetTokens === undefined) return undefined;
  for (const [effort, tokens] of budgets) {
    if (budgetTokens <= tokens) return efforts.get(effort);
  }
  return "max";
}

function writeBudget(
  chat: Chat,
  reasoning: Reasoning,
  maxTokens: number | undefined,
  warnings: string[],
): ThinkingWish {
  if (isOpenLoopWithoutThoughts(chat)) {
    warnings.push("reasoning: left out, since the last tool calls came without signed thoughts");
    return NO_WISH;
  }
  const wanted = reasoning.maxTokens ?? budgets.get(reasoning.effort) ?? BUDGET_TOKENS_MIN;
  const isFree = maxTokens === undefined || wanted < maxTokens;
  const cap = Math.floor((maxTokens ?? 0) * BUDGET_SHARE);
  const keepsWish = isFree && (reasoning.maxTokens !== undefined || maxTokens === undefined);
  const budget = keepsWish ? wanted : Math.min(wanted, cap);
  if (budget < BUDGET_TOKENS_MIN) {
    warnings.push(`reasoning: left out, since max_tokens leaves fewer than ${BUDGET_TOKENS_MIN}`);
    return NO_WISH;
  }
  if (reasoning.exclude) warnings.push("reasoning.exclude: this model's thoughts come along");
  return {
    thinking: { type: "enabled", budget_tokens: budget },
    effort: undefined,
    budgetTokens: budget,
  };
}

/**
 * True while tools are being run for a turn of the model that did not begin with a thought that can
 * be proven.
 */
function isOpenLoopWithoutThoughts(chat: Chat): boolean {
  const last = chat.messages.findLast((message) => message.role === Role.ASSISTANT);
  if (last === undefined) return false;
  const after = chat.messages.slice(chat.messages.indexOf(last) + 1);
  const answered = after.some((message) =>
    message.parts.some((part) => part.part.case === "toolResult"),
  );
  if (!answered) return false;
  return !last.parts.some(({ part }) => {
    return part.case === "reasoning" && (part.value.signature !== "" || part.value.redacted !== "");
  });
}

const efforts = new Map<Reasoning_Effort, string>([
  [Reasoning_Effort.MINIMAL, "low"],
  [Reasoning_Effort.LOW, "low"],
  [Reasoning_Effort.MEDIUM, "medium"],
  [Reasoning_Effort.HIGH, "high"],
  [Reasoning_Effort.MAX, "max"],
]);

/** Tokens by effort, in rising order. */
const budgets = new Map<Reasoning_Effort, number>([
  [Reasoning_Effort.MINIMAL, 1024],
  [Reasoning_Effort.LOW, 2048],
  [Reasoning_Effort.MEDIUM, 8192],
  [Reasoning_Effort.HIGH, 16_384],
  [Reasoning_Effort.MAX, 32_000],
]);
