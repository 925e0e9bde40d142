import type { AskBounds, ChatAsk, EmbedAsk, EmbedBounds } from "../mesh/ask.ts";
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
 * chat is longer than the model's context; an embedding may be, since that holds for each input.
 *
 * Nothing in a request bounds what tools that the vendor runs itself (a search of the web, code)
 * add to the prompt on the way, nor what they cost a use: that is settled as the vendor counts it,
 * and shows as an overrun where it passes the bound.
 */
export function boundAsk(
  ask: ChatAsk | EmbedAsk,
  bounds: AskBounds | EmbedBounds,
  target: Target,
  contextTokensMax: number | undefined,
): AskBound {
  const laid = layOf(target);
  let input = ask.bytes + laid.bytes + boundPreface(ask, laid, target);
  input += boundMedia(bounds, target) - Math.min(bounds.encodedBytes, ask.bytes);
  if (!("choices" in bounds)) {
    return { input: input + bounds.tokenIds, output: 0, choices: 1 };
  }
  return {
    input: clip(input, contextTokensMax),
    output: boundOutput(bounds, target),
    choices: Math.min(Math.max(1, bounds.choices, laid.choices), COUNT_MAX),
  };
}

/** What a vendor lays before a prompt: a little before any, and more for tools. */
function boundPreface(ask: ChatAsk | EmbedAsk, laid: Lay, target: Target): number {
  let tokens = PREFACE_TOKENS;
  if (laid.tools || hasTools(ask)) tokens += TOOLS_TOKENS;
  if (/grok/i.test(target.upstreamModel)) tokens += GROK_TOKENS;
  return tokens;
}

const PREFACE_TOKENS = 64;

/**
 * What explains to a model how tools are called: some 250 tokens for Claude and 330 for Llama 4,
 * and up to 1,200 where the vendor has tools of its own.
 */
const TOOLS_TOKENS = 1_500;

/** Grok is told about 500 tokens before the caller has said a word. */
const GROK_TOKENS = 1_024;

/** JSON knows numbers up to infinity; no vendor takes one beyond this. */
const COUNT_MAX = 2_147_483_647;

function boundOutput(bounds: AskBounds, target: Target): number {
  const asked = bounds.outputTokensMax;
  const own =
    asked !== undefined && asked >= 1 ? Math.min(Math.floor(asked), COUNT_MAX) : undefined;
  const most = target.outputTokensMax;
  if (own === undefined) return most ?? OUTPUT_TOKENS_DEFAULT;
  return most === undefined ? own : Math.min(own, most);
}

function clip(tokens: number, contextTokensMax: number | undefined): number {
  if (contextTokensMax === undefined || contextTokensMax <= 0) return tokens;
  return Math.min(tokens, contextTokensMax);
}

function hasTools(ask: ChatAsk | EmbedAsk): boolean {
  const { wire } = ask;
  return wire === undefined ? ask.parameters().includes("tools") : namesTools(wire);
}

function namesTools({ tools, functions }: JsonObject): boolean {
  return tools != null || functions != null;
}

/** What a target lays over the request's body. */
interface Lay {
  readonly bytes: number;
  readonly choices: number;
  readonly tools: boolean;
}

const lays = new WeakMap<JsonObject, Lay>();
const NO_LAY: Lay = { bytes: 0, choices: 0, tools: false };

function layOf({ overrides }: Target): Lay {
  if (overrides === undefined) return NO_LAY;
  let lay = lays.get(overrides);
  if (lay === undefined) {
    const { n } = overrides;
    lay = {
      bytes: Buffer.byteLength(JSON.stringify(overrides)),
      choices: typeof n === "number" ? n : 0,
      tools: namesTools(overrides),
    };
    lays.set(overrides, lay);
  }
  return lay;
}
