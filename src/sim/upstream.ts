import { create } from "@bufbuild/protobuf";
import { type Chat, type Finish, FinishReason, SamplingSchema } from "../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import { type ChatChunk, createEventChunk } from "../mesh/chunk.ts";
import type { Clock } from "../mesh/clock.ts";
import type { Random } from "../mesh/random.ts";
import type { Target } from "../mesh/target.ts";
import type {
  Attempt,
  Upstream,
  UpstreamEnd,
  UpstreamHeaders,
  UpstreamSink,
  UpstreamVectors,
} from "../mesh/upstream.ts";
import { createUsage } from "../mesh/usage.ts";
import { answerChat, answerEmbed, type SimAnswer } from "./engine.ts";
import {
  createFaultError,
  drawFault,
  findRefusal,
  planBreak,
  planDelays,
  strikesFirst,
} from "./faults.ts";
import { readSettings, type SimParameters, type SimSettings } from "./parameters.ts";
import { play, waitFor } from "./playback.ts";
import { countPrompt } from "./prompt.ts";
import { createResponse, listSteps, type SimStep } from "./steps.ts";

const NO_HEADERS: UpstreamHeaders = {};

/**
 * The simulated engine as an upstream within this process, without a socket. `random` decides by
 * `fault_rate` whether a request meets its fault; all else follows from the request.
 */
export function createSimUpstream(clock: Clock, random: Random): Upstream {
  return {
    chat: (target, ask, sink, attempt) =>
      new SimChat(clock, ask, sink, attempt).run(target, random),
    embed: (target, ask, attempt) => embed(clock, random, { target, ask, attempt }),
    countTokens: async (target, ask, attempt) => {
      attempt.cancellation.throwIfCancelled();
      const chat = ask.chat();
      const { parameters } = settle(readFor(target, chat.providerOptions), random);
      await passHeaders(clock, parameters, attempt);
      return countPrompt(chat);
    },
  };
}

/** One chat on its way. */
class SimChat {
  readonly #clock: Clock;
  readonly #ask: ChatAsk;
  readonly #sink: UpstreamSink;
  readonly #attempt: Attempt;

  constructor(clock: Clock, ask: ChatAsk, sink: UpstreamSink, attempt: Attempt) {
    this.#clock = clock;
    this.#ask = ask;
    this.#sink = sink;
    this.#attempt = attempt;
  }

  async run(target: Target, random: Random): Promise<UpstreamEnd> {
    this.#attempt.cancellation.throwIfCancelled();
    const chat = capOutput(this.#ask.chat(), this.#attempt.outputTokensMax);
    const { model, parameters } = settle(readFor(target, chat.providerOptions), random);
    const answer = answerChat(model, chat, parameters);
    this.#attempt.sent = true;
    await passHeaders(this.#clock, parameters, this.#attempt);
    // Until the answer is whole, what an end would leave to pay for is an estimate of what was
    // produced.
    this.#note(answer, 0);
    await waitFor(this.#clock, planDelays(parameters).firstTokenMs, this.#attempt.cancellation);
    if (this.#ask.stream) await this.#stream(answer, parameters);
    else await this.#answerWhole(answer, parameters);
    const { id, choices, usage } = answer;
    const counts = parameters.fault !== "no_usage";
    this.#attempt.partial = counts ? undefined : { ...usage, estimated: true };
    return {
      finish: choices[0]?.finish ?? NO_FINISH,
      usage: counts ? usage : undefined,
      upstreamId: id,
      modelVersion: `sim-${model}`,
    };
  }

  async #stream(answer: SimAnswer, parameters: SimParameters): Promise<void> {
    const stopAfter = planBreak(parameters);
    let tokens = 0;
    await play({
      clock: this.#clock,
      cancellation: this.#attempt.cancellation,
      steps: listSteps(answer, parameters.chunkTokens),
      parameters,
      stopAfter,
      deliver: (events, content, tokensOfRun) => {
        tokens += tokensOfRun;
        this.#note(answer, tokens);
        return this.#pass(createEventChunk(events, content));
      },
    });
    if (stopAfter !== undefined) await this.#break(parameters);
  }

  async #answerWhole(answer: SimAnswer, parameters: SimParameters): Promise<void> {
    const stopAfter = planBreak(parameters);
    const tokens = answer.usage.outputTokens + answer.usage.reasoningTokens;
    const produced = Math.min(tokens, stopAfter ?? tokens);
    const { tokensPerSecond } = parameters;
    if (tokensPerSecond > 0) {
      const delayMs = (Math.max(0, produced - 1) * 1000) / tokensPerSecond;
      await waitFor(this.#clock, delayMs, this.#attempt.cancellation);
    }
    this.#note(answer, produced);
    if (stopAfter !== undefined) await this.#break(parameters);
    await this.#pass(createAnswerChunk(answer, parameters));
  }

  async #break(parameters: SimParameters): Promise<never> {
    if (parameters.fault === "stall") {
      await waitFor(this.#clock, Number.POSITIVE_INFINITY, this.#attempt.cancellation);
    }
    throw createFaultError(parameters);
  }

  #pass(chunk: ChatChunk): Promise<void> | undefined {
    return this.#sink.chunk(chunk) ? undefined : this.#sink.ready();
  }

  #note(answer: SimAnswer, outputTokens: number): void {
    const { inputTokens, cacheReadTokens } = answer.usage;
    this.#attempt.partial = createUsage({
      inputTokens,
      cacheReadTokens,
      outputTokens,
      estimated: true,
    });
  }
}

/** Lays a limit of output tokens over a higher one, or over none. */
function capOutput(chat: Chat, most: number | undefined): Chat {
  if (most === undefined) return chat;
  const given = chat.sampling?.maxTokens;
  if (given !== undefined && given > 0 && given <= most) return chat;
  const sampling = chat.sampling ?? create(SamplingSchema);
  return { ...chat, sampling: { ...sampling, maxTokens: most } };
}

const NO_FINISH: Finish = {
  $typeName: "weir.v1.Finish",
  reason: FinishReason.UNSPECIFIED,
  raw: "",
  stopSequence: "",
};

interface EmbedCall {
  readonly target: Target;
  readonly ask: EmbedAsk;
  readonly attempt: Attempt;
}

async function embed(
  clock: Clock,
  random: Random,
  { target, ask, attempt }: EmbedCall,
): Promise<UpstreamVectors> {
  attempt.cancellation.throwIfCancelled();
  const request = ask.request();
  const { model, parameters } = settle(readFor(target, request.providerOptions), random);
  const { embeddings, usage } = answerEmbed(model, request);
  await passHeaders(clock, parameters, attempt);
  await waitFor(clock, planDelays(parameters).firstTokenMs, attempt.cancellation);
  if (planBreak(parameters) !== undefined) {
    if (parameters.fault === "stall") {
      await waitFor(clock, Number.POSITIVE_INFINITY, attempt.cancellation);
    }
    throw createFaultError(parameters);
  }
  const known = parameters.fault === "no_usage" ? undefined : usage;
  return {
    usage: known,
    wire: undefined,
    response: () => ({
      $typeName: "weir.v1.EmbedResponse",
      embeddings,
      ...(known === undefined ? undefined : { usage: known }),
    }),
  };
}

function readFor(target: Target, providerOptions: string): SimSettings {
  return readSettings(target.upstreamModel, target.overrides, providerOptions);
}

function settle(settings: SimSettings, random: Random): SimSettings {
  return { model: settings.model, parameters: drawFault(settings.parameters, random) };
}

/** Comes to the headers of the answer, or to the fault that strikes before them. */
async function passHeaders(
  clock: Clock,
  parameters: SimParameters,
  attempt: Attempt,
): Promise<void> {
  if (strikesFirst(parameters)) {
    if (parameters.fault === "stall") {
      await waitFor(clock, Number.POSITIVE_INFINITY, attempt.cancellation);
    }
    const refusal = findRefusal(parameters);
    if (refusal !== undefined) {
      const { retryAfterS } = parameters;
      const headers = retryAfterS === undefined ? NO_HEADERS : { "retry-after": `${retryAfterS}` };
      attempt.opened(refusal.status, headers);
    }
    throw createFaultError(parameters);
  }
  const { headersMs } = planDelays(parameters);
  if (headersMs > 0) await waitFor(clock, headersMs, attempt.cancellation);
  attempt.opened(200, NO_HEADERS);
}

function createAnswerChunk(answer: SimAnswer, parameters: SimParameters): ChatChunk {
  const content = answer.choices.some(
    (choice) => choice.text !== "" || choice.reasoning !== "" || choice.toolCalls.length > 0,
  );
  let steps: SimStep[] | undefined;
  return {
    wire: undefined,
    content,
    events: () => {
      steps ??= listSteps(answer, Math.max(parameters.chunkTokens, 1_000_000));
      return steps.map((step) => step.event);
    },
    answer: () => createResponse(answer, parameters.fault !== "no_usage"),
  };
}
