import type { AskBounds, ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import type { JsonObject } from "../mesh/json.ts";
import type { Target } from "../mesh/target.ts";
import { boundMedia } from "./media-bound.ts";

/** The most that one attempt can use. */
export interface AskBound {
  /** Tokens of the prompt. */
  readonly input: number;
  /** Tokens of one answer: the cap that is written upstream. 0 for embeddings. */
  readonly output: number;
  /** How many answers. */
  readonly choices: number;
}

/** Where nothing else says how long an answer may get. */
export const OUTPUT_TOKENS_DEFAULT = 32_768;

/**
 * What an attempt at a target can use at most. Byte-level tokenizers make at most one token of a
 * byte, and what templates add to a message is less than its JSON; media are bounded by rule. No
 * request is longer than the model's context.
 */
export function boundAsk(
  ask: ChatAsk | EmbedAsk,
  bounds: AskBounds | undefined,
  target: Target,
  contextTokensMax: number | undefined,
): AskBound {
  const laid = layOf(target);
  let input = ask.bytes + OVERHEAD_TOKENS + laid.bytes;
  if (bounds === undefined) return { input: clip(input, contextTokensMax), output: 0, choices: 1 };
  input += boundMedia(bounds, target) - Math.min(bounds.encodedBytes, ask.bytes);
  if (target.provider.dialect === "anthropic" && hasTools(ask)) input += ANTHROPIC_TOOLS_TOKENS;
  return {
    input: clip(input, contextTokensMax),
    output: boundOutput(bounds, target),
    choices: Math.max(1, bounds.choices, laid.choices),
  };
}

/** What a chat tells of its bounds; asked once a call. */
export function readBounds(ask: ChatAsk | EmbedAsk): AskBounds | undefined {
  if (!("chat" in ask)) return undefined;
  return ask.bounds?.() ?? readMessage(ask);
}

const OVERHEAD_TOKENS = 64;

/** Anthropic lays a prompt of its own before tools, some 300 to 1,200 tokens with its own tools. */
const ANTHROPIC_TOOLS_TOKENS = 1_500;

function boundOutput(bounds: AskBounds, target: Target): number {
  const asked = bounds.outputTokensMax;
  const own = asked !== undefined && asked > 0 ? Math.floor(asked) : undefined;
  const most = target.outputTokensMax;
  if (own === undefined) return most ?? OUTPUT_TOKENS_DEFAULT;
  return most === undefined ? own : Math.min(own, most);
}

function clip(tokens: number, contextTokensMax: number | undefined): number {
  if (contextTokensMax === undefined || contextTokensMax <= 0) return tokens;
  return Math.min(tokens, contextTokensMax);
}

function hasTools(ask: ChatAsk | EmbedAsk): boolean {
  return ask.wire === undefined ? ask.parameters().includes("tools") : "tools" in ask.wire;
}

/** What a target lays over the request's body. */
interface Lay {
  readonly bytes: number;
  readonly choices: number;
}

const lays = new WeakMap<JsonObject, Lay>();
const NO_LAY: Lay = { bytes: 0, choices: 0 };

function layOf({ overrides }: Target): Lay {
  if (overrides === undefined) return NO_LAY;
  let lay = lays.get(overrides);
  if (lay === undefined) {
    const { n } = overrides;
    lay = {
      bytes: Buffer.byteLength(JSON.stringify(overrides)),
      choices: typeof n === "number" ? n : 0,
    };
    lays.set(overrides, lay);
  }
  return lay;
}

/** For a door that does not bound its asks: the message's own limits, and all its bytes as text. */
function readMessage(ask: ChatAsk): AskBounds {
  const { sampling } = ask.chat();
  return {
    outputTokensMax: sampling?.maxTokens,
    choices: Math.max(1, sampling?.n ?? 1),
    images: 0,
    audioBytes: 0,
    files: 0,
    fileBytes: 0,
    encodedBytes: 0,
  };
}
