import type { ServerResponse } from "node:http";
import type { Decision } from "../../gen/weir/v1/chat_pb.ts";
import type { ChatDialect } from "../dialects/dialect.ts";
import { writeFrame } from "../dialects/sse.ts";
import type { ChatAsk } from "../mesh/ask.ts";
import type { Cancellation } from "../mesh/cancellation.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Outcome } from "../mesh/outcome.ts";
import { answerChat, type SimAnswer } from "./engine.ts";
import { findRefusal, planBreak, planDelays, strikesFirst } from "./faults.ts";
import type { SimParameters, SimSettings } from "./parameters.ts";
import { play, waitFor } from "./playback.ts";
import { refuseBy, sendJson } from "./replies.ts";
import { createResponse, listSteps } from "./steps.ts";
import {
  dropLastFrame,
  dropUsage,
  GARBAGE,
  resetConnection,
  splitWithinCharacters,
  withoutUsage,
} from "./wire-faults.ts";

/** A chat as the simulated server serves it. */
export interface ServedChat {
  readonly dialect: ChatDialect;
  readonly ask: ChatAsk;
  readonly settings: SimSettings;
  readonly response: ServerResponse;
  readonly cancellation: Cancellation;
  readonly clock: Clock;
}

/**
 * Answers a chat over HTTP, with its faults done on the wire. Rejects with the cause when the
 * client leaves.
 */
export async function serveChat(served: ServedChat): Promise<void> {
  const { dialect, ask, settings, response } = served;
  const { parameters } = settings;
  const answer = answerChat(settings.model, ask.chat(), parameters);
  if (await strike(served, parameters)) return;
  const { headersMs, firstTokenMs } = planDelays(parameters);
  await waitFor(served.clock, headersMs, served.cancellation);
  if (ask.stream) return await new ServedStream(served, answer).run(firstTokenMs);
  await waitFor(served.clock, firstTokenMs, served.cancellation);
  await waitForTokens(served, answer);
  const decision = createDecision(answer);
  const body = dialect.client.writeAnswer({ ...createResponse(answer, true), decision });
  sendBroken(response, parameters, body);
}

/** Does what is to be done instead of an answer; false when there is to be one. */
export async function strike(
  served: Pick<ServedChat, "dialect" | "response" | "clock" | "cancellation">,
  parameters: SimParameters,
): Promise<boolean> {
  if (!strikesFirst(parameters)) return false;
  const { response, clock, cancellation } = served;
  const refusal = findRefusal(parameters);
  if (refusal !== undefined) refuseBy(served.dialect, refusal, parameters, response);
  else if (parameters.fault === "stall") {
    await waitFor(clock, Number.POSITIVE_INFINITY, cancellation);
  } else resetConnection(response);
  return true;
}

/** Sends a whole body, or breaks while it is sent. */
export function sendBroken(
  response: ServerResponse,
  parameters: SimParameters,
  body: ReturnType<typeof withoutUsage>,
): void {
  const whole = parameters.fault === "no_usage" ? withoutUsage(body) : body;
  const text = JSON.stringify(whole);
  switch (parameters.fault) {
    case "reset":
      response.writeHead(200, JSON_HEADERS);
      response.write(text.slice(0, text.length >> 1), () => resetConnection(response));
      return;
    case "stall":
      response.writeHead(200, JSON_HEADERS);
      response.write(text.slice(0, text.length >> 1));
      return;
    case "half_frame":
      response.writeHead(200, JSON_HEADERS).end(text.slice(0, text.length >> 1));
      return;
    case "garbage":
      response.writeHead(200, JSON_HEADERS).end(GARBAGE);
      return;
    case "error_event":
      sendJson(response, 200, { error: { message: "simulated", type: "server_error" } });
      return;
    case "split_utf8":
      response.writeHead(200, JSON_HEADERS);
      writePieces(response, splitWithinCharacters(text), () => response.end());
      return;
    default:
      sendJson(response, 200, whole);
  }
}

const RESET_DELAY_MS = 10;
const JSON_HEADERS = { "content-type": "application/json" };
const STREAM_HEADERS = { "content-type": "text/event-stream", "cache-control": "no-cache" };

/** One stream of SSE frames. */
class ServedStream {
  readonly #served: ServedChat;
  readonly #answer: SimAnswer;
  readonly #parameters: SimParameters;

  constructor(served: ServedChat, answer: SimAnswer) {
    this.#served = served;
    this.#answer = answer;
    this.#parameters = served.settings.parameters;
  }

  async run(firstTokenMs: number): Promise<void> {
    const { dialect, ask, response, cancellation, clock } = this.#served;
    response.writeHead(200, STREAM_HEADERS);
    response.flushHeaders();
    await waitFor(clock, firstTokenMs, cancellation);
    const writer = dialect.client.createStreamWriter(ask);
    const stopAfter = planBreak(this.#parameters);
    // What opens the stream goes out with the first content; an error as the first event stands
    // alone.
    let opening = this.#countPrompt(writer.start(createDecision(this.#answer)));
    if (this.#parameters.fault === "error_event" && stopAfter === 0) opening = "";
    await play({
      clock,
      cancellation,
      steps: listSteps(this.#answer, this.#parameters.chunkTokens),
      parameters: this.#parameters,
      stopAfter,
      deliver: (events) => {
        const frames = opening + writer.events(events);
        opening = "";
        return this.#write(frames);
      },
    });
    if (stopAfter !== undefined) return await this.#break(opening);
    const last = opening + writer.end(createOutcome(this.#answer), false);
    await this.#write(this.#parameters.fault === "no_done" ? dropLastFrame(last) : last);
    response.end();
  }

  async #break(opening: string): Promise<void> {
    const { dialect, ask, response, clock, cancellation } = this.#served;
    const writer = dialect.client.createStreamWriter(ask);
    switch (this.#parameters.fault) {
      case "stall":
        await this.#write(opening);
        await waitFor(clock, Number.POSITIVE_INFINITY, cancellation);
        return;
      case "half_frame": {
        const next = opening || writer.start(createDecision(this.#answer));
        await this.#write(`${next.slice(0, next.length >> 1).trimEnd()}`);
        response.end();
        return;
      }
      case "garbage":
        await this.#write(`${opening}data: ${GARBAGE}`);
        response.end();
        return;
      case "error_event": {
        const error = new MeshError("UNAVAILABLE", "The simulated engine is overloaded.");
        const body = JSON.stringify(dialect.client.writeError(error, this.#answer.id));
        response.end(writeFrame(dialect.name === "anthropic" ? "error" : undefined, body));
        return;
      }
      default:
        // A reset throws away what the kernel has not sent: give it the time to do so.
        await this.#write(opening);
        await waitFor(clock, RESET_DELAY_MS, cancellation);
        resetConnection(response);
    }
  }

  /** Anthropic tells the prompt's tokens in its first frame, which doors write before they know. */
  #countPrompt(opening: string): string {
    const { inputTokens, cacheReadTokens } = this.#answer.usage;
    return opening.replace(
      '"usage":{"input_tokens":0',
      `"usage":{"input_tokens":${inputTokens},"cache_read_input_tokens":${cacheReadTokens}`,
    );
  }

  /** Resolves once the client has taken enough for more; undefined means at once. */
  #write(frames: string): Promise<void> | undefined {
    if (frames === "") return undefined;
    const { response, cancellation } = this.#served;
    const text = this.#parameters.fault === "no_usage" ? dropUsage(frames) : frames;
    if (this.#parameters.fault === "split_utf8") {
      return new Promise((resolve) => writePieces(response, splitWithinCharacters(text), resolve));
    }
    if (response.write(text)) return undefined;
    return waitForDrain(response, cancellation);
  }
}

/** Writes pieces so that each arrives on its own. */
function writePieces(response: ServerResponse, pieces: readonly Buffer[], done: () => void): void {
  const [piece, ...rest] = pieces;
  if (piece === undefined || response.destroyed) {
    done();
    return;
  }
  response.write(piece, () => setImmediate(() => writePieces(response, rest, done)));
}

function waitForDrain(response: ServerResponse, cancellation: Cancellation): Promise<void> {
  return new Promise((resolve, reject) => {
    const forget = cancellation.onCancel((cause) => {
      response.off("drain", drained);
      reject(cause);
    });
    function drained(): void {
      forget();
      resolve();
    }
    response.once("drain", drained);
  });
}

async function waitForTokens(served: ServedChat, answer: SimAnswer): Promise<void> {
  const { tokensPerSecond } = served.settings.parameters;
  if (tokensPerSecond === 0) return;
  const tokens = answer.usage.outputTokens + answer.usage.reasoningTokens;
  const delayMs = (Math.max(0, tokens - 1) * 1000) / tokensPerSecond;
  await waitFor(served.clock, delayMs, served.cancellation);
}

function createDecision(answer: SimAnswer): Decision {
  return {
    $typeName: "weir.v1.Decision",
    requestId: answer.id,
    model: answer.model,
    provider: "",
    upstreamModel: answer.model,
    attempts: 1,
    cache: 0,
    policyRevision: 0n,
    upstreamId: answer.id,
    warnings: [],
    clampedBy: "",
    downgradedBy: "",
    unprovenBy: [],
  };
}

function createOutcome(answer: SimAnswer): Outcome {
  const [first] = answer.choices;
  return {
    decision: createDecision(answer),
    finish: first?.finish ?? { $typeName: "weir.v1.Finish", reason: 0, raw: "", stopSequence: "" },
    usage: answer.usage,
    cost: {
      $typeName: "weir.v1.Cost",
      costNanoUsd: 0n,
      inputNanoUsd: 0n,
      outputNanoUsd: 0n,
      known: false,
    },
    firstTokenMs: undefined,
    latencyMs: 0,
  };
}
