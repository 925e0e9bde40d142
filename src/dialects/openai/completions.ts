import type { Chat, Decision, Finish, TokenLogprob } from "../../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import type { ChatClientSide, StreamWriter } from "../dialect.ts";
import { createChatAsk } from "../typed-ask.ts";
import { readChatAsk } from "./chat-ask.ts";
import { writeError } from "./errors.ts";
import { isJsonArray, readBoolean, readInteger, refuseField, type WireObject } from "./field.ts";
import { writeFinish } from "./finish.ts";
import { writeUsage } from "./usage.ts";
import { writeCreated } from "./write-answer.ts";
import { asksUsage } from "./write-request.ts";

/**
 * `/v1/completions` of the time before chat: the prompt is asked as one user message, of any model.
 */
export const openaiCompletions: ChatClientSide = {
  readAsk: readCompletionAsk,
  writeAnswer: writeCompletion,
  createStreamWriter: (ask) => new CompletionWriter(ask),
  writeError,
};

/** Asks whose caller wants usage in the stream; the typed ask has no place for that. */
const wantsUsage = new WeakSet<ChatAsk>();

function readCompletionAsk(body: JsonObject, bytes: number): ChatAsk {
  refuseUnknown(body);
  const { prompt, suffix: _, echo: _echo, best_of: _bestOf, logprobs: given, ...others } = body;
  const chatBody: WireObject = {
    ...others,
    messages: [{ role: "user", content: readPrompt(prompt) }],
  };
  const logprobs = readInteger(given, "logprobs");
  if (logprobs !== undefined) {
    chatBody.logprobs = true;
    chatBody.top_logprobs = logprobs;
  }
  const read = readChatAsk(chatBody, bytes);
  const chat: Chat = read.chat();
  const ask = createChatAsk(chat, read.stream, bytes);
  if (asksUsage(body)) wantsUsage.add(ask);
  return ask;
}

function readPrompt(prompt: JsonObject[string]): string {
  if (typeof prompt === "string") return prompt;
  if (isJsonArray(prompt)) {
    const [only, ...others] = prompt;
    if (typeof only === "string" && others.length === 0) return only;
    if (typeof only === "string") {
      return refuse("prompt", "Several prompts in one request are not served. Send one at a time.");
    }
    if (only !== undefined) {
      return refuse("prompt", "Token ids as a prompt are not served. Send the text.");
    }
  }
  return refuseField("prompt", "a text");
}

/** What a chat cannot do is refused: an answer that ignores it would be a wrong one. */
function refuseUnknown(body: JsonObject): void {
  if (readBoolean(body.echo, "echo")) refuse("echo", "echo is not served. Leave it out.");
  if (typeof body.suffix === "string" && body.suffix !== "") {
    refuse("suffix", "suffix is not served. Leave it out.");
  }
  if ((readInteger(body.best_of, "best_of") ?? 1) > (readInteger(body.n, "n") ?? 1)) {
    refuse("best_of", "best_of above n is not served. Leave it out.");
  }
}

function refuse(field: string, message: string): never {
  throw new MeshError("INVALID_REQUEST", message, { field });
}

function writeCompletion(response: CreateChatResponse): JsonObject {
  const { decision } = response;
  return {
    id: decision?.upstreamId || `cmpl-${decision?.requestId ?? ""}`,
    object: "text_completion",
    created: writeCreated(response),
    model: decision?.model || response.upstreamModelVersion,
    choices: response.choices.map((choice) => {
      let text = "";
      for (const { part } of choice.message?.parts ?? []) {
        if (part.case === "text") text += part.value.text;
      }
      return {
        text,
        index: choice.index,
        logprobs: writeLegacyLogprobs(choice.logprobs, 0),
        finish_reason: writeFinish(choice.finish),
      };
    }),
    usage: writeUsage(response.usage, response.cost),
  };
}

function writeLegacyLogprobs(logprobs: readonly TokenLogprob[], offset: number): WireObject | null {
  if (logprobs.length === 0) return null;
  const offsets: number[] = [];
  let at = offset;
  for (const { chosen } of logprobs) {
    offsets.push(at);
    at += chosen?.token.length ?? 0;
  }
  return {
    tokens: logprobs.map(({ chosen }) => chosen?.token ?? ""),
    token_logprobs: logprobs.map(({ chosen }) => chosen?.logprob ?? 0),
    top_logprobs: logprobs.map(({ top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: offsets,
  };
}

/** Turns events into `text_completion` frames; only text has a place there. */
class CompletionWriter implements StreamWriter {
  readonly #model: string;
  readonly #withUsage: boolean;
  #head = "";
  #finished = false;
  #characters = 0;

  constructor(ask: ChatAsk) {
    this.#model = ask.model;
    this.#withUsage = wantsUsage.has(ask);
  }

  start(decision: Decision, createdWallMs = 0): string {
    const id = decision.upstreamId || `cmpl-${decision.requestId}`;
    this.#setHead(id, decision.model || this.#model, createdWallMs);
    return "";
  }

  events(events: readonly ChatEvent[]): string {
    let frames = "";
    for (const event of events) {
      if (event.case === "textDelta") {
        const { choiceIndex, text } = event.value;
        this.#characters += text.length;
        frames += this.#frame(choiceIndex, text, "null", "null");
      } else if (event.case === "logprobsDelta") {
        const { choiceIndex, logprobs } = event.value;
        const lists = JSON.stringify(writeLegacyLogprobs(logprobs, this.#characters));
        frames += this.#frame(choiceIndex, "", lists, "null");
      } else if (event.case === "choiceFinished") {
        frames += this.#finish(event.value.choiceIndex, event.value.finish);
      }
    }
    return frames;
  }

  end(outcome: Outcome): string {
    let frames = this.#finished ? "" : this.#finish(0, outcome.finish);
    if (this.#withUsage) {
      const usage = JSON.stringify(writeUsage(outcome.usage, outcome.cost));
      frames += `${this.#head}"choices":[],"usage":${usage}}\n\n`;
    }
    return `${frames}data: [DONE]\n\n`;
  }

  error(error: MeshError, requestId: string): string {
    if (this.#head === "") this.#setHead(`cmpl-${requestId}`, this.#model, 0);
    const fault = JSON.stringify(writeError(error, requestId).error);
    const choice = '{"text":"","index":0,"logprobs":null,"finish_reason":"error"}';
    return `${this.#head}"choices":[${choice}],"error":${fault}}\n\n`;
  }

  #setHead(id: string, model: string, createdWallMs: number): void {
    const created = Math.floor(createdWallMs / 1000);
    const identity = `"id":${JSON.stringify(id)},"object":"text_completion"`;
    this.#head = `data: {${identity},"created":${created},"model":${JSON.stringify(model)},`;
  }

  #finish(index: number, finish: Finish | undefined): string {
    this.#finished = true;
    return this.#frame(index, "", "null", `"${writeFinish(finish)}"`);
  }

  #frame(index: number, text: string, logprobs: string, finishReason: string): string {
    const words = `"text":${JSON.stringify(text)},"index":${index},"logprobs":${logprobs}`;
    return `${this.#head}"choices":[{${words},"finish_reason":${finishReason}}]}\n\n`;
  }
}
